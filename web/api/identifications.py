"""Identification of the photos of one observation."""

from __future__ import annotations

from typing import Any

from web.http import access
from web.inference.identification import identify_request
from web.photos.uploads import IdentifyObservation
from web.schemas.answers import Identification
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.schemas.serialising import brief, identification_answer

blueprint = ApiBlueprint("identifications", __name__, url_prefix=PREFIX, description="Identification")


@blueprint.route("/identify", methods=["POST"])
@access.require("identify")
@blueprint.arguments(IdentifyObservation, location="files")
@blueprint.response(200, Identification)
def identify_observation(form: dict[str, Any]) -> dict[str, Any]:
    """Rank the species of a flora for the photos of one observation.

    The photos are not stored. The answer is an automatic suggestion: never eat a fungus based on it.
    """
    access.spend("identify")
    with identify_request(form) as (answer, snapshot, _):
        body = identification_answer(answer, snapshot)
        return brief(body) if form["detail"] == "brief" else body
