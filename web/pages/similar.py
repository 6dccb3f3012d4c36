"""Similar photos: reference photos most similar to an uploaded photo or to another reference, without a ranking."""

from __future__ import annotations

from typing import Any, Final

from flask import render_template, request
from marshmallow import EXCLUDE, Schema, fields, validate
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

from retrieval.answers.present import evidence_json, reference_json
from retrieval.answers.similar import find_similar_in
from retrieval.domain import NOTICE, WORLD
from retrieval.models.embedder import Embeddings
from retrieval.photos.crops import WHOLE
from retrieval.snapshots.snapshot import Snapshot
from web.api.similar import choose_references, make_filter
from web.http import access
from web.inference.serving import make_queries, serving
from web.inference.similarity_tokens import read_token, write_token
from web.pages.blueprint import blueprint
from web.pages.catalogue import known_shapes
from web.pages.identify import FRAGMENT, KEPT, PageParser, data_url, known_taxon
from web.pages.wording.script_words import similar_words
from web.photos.decoding import draw
from web.photos.uploads import PhotoFile, read_photos
from web.services import services

AT_ONCE: Final = 40
FURTHEST: Final = 1000  # photos that can be scrolled through
SHAPE: Final = (4, 3)  # of a photo whose size is not known


class SimilarQuery(Schema):
    """A photo, given in one of three ways, and filters."""

    class Meta:
        """Ignore unknown parameters: links may carry those of other sites."""

        unknown = EXCLUDE

    photos: fields.List[Any] = fields.List(PhotoFile(), load_default=list)
    images: fields.List[Any] = fields.List(PhotoFile(), load_default=list)
    photo = fields.String(load_default="", validate=validate.Length(max=64))  # SHA-256 of a reference
    embedding = fields.String(load_default="", validate=validate.Length(max=6000))  # of an earlier search
    flora = fields.String(load_default=WORLD, validate=validate.Length(1, 64))
    taxon = fields.String(load_default="", validate=validate.Length(max=200))
    licence = fields.String(load_default="", validate=validate.Length(max=200))
    month = fields.Integer(load_default=0, validate=validate.Range(0, 12))
    skip = fields.Integer(load_default=0, validate=validate.Range(0, FURTHEST))


class QueryParser(PageParser):
    """Ignores empty parameters of the query string, too."""

    def load_querystring(self, req: Any, schema: Any) -> MultiDictProxy:
        return MultiDictProxy(MultiDict((n, text) for n, text in req.args.items(multi=True) if text.strip()), schema)


query_parser: Final = QueryParser()


@blueprint.route("/similar")
def show_similar() -> str:
    """Show the photos most similar to a reference photo, or the empty form."""
    query = query_parser.parse(SimilarQuery(), request, location="querystring")
    if previous_query(query):
        access.check("identify")
    return render_similar(query)


@blueprint.route("/similar", methods=["POST"])
def show_similar_to_upload() -> str:
    """Show the photos most similar to an uploaded one, or more results of an earlier search."""
    access.check("identify")
    return render_similar(query_parser.parse(SimilarQuery(), request, location="files"))


def render_similar(query: dict[str, Any]) -> str:
    """Render the page, or only its photos for a script that loads more."""
    given = services()
    shown: dict[str, Any] = {"query": query, "found": None, "own": "", "reference": None, "token": ""}
    with given.published.lease() as snapshot:
        embeddings = None
        if query["photos"] or query["images"] or (request.method == "POST" and not previous_query(query)):
            access.spend("identify")
            photos = read_photos(query, given.limits)
            embeddings = serving().embed(make_queries(photos, WHOLE), snapshot, given.limits)
            shown["own"] = data_url(draw(photos[0], KEPT, given.limits))
        elif query["embedding"]:
            embeddings = read_token(query["embedding"])
        elif query["photo"]:
            reference = snapshot.reference_of_photo(query["photo"])
            embeddings = snapshot.embedding_of(reference.row)
            shown["reference"] = reference_json(reference) | {
                "name": name_of(reference.species, snapshot),
                "species": reference.species,
            }
        if embeddings is not None:
            shown |= search(embeddings, snapshot, query)
        return render_template(
            "similar_fragment.html" if FRAGMENT in request.headers else "similar.html",
            floras=snapshot.floras,
            licences=list(snapshot.licences),
            snapshot=snapshot,
            notice=NOTICE,
            limits=given.limits,
            said=similar_words(),
            **shown,
        )


def previous_query(query: dict[str, Any]) -> bool:
    """Return whether the photo of this search is a reference, or was embedded by an earlier search."""
    return bool(query["embedding"] or query["photo"])


def search(embeddings: Embeddings, snapshot: Snapshot, query: dict[str, Any]) -> dict[str, Any]:
    """Return the photos to show, a token of the query, and where the next page begins."""
    licences = [query["licence"]] if query["licence"] else []
    taxon = known_taxon(query["taxon"], snapshot) if query["taxon"] else None
    flora = choose_references(snapshot, {"flora": query["flora"], "taxon": taxon, "licences": licences})
    first, stop = query["skip"], query["skip"] + AT_ONCE
    keep = make_filter([query["month"]] if query["month"] else [], "")
    near = find_similar_in(embeddings, snapshot, flora, stop + 1, keep=keep)
    shapes = known_shapes([evidence.reference.photo for evidence in near[first:stop]])
    found = []
    for evidence in near[first:stop]:
        species = evidence.reference.species
        width, height = shapes.get(evidence.reference.photo, SHAPE)
        named = {"species": species, "name": name_of(species, snapshot), "width": width, "height": height}
        found.append(evidence_json(evidence) | named)
    more = len(near) > stop and stop <= FURTHEST
    return {"found": found, "token": write_token(embeddings), "following": stop if more else None}


def name_of(species: int, snapshot: Snapshot) -> str:
    """Return the species' scientific name."""
    return snapshot.taxonomy.taxon(species).name
