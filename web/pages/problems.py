"""Error pages: the problem above the form with the values entered, or alone for a script."""

from __future__ import annotations

from typing import Final

from flask import Response, make_response, render_template, request

from retrieval.domain import NOTICE
from retrieval.errors import FungariumError
from web.http.errors import Problem
from web.pages.identify import FRAGMENT, entered_values, make_choice
from web.pages.wording.problem_words import is_no_page, word_for_people
from web.pages.wording.template_words import here
from web.services import services

APART: Final = ("/observations", "/validate", "/me", "/sign-", "/administration")
"""Paths whose error pages do not show the home page's form."""


def wants_page() -> bool:
    """Return whether the request comes from a person in a browser, who expects a page."""
    if request.blueprint == "page":
        return True
    if request.path.startswith(("/api/", "/healthz", "/readyz", "/static/", "/assets/")):
        return False
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def render_problem(problem: Problem) -> Response:
    """Return the error page with the problem's status and headers."""
    worded = word_for_people(problem)
    if FRAGMENT in request.headers:
        page = render_template("problem_fragment.html", problem=worded)
    else:
        page = render_whole(worded)
    response = make_response(page, problem.status)
    response.headers.extend(problem.headers)
    return response


def render_whole(problem: Problem) -> str:
    """Render the page of a problem, with the home page's form below where it fits."""
    if problem.status == 401 or is_no_page(problem) or request.path.startswith(APART):
        return render_template("problem.html", problem=problem, typed={}, following=here())
    try:
        with services().published.lease() as snapshot:
            return render_template(
                "identify.html",
                choice=make_choice(snapshot, entered_values()),
                snapshot=snapshot,
                problem=problem,
                notice=NOTICE,
            )
    except FungariumError:
        return render_template("identify.html", choice=None, snapshot=None, problem=problem, notice=NOTICE)
