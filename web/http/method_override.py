"""`X-HTTP-Method-Override: GET`: a query too long for a URL, sent as the JSON body of a POST.

Used by iNaturalist's own library. The request becomes a GET, with the values of the body as its query.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from flask import request
from werkzeug.exceptions import BadRequest

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIXES: Final = ("/v1/", "/v2/")  # paths of contracts with other services; API v1 does not need it
UNREADABLE: Final = "fungarium.unreadable_question"  # in the environment of a request
MOST: Final = 100_000  # largest number of bytes of such a body


class MethodOverride:
    """WSGI middleware in front of an application."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on, as a GET if its header asks for that."""
        override = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").strip().upper()
        asks = environ["REQUEST_METHOD"] == "POST" and override == "GET"
        if asks and environ.get("PATH_INFO", "").startswith(PREFIXES):
            become_get(environ)
        return self._application(environ, start_response)


def become_get(environ: WSGIEnvironment) -> None:
    """Turn a POST into a GET; values of the body are added to the query, except objects."""
    try:
        found = json.loads(read_body(environ) or b"{}")
    except (ValueError, RecursionError):
        found = None
    environ[UNREADABLE] = not isinstance(found, dict)
    pairs = [
        (name, json.dumps(one) if isinstance(one, bool) else str(one))
        for name, value in (found.items() if isinstance(found, dict) else ())
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, str | int | float)
    ]
    query = "&".join(part for part in (environ.get("QUERY_STRING", ""), urlencode(pairs)) if part)
    environ.update(REQUEST_METHOD="GET", QUERY_STRING=query, CONTENT_LENGTH="0")
    environ["wsgi.input"] = io.BytesIO()


def read_body(environ: WSGIEnvironment) -> bytes:
    """Return the body of a request, at most `MOST` bytes; raises ValueError for a longer one."""
    given = environ.get("CONTENT_LENGTH") or ""
    ends = bool(environ.get("wsgi.input_terminated"))  # a chunked body has no length, but can be read to its end
    length = min(int(given[:9]), MOST + 1) if given.isdecimal() else (MOST + 1) * ends
    body: bytes = environ["wsgi.input"].read(length)
    if len(body) > MOST:
        raise ValueError("the body is too long for a question")
    return body


def refuse_unreadable() -> None:
    """Raise BadRequest if the body was unreadable as a query; to be called before the route."""
    if request.environ.get(UNREADABLE):
        raise BadRequest(f"The body of a question must be a JSON object of at most {MOST:,} bytes.")
