"""HEIC photos, as taken by phones, if pillow-heif is installed. It is optional because of its codecs' licences."""

from __future__ import annotations

from functools import cache

from retrieval.errors import UnsupportedPhoto


@cache
def register_heif() -> None:
    """Register Pillow's HEIC opener; raises UnsupportedPhoto if pillow-heif is not installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnsupportedPhoto("HEIC photos cannot be read here: install pillow-heif, or send a JPEG") from error
    register_heif_opener()
