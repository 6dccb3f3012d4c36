"""Embeddings of photos, for use outside this server."""

from __future__ import annotations

from typing import Any

from retrieval.models.embedder import DIM
from web.http import access
from web.inference.serving import make_queries, serving
from web.photos.uploads import EmbedPhotos, read_photos, read_view_options
from web.schemas.answers import EmbeddingRows
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.schemas.serialising import named
from web.services import services

blueprint = ApiBlueprint("embeddings", __name__, url_prefix=f"{PREFIX}/embeddings", description="Photos as numbers")


@blueprint.route("", methods=["POST"])
@access.require("identify")
@blueprint.arguments(EmbedPhotos, location="files")
@blueprint.response(200, EmbeddingRows)
def embed_photos(form: dict[str, Any]) -> dict[str, Any]:
    """Embed photos with the model of the published snapshot: 256 numbers of Euclidean length 1 for each.

    The dot product of two embeddings is the cosine similarity of their photos.
    """
    access.spend("identify")
    given, shared = services(), serving()
    queries = make_queries(read_photos(form, given.limits), read_view_options(form))
    with given.published.lease(form["model"]) as snapshot:
        rows = shared.embed(queries, snapshot, given.limits)
        return {"embeddings": rows.tolist(), "dimension": DIM, **named(snapshot)}
