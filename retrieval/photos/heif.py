"""HEIC photos, as phones send them, where pillow-heif is installed; it is optional for its codecs' licences."""

from __future__ import annotations

from functools import cache

from retrieval.errors import UnsupportedPhoto


@cache
def register_heif() -> None:
    """Teach Pillow to open HEIC; raises UnsupportedPhoto, which names the package, where it is missing."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise UnsupportedPhoto("HEIC photos cannot be read here: install pillow-heif, or send a JPEG") from error
    register_heif_opener()
