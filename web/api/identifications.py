"""Photos in, ranked species or similar reference photos out."""

from __future__ import annotations

from typing import Any

from retrieval.similar import find_similar_embeddings
from web import access
from web.asking import identified
from web.openapi import PREFIX, ApiBlueprint
from web.present import identification_answer, similar_answer
from web.schemas import Identification, SimilarReferences
from web.services import services
from web.serving import make_query, serving
from web.uploads import CompareObservation, IdentifyObservation, read_photos

blueprint = ApiBlueprint("identifications", __name__, url_prefix=PREFIX, description="What a find may be")


@blueprint.route("/identify", methods=["POST"])
@access.require("identify")
@blueprint.arguments(IdentifyObservation, location="files")
@blueprint.response(200, Identification)
def identify_observation(form: dict[str, Any]) -> dict[str, Any]:
    """Rank the species of a flora for the photos of one find.

    The photos are compared and forgotten. A suggestion by a machine, and never advice on eating.
    """
    access.spend("identify")
    with identified(form) as (answer, snapshot, _):
        return identification_answer(answer, snapshot)


@blueprint.route("/similar", methods=["POST"])
@access.require("identify")
@blueprint.arguments(CompareObservation, location="files")
@blueprint.response(200, SimilarReferences)
def find_similar_references(form: dict[str, Any]) -> dict[str, Any]:
    """Find the reference photos that look most like the photos.

    No vote and no ranking of species: only similarity.
    """
    access.spend("identify")
    given = services()
    photos = read_photos(form, given.limits)
    with given.published.lease() as snapshot:
        snapshot.require_model(serving().embedder().model)
        snapshot.flora(form["flora"])
        embeddings = serving().embed([make_query(photo) for photo in photos], given.limits)
        found = find_similar_embeddings(embeddings, snapshot, flora=form["flora"], count=form["count"])
        return similar_answer(found, len(photos), form["flora"], snapshot)
