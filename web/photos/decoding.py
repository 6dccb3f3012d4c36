"""Decoding of photos for a request: in the processes of `retrieval.photos.decoders`, within the request's deadline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from retrieval.photos.decoders import DecodersBusy
from retrieval.photos.exif import PhotoMetadata
from retrieval.photos.views import PhotoLimits
from web.http.deadlines import DeadlinePassed, current_deadline
from web.services import services

QUALITY: Final = {"JPEG": 85, "WEBP": 80}  # which look alike


@contextmanager
def in_time() -> Iterator[float | None]:
    """Yield the seconds left to the request, None without a deadline; raises DeadlinePassed where they run out."""
    try:
        yield current_deadline().left()
    except DecodersBusy as error:
        raise DeadlinePassed from error


def draw(photo: bytes, side: int, limits: PhotoLimits, *, quality: int = 85, form: str = "JPEG") -> bytes:
    """Re-encode a photo upright and without metadata; raises the errors of `render_photo`, and DeadlinePassed."""
    return draw_sized(photo, side, limits, quality=quality, form=form)[0]


def draw_sized(
    photo: bytes, side: int, limits: PhotoLimits, *, quality: int = 85, form: str = "JPEG"
) -> tuple[bytes, tuple[int, int]]:
    """Like `draw`, with width and height of the result."""
    with in_time() as seconds:
        return services().decoders.picture(photo, side, limits, quality=quality, form=form, seconds=seconds)


def read_metadata(photo: bytes, limits: PhotoLimits) -> PhotoMetadata:
    """Read date and place of a photo; raises the errors of `open_photo`, and DeadlinePassed."""
    with in_time() as seconds:
        return services().decoders.metadata(photo, limits, seconds=seconds)


def draw_picture(photo: bytes, size: int, form: str, limits: PhotoLimits) -> bytes:
    """Re-encode a photo at a size (pixels of the longer side) in a format, JPEG or WEBP."""
    return draw(photo, size, limits, quality=QUALITY[form], form=form)
