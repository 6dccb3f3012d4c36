"""Pl@ntNet's API v2: embeddings of photos, and the routes of plant diseases and varieties, which are not supported."""

from __future__ import annotations

from typing import Any

from flask import Response

from retrieval.photos.crops import WHOLE
from web.contracts.allowance import spend
from web.contracts.openapi import ContractBlueprint, ContractQuery, PlantnetError
from web.contracts.photos import bound_post, read_files
from web.contracts.plantnet_schemas import Embedded, PhotoForm
from web.contracts.shapes import json_response, plantnet_error
from web.http.access import require
from web.inference.serving import make_queries, serving
from web.services import services

blueprint = ContractBlueprint(
    "plantnet tools",
    __name__,
    url_prefix="/v2",
    error=PlantnetError,
    keyed=True,
    description="Embeddings, diseases, varieties",
)
NONE_OF_PLANTS = "{} of plants are not identified here: this server knows fungi, by their photos"


@blueprint.before_request
def bound_posts() -> None:
    """Limit bodies to 50 MB, as Pl@ntNet does."""
    bound_post()


@blueprint.route("/embeddings", methods=["POST"])
@require("identify")
@blueprint.arguments(PhotoForm, location="files", error_status_code=400)
@blueprint.response(200, Embedded)
def embed_photo(form: dict[str, Any]) -> dict[str, Any]:
    """Return the embedding of a photo."""
    photo = read_files(form["image"], 1, "image")[0].photo
    spend()
    with services().published.lease() as snapshot:
        row = serving().embed(make_queries([photo], WHOLE), snapshot, services().limits)[0]
        return {"embeddings": [round(number, 8) for number in row.tolist()], "version": snapshot.model}


@blueprint.route("/diseases")
@blueprint.response(200, {"type": "array", "maxItems": 0})
def list_diseases() -> Response:
    """List the diseases that can be identified: none here."""
    return json_response([], 200)


@blueprint.route("/varieties")
@blueprint.response(200, {"type": "array", "maxItems": 0})
def list_varieties() -> Response:
    """List the varieties that can be identified: none here."""
    return json_response([], 200)


@blueprint.route("/diseases/identify", methods=["POST"])
@blueprint.arguments(ContractQuery, location="query", error_status_code=400)
@blueprint.response(404, PlantnetError)
def refuse_diseases(_: dict[str, Any]) -> Response:
    """Answer that identification of plant diseases is not supported."""
    return plantnet_error(404, NONE_OF_PLANTS.format("Diseases"))


@blueprint.route("/varieties/identify", methods=["POST"])
@blueprint.arguments(ContractQuery, location="query", error_status_code=400)
@blueprint.response(404, PlantnetError)
def refuse_varieties(_: dict[str, Any]) -> Response:
    """Answer that identification of varieties is not supported."""
    return plantnet_error(404, NONE_OF_PLANTS.format("Varieties"))
