"""The Content-Security-Policy of every page."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{tiles}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Only our own files, and pictures that a page made itself (`blob:`); map tiles from where the settings say."""


def content_security_policy(tiles: str) -> str:
    """The Content-Security-Policy; `tiles` is the address of map tiles, or empty."""
    parts = urlsplit(tiles)
    host = parts.netloc.replace("{s}", "*")
    return POLICY.format(tiles=f" {parts.scheme}://{host}" if host else "")
