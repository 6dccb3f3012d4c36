"""Errors in the format of each contract; statuses are those of `web.http.errors`, but 400 instead of 422.

Only iNaturalist has a 422: for a missing image.
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
"""Messages worded as by Pl@ntNet, since clients compare them; all others are this server's own."""

SPECIES_NOT_FOUND: Final = "Species not found"
"""The exact message for rejected photos and for answers without a species."""


def plantnet_error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """`{statusCode, error, message}`."""
    body = {"statusCode": status, "error": NAMES.get(status, "Error"), "message": message}
    return json_response(body, status, headers)


def plantnet_problem(problem: Problem) -> Response:
    """Return a problem in the format of Pl@ntNet."""
    status = problem.status
    kind = problem.type.rpartition("#")[2]
    message = MESSAGES.get(kind, problem.detail)
    if kind == "no-photo":
        message = message.removesuffix(".")  # `"images" is required`, verbatim
    if status == 404 and problem.type == "about:blank":
        message = "There is no such route; /api/contracts/openapi.json lists those there are."
    return plantnet_error(status, message, problem.headers)


def inaturalist_problem(problem: Problem) -> Response:
    """Return `{error: {original: {error}}, status}`, the format of iNaturalist; 422 if the image is missing.

    A request without a form has no image either; only an unsupported photo format gives 415.
    """
    kind = problem.type.rpartition("#")[2]
    missing = kind == "no-photo" or (problem.status == 415 and kind != "unsupported-photo")
    status = 422 if missing else problem.status
    body = {"error": {"original": {"error": problem.detail}}, "status": status}
    return json_response(body, status, problem.headers)


def c4c_problem(problem: Problem) -> Response:
    """Return `{status: "error"}` with the reason."""
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
    """Return a problem in the format of the path's contract; None for paths of API v1 and pages."""
    problem = replace(problem, status=400) if problem.status == 422 else problem
    shape = next((shape for prefix, shape in SHAPES if request.path.startswith(prefix)), None)
    return shape(problem) if shape else None


def json_response(body: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response with a status."""
    return Response(json.dumps(body), status, dict(headers or {}), mimetype="application/json")
