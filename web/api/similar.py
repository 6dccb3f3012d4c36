"""Reference photos that look most like given photos, another reference photo, or an embedding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from flask import request, url_for
from marshmallow import fields, validate

from retrieval.answers.present import skipped_json
from retrieval.answers.similar import find_similar_in
from retrieval.domain import Reference
from retrieval.errors import InvalidOption
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.search.partial_results import PartialSearch
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot
from web.http import access
from web.http.cursors import read_cursor, write_cursor
from web.http.etags import follows
from web.inference.caching import make_key
from web.inference.serving import make_queries, serving
from web.photos.uploads import (
    Observation,
    Strict,
    ViewOptionsSchema,
    flora_field,
    parser,
    partial_field,
    read_photos,
    read_view_options,
)
from web.schemas.answers import SimilarReferences, about
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.schemas.serialising import similar_answer
from web.services import services

blueprint = ApiBlueprint("similar", __name__, url_prefix=f"{PREFIX}/similar", description="Similar photos")

DEEPEST: Final = 1000  # references of an answer on all pages, at most
EMBEDDINGS_BYTES: Final = 1_000_000  # of a request with embeddings
KIND: Final = "similar"


class Filters(Strict):
    """Filters of references."""

    flora = flora_field()
    taxon = fields.Integer(
        load_default=None,
        validate=validate.Range(1, 2**63 - 1),
        metadata=about("Only references of this species, or of the species of this genus or family."),
    )
    licences = fields.List(
        fields.String(validate=validate.Length(1, 64)),
        load_default=list,
        validate=validate.Length(max=20),
        metadata=about("Only photos under one of these licences; repeat it for several."),
    )
    months = fields.List(
        fields.Integer(validate=validate.Range(1, 12)),
        load_default=list,
        validate=validate.Length(max=12),
        metadata=about("Only photos of observations in these months, 1 to 12, among the 2,000 most similar."),
    )
    count = fields.Integer(
        load_default=20, validate=validate.Range(1, 100), metadata=about("Reference photos on a page.")
    )
    partial_answer = partial_field()
    cursor = fields.String(
        load_default="",
        validate=validate.Length(max=600),
        metadata=about("`cursor` of the previous page, with the same photos and filters."),
    )


class CompareObservation(Observation, ViewOptionsSchema, Filters):
    """Photos of one observation, and which reference photos to compare them with."""


class CompareEmbeddings(Filters):
    """Embeddings of this server's model, and which reference photos to compare them with."""

    embeddings = fields.List(
        fields.List(fields.Float(validate=validate.Range(-1e6, 1e6)), validate=validate.Length(equal=DIM)),
        required=True,
        validate=validate.Length(1, 16),
        metadata=about("Rows of 256 numbers, as returned by /api/v1/embeddings."),
    )
    model = fields.String(
        required=True,
        validate=validate.Length(1, 200),
        metadata=about("The model that computed them; it must be the snapshot's."),
    )


@blueprint.route("", methods=["POST"])
@access.require("identify")
@blueprint.arguments(CompareObservation, location="files")
@blueprint.response(200, SimilarReferences)
def find_similar_references(form: dict[str, Any]) -> dict[str, Any]:
    """Find the reference photos most similar to the photos, without ranking species."""
    access.spend("identify")
    given, shared = services(), serving()
    photos = read_photos(form, given.limits)
    queries = make_queries(photos, read_view_options(form))
    with given.published.lease() as snapshot:
        shared.embedder_of(snapshot)
        flora = choose_references(snapshot, form)
        embeddings = shared.embed(queries, snapshot, given.limits)
        return page_of(embeddings, snapshot, flora, form, len(photos))


