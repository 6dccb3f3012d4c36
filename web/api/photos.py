"""Images of reference photos, re-encoded: originals and their metadata never leave the server."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from flask import Response
from marshmallow import Schema, fields, validate

from retrieval.errors import PhotoTooLarge, SnapshotError, UnknownPhoto, UnreadablePhoto
from retrieval.photos.views import CURATED
from web.photos.decoding import draw_picture
from web.photos.thumbnails import DRAWING, accepted_form, picture_response
from web.schemas.answers import about
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

blueprint = ApiBlueprint("photos", __name__, url_prefix=f"{PREFIX}/photos", description="Images of reference photos")

SIZES: Final = (160, 320, 640, 1280)  # pixels of the longer side; few, to limit the number of variants
WEBP: Final = {200: {"content": {"image/webp": {"schema": {"type": "string", "format": "binary"}}}}}
"""The second media type in the OpenAPI document, besides JPEG."""

YEAR: Final = 31_536_000  # seconds
HOUR: Final = 3600


class PictureQuery(Schema):
    """The size of an image."""

    size = fields.Integer(
        load_default=640,
        validate=validate.OneOf(SIZES),
        metadata=about("Pixels of the longer side, at most; smaller photos keep their size."),
    )


def find_photo(sha256: str) -> str:
    """Return the digest of a reference photo of any published line; raises UnknownPhoto."""
    published = services().published
    try:
        with published.lease() as snapshot:
            return snapshot.reference_of_photo(sha256).photo
    except UnknownPhoto:
        for line in published.lines():
            with suppress(SnapshotError, UnknownPhoto), published.lease(line) as snapshot:
                return snapshot.reference_of_photo(sha256).photo
        raise


@blueprint.route("/<string:sha256>")
@blueprint.arguments(PictureQuery, location="query")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="image/jpeg")
@blueprint.doc(responses=WEBP)
def draw_reference_photo(query: dict[str, Any], sha256: str) -> Response:
    """Serve a reference photo without metadata: as WebP if `Accept` names it, else as JPEG.

    The image at a URL never changes. Those of observations, which their observers may remove, are not for shared
    caches. Show it with its author and licence.
    """
    given = services()
    photo = find_photo(sha256)
    cacheable = given.photos.is_cacheable(photo)  # before reading the cache: raises if the photo was withdrawn
    form, size = accepted_form(), query["size"]
    response = picture_response(f"{photo}-{size}-{DRAWING}", form)
    if cacheable:
        response.cache_control.public = True
        response.cache_control.max_age = YEAR
        response.cache_control.immutable = True
    else:
        response.cache_control.private = True
        response.cache_control.max_age = HOUR
    if response.status_code == 304:
        return response
    try:
        picture = given.thumbnails.draw(
            f"{photo}-{size}-{DRAWING}.{form.lower()}",
            lambda: draw_picture(given.photos.read(photo), size, form, CURATED),
            keep=lambda: cacheable,
        )
    except (UnreadablePhoto, PhotoTooLarge) as error:
        raise UnknownPhoto(f"reference photo {photo} cannot be drawn: {error}") from error
    response.set_data(picture)
    return response
