"""Pictures of reference photos: drawn anew, so that no original and no metadata leaves the server."""

from __future__ import annotations

from typing import Any, Final

from flask import Response, request
from marshmallow import Schema, fields, validate

from retrieval.errors import PhotoTooLarge, UnknownPhoto, UnreadablePhoto
from retrieval.views import render_photo
from web.openapi import PREFIX, ApiBlueprint
from web.schemas import about
from web.services import services

blueprint = ApiBlueprint("photos", __name__, url_prefix=f"{PREFIX}/photos", description="Pictures of reference photos")

SIZES: Final = (160, 320, 640, 1280)  # pixels of the longer side; few, so that nobody can ask for endless variants
DRAWING: Final = 1  # raised when pictures are drawn in another way: it is part of their ETag
YEAR: Final = 31_536_000  # seconds


class PictureQuery(Schema):
    """How large to draw a photo."""

    size = fields.Integer(
        load_default=640,
        validate=validate.OneOf(SIZES),
        metadata=about("Pixels of the longer side, at most; smaller photos stay as they are."),
    )


@blueprint.route("/<string:sha256>")
@blueprint.arguments(PictureQuery, location="query")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="image/jpeg")
def draw_reference_photo(query: dict[str, Any], sha256: str) -> Response:
    """Draw a reference photo as a JPEG without metadata.

    The same address always gives the same picture. Show its author and licence with it.
    """
    given = services()
    with given.published.lease() as snapshot:
        photo = snapshot.reference_of_photo(sha256).photo
    response = Response(mimetype="image/jpeg")
    etag = f"{photo}-{query['size']}-{DRAWING}"
    response.set_etag(etag)
    response.cache_control.public = True
    response.cache_control.max_age = YEAR
    response.cache_control.immutable = True
    if etag in request.if_none_match:
        response.status_code = 304
        return response
    try:
        response.set_data(render_photo(given.photos.read(photo), query["size"]))
    except (UnreadablePhoto, PhotoTooLarge) as error:
        raise UnknownPhoto(f"reference photo {photo} cannot be drawn: {error}") from error
    return response
