"""Versions of resources, so that nobody overwrites changes they have not seen.

A resource's version is a digest of what can be changed of it. Responses carry it as the first part of their ETag and as
`version`; a change returns it in `If-Match` or as `version`. The second part of an ETag covers the rest of the
response, which a change does not affect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final, ParamSpec, TypeVar

from flask import Flask, Response, current_app, g, request

from web.http.refusals import ChangedMeanwhile, VersionMissing

Parameters = ParamSpec("Parameters")
Reply = TypeVar("Reply")

DIGITS: Final = 16  # characters of a version: enough to make collisions of states improbable
CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PREFIX: Final = "/api/v1/"


def version_of(values: Any) -> str:
    """Return the version of JSON values; dates are hashed in their text form."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return sha256(text.encode()).hexdigest()[:DIGITS]


def tag_answer(version: str, answer: Mapping[str, Any]) -> None:
    """Give the response to this request an ETag with the version of the resource shown."""
    g.etag = f"{version}.{version_of(answer)}"


def set_version_etag(response: Response) -> Response:
    """Set the ETag from `tag_answer`; respond 304 if the client has this response already."""
    etag = g.get("etag")
    if etag is None or response.status_code not in {200, 201}:
        return response
    response.set_etag(etag)
    response.cache_control.no_cache = True
    response.cache_control.private = True
    if request.method in {"GET", "HEAD"}:
        response.make_conditional(request)
    return response


def check_version(current: str, given: str | None = None, *, required: bool = False) -> None:
    """Compare the resource's version with the one that the request is based on: `given`, or `If-Match`.

    Raises ChangedMeanwhile if they differ, VersionMissing if it is `required` and not given. Tags are compared by
    version, weak or strong: compressing proxies weaken tags.
    """
    sent = "If-Match" in request.headers and not request.if_match.star_tag
    stated = [tag.partition(".")[0] for tag in request.if_match.as_set(include_weak=True)]
    if (sent and current not in stated) or (given and given != current):
        raise ChangedMeanwhile(
            "this was changed after you fetched it; fetch it again, look at what changed, and send your change again",
            {"ETag": f'"{current}"'},
        )
    if required and not sent and not given:
        raise VersionMissing(
            "say what your change was made from: send the ETag of the answer as If-Match, or its `version`"
        )


def versioned(view: Callable[Parameters, Reply]) -> Callable[Parameters, Reply]:
    """Mark a route that compares `If-Match`; all others refuse the header."""
    view.knows_versions = True  # type: ignore[attr-defined] # functools.wraps carries it on
    return view


def refuse_useless_conditions() -> None:
    """Refuse `If-Match` where it would be ignored, since the client relies on it to prevent lost updates."""
    if request.method not in CHANGING or "If-Match" not in request.headers or not request.path.startswith(PREFIX):
        return
    view = current_app.view_functions.get(request.endpoint or "")
    if view is not None and not getattr(view, "knows_versions", False):
        raise ChangedMeanwhile("what is at this address has no versions to compare with If-Match; send it without")


def register_versions(app: Flask) -> None:
    """Check conditions before anything is changed."""
    app.before_request(refuse_useless_conditions)
