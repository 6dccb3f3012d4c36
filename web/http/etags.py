"""ETags for answers that only change with the snapshot."""

from __future__ import annotations

from hashlib import sha256

from flask import Response, g, request

from retrieval.snapshots.snapshot import Snapshot

FORM = 1  # raised when the format of answers changes: it is part of their ETags


def follows(snapshot: Snapshot, more: str = "") -> None:
    """Declare that the answer depends only on the snapshot and on `more`."""
    g.dependencies = f"{snapshot.edition} {more}"


def set_etag(response: Response) -> Response:
    """Add the ETag to such an answer, and return 304 to a client that has it."""
    dependencies = g.get("dependencies")
    if dependencies is None or request.method not in {"GET", "HEAD"} or response.status_code != 200:
        return response
    asked = f"{FORM} {dependencies} {request.full_path}"
    response.set_etag(sha256(asked.encode()).hexdigest()[:32], weak=True)
    response.cache_control.no_cache = True
    if "caller" in g:  # requested with a key or signed in: private
        response.cache_control.private = True
    response.make_conditional(request)
    return response
