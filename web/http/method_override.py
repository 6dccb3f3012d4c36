"""`X-HTTP-Method-Override: GET`: a question that is too long for an address, sent as the JSON body of a POST.

iNaturalist's own library asks so. It becomes the GET that it stands for, its values the query.
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

PREFIXES: Final = ("/v1/", "/v2/")  # of contracts with other services; API v1 has no need of it
UNREADABLE: Final = "fungarium.unreadable_question"  # in the environment of a request
MOST: Final = 100_000  # bytes of a body that is read as a question


class MethodOverride:
    """WSGI middleware in front of an application."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on, as the GET that it stands for where it says so."""
        override = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").strip().upper()
        asks = environ["REQUEST_METHOD"] == "POST" and override == "GET"
        if asks and environ.get("PATH_INFO", "").startswith(PREFIXES):
            become_get(environ)
        return self._application(environ, start_response)


def become_get(environ: WSGIEnvironment) -> None:
    """Turn a POST into a GET; what its body names is added to the query, objects left out."""
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
    """The body of a request, one byte more than `MOST` of it at most; raises ValueError for a longer one."""
    given = environ.get("CONTENT_LENGTH") or ""
    ends = bool(environ.get("wsgi.input_terminated"))  # a body in chunks, which has no length, can be read to its end
    length = min(int(given[:9]), MOST + 1) if given.isdecimal() else (MOST + 1) * ends
    body: bytes = environ["wsgi.input"].read(length)
    if len(body) > MOST:
        raise ValueError("the body is too long for a question")
    return body


def refuse_unreadable() -> None:
    """Raise BadRequest for a question whose body was none; to be called before the route."""
    if request.environ.get(UNREADABLE):
        raise BadRequest(f"The body of a question must be a JSON object of at most {MOST:,} bytes.")
