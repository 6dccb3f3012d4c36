"""CORS: which other web pages may call this server from a browser; for all routes.

Cookies from other pages are never accepted: a person signed in here is anonymous there, or uses a key.
"""

from __future__ import annotations

import re
from typing import Final

from flask import Flask, Response, request

EVERYBODY: Final = "*"
METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS: Final = (
    "Authorization", "Content-Type", "Accept", "If-None-Match", "If-Match", "X-API-Key", "X-Request-Id", "Prefer",
    "X-Via", "X-HTTP-Method-Override",
)  # fmt: skip
TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # what a header may be called: RFC 9110, 5.6.2
MOST_ASKED: Final = 40  # headers that a page may ask leave for
SHOWN: Final = (
    "RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, ETag, "
    "Location, Link, X-Request-Id"
)
REMEMBERED: Final = 600  # seconds for which a browser may cache the preflight


def parse_origins(text: str) -> tuple[str, ...]:
    """Parse origins from a list such as `https://fungi.example, http://localhost:5173`, or `*`."""
    return tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())


def register_cors(app: Flask, origins: tuple[str, ...]) -> None:
    """Answer preflight requests, and add CORS headers to every response, including errors."""

    def answer_preflight() -> Response | None:
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return Response(status=204) if asks and allowed_origin(origins) else None

    def add_headers(response: Response) -> Response:
        origin = allowed_origin(origins)
        if EVERYBODY not in origins and origins:
            response.vary.add("Origin")
        if origin:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = SHOWN
        if origin and request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = ", ".join(allowed_headers())
            response.vary.add("Access-Control-Request-Headers")
            response.headers["Access-Control-Max-Age"] = str(REMEMBERED)
        return response

    app.before_request(answer_preflight)
    app.after_request(add_headers)


def allowed_headers() -> list[str]:
    """Headers that an allowed page may send: those known here, and those that its browser asks for.

    Libraries have headers of their own, and one that is refused costs the whole request. None of them says who asks but
    keys, which are known anyway.
    """
    asked = [name.strip() for name in request.headers.get("Access-Control-Request-Headers", "").split(",")]
    known = {name.lower() for name in HEADERS}
    others = (name for name in asked[:MOST_ASKED] if TOKEN.fullmatch(name) and name.lower() not in known)
    return [*HEADERS, *dict.fromkeys(others)]


def allowed_origin(origins: tuple[str, ...]) -> str:
    """Return the allowed origin: `*`, the requesting page, or nothing."""
    if EVERYBODY in origins:
        return EVERYBODY
    asking = request.headers.get("Origin", "")
    return asking if asking in origins else ""
