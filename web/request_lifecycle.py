"""What every request passes before and after its route: id, deadline, admission, log."""

from __future__ import annotations

import re
import time
from typing import Final

from flask import Flask, Response, g, request

from web.http.admission import Overloaded
from web.http.deadlines import clear_deadline, set_deadline
from web.http.logging import accept_id, note_request, request_id
from web.inference.serving import serving
from web.services import services

HEADER: Final = "X-Request-Id"
WAITS: Final = re.compile(r"(?:^|[,;]\s*)wait=(\d{1,4}(?:\.\d{1,3})?)(?:$|[,;\s])")  # of the header Prefer, RFC 7240
PHOTO_FORMS: Final = ("multipart/", "application/x-ndjson")
TEXT_BYTES: Final = 1_000_000  # of a body that is no form with photos; routes that need more say so
UNKNOWN: Final = "(none)"


def register_request_lifecycle(app: Flask) -> None:
    """Register the handlers for every request of the application."""
    app.before_request(begin_request)
    app.after_request(name_request)
    app.teardown_request(end_request)


def begin_request() -> None:
    """Give the request an id, a deadline, a size limit and, if it brings photos, a place; raises Overloaded."""
    g.started = time.perf_counter()
    g.request_id = accept_id(request.headers.get(HEADER))
    request_id.set(g.request_id)
    set_deadline(asked_seconds(request.headers.get("Prefer"), services().throughput.deadline))
    if not request.mimetype.startswith(PHOTO_FORMS):
        request.max_content_length = TEXT_BYTES  # parsed JSON takes thirty times its bytes
    elif request.method == "POST":
        take_place()


def asked_seconds(prefer: str | None, most: float) -> float:
    """Return how long the client waits, in seconds, limited by the server's maximum."""
    found = WAITS.search(prefer or "")
    return min(max(float(found[1]), 0.001), most) if found else most


def take_place() -> None:
    """Acquire a place for the request until it ends, unless it has one; raises Overloaded.

    This happens before the form is read, which bounds the memory of waiting requests.
    """
    if "brought" in g:
        return
    given = serving()
    unknown = request.max_content_length or 0  # a body in chunks does not say how long it will be
    brought = request.content_length if request.content_length is not None else unknown
    try:
        given.gate.enter(brought)
    except Overloaded:
        given.metrics.refused.labels("overloaded").inc()
        raise
    g.brought = brought
    given.metrics.in_hand.set(given.gate.taken)


def name_request(response: Response) -> Response:
    """Return the id to the client, and log the request."""
    started, named = g.get("started"), g.get("request_id")
    if started is None:  # refused before it was received
        return response
    response.headers[HEADER] = named
    seconds = time.perf_counter() - started
    route = request.url_rule.rule if request.url_rule else UNKNOWN
    method = request.method if request.method in METHODS else UNKNOWN
    serving().metrics.requests.labels(method, route, str(response.status_code)).observe(seconds)
    note_request(
        method=method,
        route=route,
        status=response.status_code,
        milliseconds=1000 * seconds,
        received=request.content_length or 0,
        sent=response.content_length,
    )
    return response


METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def end_request(_: BaseException | None = None) -> None:
    """Release the place, and clear the deadline of the thread."""
    if (brought := g.pop("brought", None)) is not None:
        given = serving()
        given.gate.leave(brought)
        given.metrics.in_hand.set(given.gate.taken)
    clear_deadline()
    request_id.set("")
