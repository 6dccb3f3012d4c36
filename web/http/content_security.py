"""The Content-Security-Policy of every page."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{tiles}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Only our own files, and images made by a page itself (`blob:`); also map tiles from the configured server."""


def content_security_policy(tiles: str) -> str:
    """Return the Content-Security-Policy; `tiles` is the URL of map tiles, or empty."""
    parts = urlsplit(tiles)
    host = parts.netloc.replace("{s}", "*")
    return POLICY.format(tiles=f" {parts.scheme}://{host}" if host else "")
