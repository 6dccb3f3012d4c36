"""Answers that stay the same while a snapshot is published: a client that has one asks only whether it still holds."""

from __future__ import annotations

from hashlib import sha256

from flask import Response, g, request

from retrieval.snapshots.snapshot import Snapshot

FORM = 1  # raised when answers are told in another way: it is part of their ETags


def follows(snapshot: Snapshot, more: str = "") -> None:
    """The answer to this request is the same as long as this snapshot is published, and `more` says the same."""
    g.followed = f"{snapshot.edition} {more}"


def set_etag(response: Response) -> Response:
    """Give such an answer an ETag, and say 304 to whoever has it already."""
    followed = g.get("followed")
    if followed is None or request.method not in {"GET", "HEAD"} or response.status_code != 200:
        return response
    asked = f"{FORM} {followed} {request.full_path}"
    response.set_etag(sha256(asked.encode()).hexdigest()[:32], weak=True)
    response.cache_control.no_cache = True
    if "caller" in g:  # asked for with a key or signed in: for nobody else
        response.cache_control.private = True
    response.make_conditional(request)
    return response
