"""Which web pages of others may ask this server from a browser (CORS): one place for every route.

Cookies are never taken from other pages: whoever is signed in here is nobody there, and uses a key.
"""

from __future__ import annotations

from typing import Final

from flask import Flask, Response, request

EVERYBODY: Final = "*"
METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS: Final = "Authorization, Content-Type, Accept, If-None-Match, If-Match, X-API-Key, X-Request-Id, Prefer"
SHOWN: Final = (
    "RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, ETag, "
    "Location, Link, X-Request-Id"
)
REMEMBERED: Final = 600  # seconds that a browser need not ask again


def parse_origins(text: str) -> tuple[str, ...]:
    """Origins out of a list such as `https://fungi.example, http://localhost:5173`, or `*`."""
    return tuple(origin.strip().rstrip("/") for origin in text.split(",") if origin.strip())


def register_cors(app: Flask, origins: tuple[str, ...]) -> None:
    """Answer browsers that ask for leave, and mark every answer that another page may read, errors too."""

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
            response.headers["Access-Control-Allow-Headers"] = HEADERS
            response.headers["Access-Control-Max-Age"] = str(REMEMBERED)
        return response

    app.before_request(answer_preflight)
    app.after_request(add_headers)


def allowed_origin(origins: tuple[str, ...]) -> str:
    """What the answer allows: everybody, the page that asks, or nobody."""
    if EVERYBODY in origins:
        return EVERYBODY
    asking = request.headers.get("Origin", "")
    return asking if asking in origins else ""
