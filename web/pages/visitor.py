"""Who looks at a page, the forms that such people send, and what is said where a form could not be accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from flask import make_response, redirect, render_template, request
from marshmallow import Schema, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from retrieval.errors import FungariumError
from web.http.errors import Problem, describe_engine_error, describe_http_error, describe_wrong_values
from web.pages.identify import FRAGMENT
from web.pages.wording.problem_words import word_for_people

TROUBLE: Final = (FungariumError, ValidationError, HTTPException)
"""What a form may end in; `describe` says it in words."""


def load(schema: Schema, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a form as the API would read them, without those left empty; raises ValidationError."""
    given = {name: value for name, value in values.items() if name != "csrf_token" and value not in ("", [])}
    loaded: dict[str, Any] = schema.load(given)
    return loaded


def describe(error: Exception) -> Problem:
    """What went wrong, for the page."""
    if isinstance(error, ValidationError):
        messages = error.messages if isinstance(error.messages, dict) else {"form": error.messages}
        return word_for_people(describe_wrong_values(messages))
    if isinstance(error, HTTPException):
        return word_for_people(describe_http_error(error))
    if isinstance(error, FungariumError):
        return word_for_people(describe_engine_error(error))
    raise error


def render_form_again(template: str, error: Exception | Problem, **shown: Any) -> Response:
    """A form with what went wrong above it and what was typed still in it; the problem alone for a script."""
    problem = error if isinstance(error, Problem) else describe(error)
    if FRAGMENT in request.headers:
        page = render_template("problem_fragment.html", problem=problem)
    else:
        page = render_template(template, **{"typed": request.form, **shown, "problem": problem})
    response = make_response(page, problem.status)
    response.headers.extend(problem.headers)
    return response


def go_to(address: str) -> Response:
    """Go on to another page, by a link where a script has asked."""
    if FRAGMENT in request.headers:
        return make_response(render_template("done_fragment.html", address=address))
    return redirect(address, 303)


def own_path(text: str, otherwise: str) -> str:
    """A path of this server that a form names; never another server's."""
    parts = urlsplit(text)
    if parts.scheme or parts.netloc or not parts.path.startswith("/") or parts.path.startswith(("//", "/\\")):
        return otherwise
    return parts.path + (f"?{parts.query}" if parts.query else "")