@blueprint.route("/<string:photo>")
@access.require("identify")
@blueprint.arguments(Filters, location="query")
@blueprint.response(200, SimilarReferences)
def find_similar_to_reference(query: dict[str, Any], photo: str) -> dict[str, Any]:
    """Find the reference photos most similar to another one, which is itself excluded."""
    access.spend("identify")
    with services().published.lease() as snapshot:
        follows(snapshot)
        row = snapshot.reference_of_photo(photo).row
        flora = choose_references(snapshot, query)
        body = page_of(snapshot.embedding_of(row), snapshot, flora, query, 1, without=photo)
        body["next"] = None
        if body["cursor"] is not None:
            following = {name: value for name, value in query.items() if value and name != "cursor"}
            body["next"] = url_for("similar.find_similar_to_reference", photo=photo, cursor=body["cursor"], **following)
        return body


@blueprint.route("/embeddings", methods=["POST"])
@access.require("identify")
@blueprint.doc(
    requestBody={"required": True, "content": {"application/json": {"schema": CompareEmbeddings}}},
)
@blueprint.response(200, SimilarReferences)
def find_similar_to_embeddings() -> dict[str, Any]:
    """Find the reference photos whose embeddings are most similar to given ones."""
    access.spend("identify")
    request.max_content_length = EMBEDDINGS_BYTES
    body = parser.parse(CompareEmbeddings(), request, location="json")
    try:
        embeddings = unit_rows(np.array(body["embeddings"], dtype=np.float64))
    except ValueError as error:
        raise InvalidOption(str(error)) from error
    with services().published.lease() as snapshot:
        check_model(snapshot, body["model"])
        flora = choose_references(snapshot, body)
        return page_of(embeddings, snapshot, flora, body, len(embeddings))


def check_model(snapshot: Snapshot, model: str) -> None:
    """Raise InvalidOption for embeddings of another model than the snapshot's."""
    if model != snapshot.model:
        raise InvalidOption(f"the references were embedded with {snapshot.model}, not with {model!r}")


def choose_references(snapshot: Snapshot, filters: Mapping[str, Any]) -> Flora:
    """Return the flora limited to a taxon and to licences; raises UnknownFlora and UnknownTaxon."""
    flora = snapshot.flora(filters["flora"])
    if filters["taxon"] is not None:
        flora = flora & snapshot.flora_of([filters["taxon"]])
    return flora.under(filters["licences"]) if filters["licences"] else flora


def page_of(
    embeddings: Embeddings,
    snapshot: Snapshot,
    flora: Flora,
    filters: Mapping[str, Any],
    photos: int,
    *,
    without: str = "",
) -> dict[str, Any]:
    """Return a page of the most similar references; raises InvalidOption for the cursor of another query."""
    digest = make_key(
        snapshot.edition,
        embeddings.tobytes(),
        without,
        [sorted(filters[name]) for name in ("licences", "months")],
        [filters[name] for name in ("flora", "taxon")],
    )[:16]
    start = 0
    if filters["cursor"]:
        start, asked = read_cursor(KIND, filters["cursor"], int, str)
        if asked != digest:
            raise InvalidOption("the cursor belongs to another query or an older snapshot; start again without it")
        start = min(start, DEEPEST)
    stop = min(start + filters["count"], DEEPEST)
    partial = PartialSearch() if filters["partial"] else None
    searched = flora.with_partial(partial)
    found = find_similar_in(embeddings, snapshot, searched, stop + 1, keep=make_filter(filters["months"], without))
    body = similar_answer(found[start:stop], photos, filters["flora"], snapshot)
    more = len(found) > stop and stop < DEEPEST
    if partial is not None and partial.skipped is not None:
        body["notSearched"] = skipped_json(partial.skipped, snapshot)
    return body | {"cursor": write_cursor(KIND, stop, digest) if more else None}


def make_filter(months: Sequence[int], without: str) -> Callable[[Sequence[Reference]], Sequence[bool]] | None:
    """Return a filter of references by month, and without one photo; None if all may be shown."""
    if not months and not without:
        return None

    def keep(references: Sequence[Reference]) -> list[bool]:
        shown = [reference.photo != without for reference in references]
        if not months:
            return shown
        days = services().catalogue.event_dates([reference.photo for reference in references])
        return [
            kept and reference.photo in days and days[reference.photo].month in months
            for kept, reference in zip(shown, references, strict=True)
        ]

    return keep
