"""What the pages with forms share: validation, error messages, redirects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from flask import make_response, redirect, render_template, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from retrieval.errors import FungariumError
from web.http.errors import Problem, describe_engine_error, describe_http_error, describe_invalid_values
from web.pages.identify import FRAGMENT
from web.pages.wording.problem_words import word_for_people

TROUBLE: Final = (FungariumError, ValidationError, HTTPException)
"""The errors of invalid forms, which `describe` converts to problems."""


def load(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """Validate a form with the API's schema, and return its values without empty ones; raises ValidationError."""
    given = {name: value for name, value in values.items() if name != "csrf_token" and value not in ("", [])}
    loaded: dict[str, Any] = schema.load(given)
    return loaded


def describe(error: Exception) -> Problem:
    """Convert an error to a problem in the visitor's language."""
    if isinstance(error, ValidationError):
        messages = error.messages if isinstance(error.messages, dict) else {"form": error.messages}
        return word_for_people(describe_invalid_values(messages))
    if isinstance(error, HTTPException):
        return word_for_people(describe_http_error(error))
    if isinstance(error, FungariumError):
        return word_for_people(describe_engine_error(error))
    raise error


def render_form_again(template: str, error: Exception | Problem, **shown: Any) -> Response:
    """Return the form with the problem above it and the values entered in it; for a script, the problem alone."""
    problem = error if isinstance(error, Problem) else describe(error)
    if FRAGMENT in request.headers:
        page = render_template("problem_fragment.html", problem=problem)
    else:
        page = render_template(template, **{"typed": request.form, **shown, "problem": problem})
    response = make_response(page, problem.status)
    response.headers.extend(problem.headers)
    return response


def go_to(address: str) -> Response:
    """Redirect to another page; a script receives the address instead."""
    if FRAGMENT in request.headers:
        return make_response(render_template("done_fragment.html", address=address))
    return redirect(address, 303)


def own_path(text: str, otherwise: str) -> str:
    """Return the path that a form names if it is on this server, else `otherwise`: no open redirects."""
    parts = urlsplit(text)
    if parts.scheme or parts.netloc or not parts.path.startswith("/") or parts.path.startswith(("//", "/\\")):
        return otherwise
    return parts.path + (f"?{parts.query}" if parts.query else "")
