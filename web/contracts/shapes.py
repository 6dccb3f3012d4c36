"""Errors in the shape that each contract's clients read; statuses as in `web.http.errors`, but 400 for 422.

iNaturalist alone has a 422: for a missing image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from flask import Response, json, request

from web.http.errors import Problem

NAMES: Final[Mapping[int, str]] = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Payload Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
MESSAGES: Final[Mapping[str, str]] = {
    "unknown-flora": "Unknown project",
    "unsupported-photo": "Unsupported file type",
    "not-signed-in": "Unauthorized",
}
"""What Pl@ntNet says in these words, and clients compare; all else in ours."""

SPECIES_NOT_FOUND: Final = "Species not found"
"""For rejected photos and for answers without a species, to the letter."""


def plantnet_error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """`{statusCode, error, message}`."""
    body = {"statusCode": status, "error": NAMES.get(status, "Error"), "message": message}
    return json_response(body, status, headers)


def plantnet_problem(problem: Problem) -> Response:
    """A problem in Pl@ntNet's shape."""
    status = problem.status
    kind = problem.type.rpartition("#")[2]
    message = MESSAGES.get(kind, problem.detail)
    if kind == "no-photo":
        message = message.removesuffix(".")  # `"images" is required`, to the letter
    if status == 404 and problem.type == "about:blank":
        message = "There is no such route; /api/contracts/openapi.json lists those there are."
    return plantnet_error(status, message, problem.headers)


def inaturalist_problem(problem: Problem) -> Response:
    """`{error: {original: {error}}, status}`, as iNaturalist's clients read it: 422 where the image is missing.

    A request that is no form has no image either; only a photo of an unsupported format is 415.
    """
    kind = problem.type.rpartition("#")[2]
    missing = kind == "no-photo" or (problem.status == 415 and kind != "unsupported-photo")
    status = 422 if missing else problem.status
    body = {"error": {"original": {"error": problem.detail}}, "status": status}
    return json_response(body, status, problem.headers)


def c4c_problem(problem: Problem) -> Response:
    """`{status: "error"}` with the reason beside it."""
    body = {"status": "error", "message": problem.detail, "statusCode": problem.status}
    return json_response(body, problem.status, problem.headers)


def danish_problem(problem: Problem) -> Response:
    """`{error, message}`."""
    body = {"error": NAMES.get(problem.status, problem.title), "message": problem.detail}
    return json_response(body, problem.status, problem.headers)


SHAPES: Final[tuple[tuple[str, Callable[[Problem], Response]], ...]] = (
    ("/v1/", inaturalist_problem),
    ("/v2/computervision", inaturalist_problem),
    ("/v2/", plantnet_problem),
    ("/c4c/", c4c_problem),
    ("/api/imagevision", danish_problem),
)


def shape_problem(problem: Problem) -> Response | None:
    """The problem as the contract of the address has it; None for addresses of our own."""
    problem = replace(problem, status=400) if problem.status == 422 else problem
    shape = next((shape for prefix, shape in SHAPES if request.path.startswith(prefix)), None)
    return shape(problem) if shape else None


def json_response(body: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """JSON with a status."""
    return Response(json.dumps(body), status, dict(headers or {}), mimetype="application/json")
