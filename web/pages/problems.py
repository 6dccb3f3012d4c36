"""What went wrong, said on a page: above the form with what was typed, or alone to the script that asked."""

from __future__ import annotations

from typing import Final

from flask import Response, make_response, render_template, request

from retrieval.domain import NOTICE
from retrieval.errors import FungariumError
from web.http.errors import Problem
from web.pages.identify import FRAGMENT, make_choice, typed_words
from web.pages.wording.problem_words import is_no_page, word_for_people
from web.pages.wording.template_words import here
from web.services import services

APART: Final = ("/observations", "/validate", "/me", "/sign-", "/administration")
"""Where the form of the first page would be out of place."""


def wants_page() -> bool:
    """Whether a person in a browser waits for the answer."""
    if request.blueprint == "page":
        return True
    if request.path.startswith(("/api/", "/healthz", "/static/", "/assets/")):
        return False
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def render_problem(problem: Problem) -> Response:
    """The page with what went wrong on top, and the form with what was chosen below."""
    worded = word_for_people(problem)
    if FRAGMENT in request.headers:
        page = render_template("problem_fragment.html", problem=worded)
    else:
        page = render_whole(worded)
    response = make_response(page, problem.status)
    response.headers.extend(problem.headers)
    return response


def render_whole(problem: Problem) -> str:
    """The page of a problem, with the form wherever there is something to choose from."""
    if problem.status == 401 or is_no_page(problem) or request.path.startswith(APART):
        return render_template("problem.html", problem=problem, typed={}, following=here())
    try:
        with services().published.lease() as snapshot:
            return render_template(
                "identify.html",
                choice=make_choice(snapshot, typed_words()),
                snapshot=snapshot,
                problem=problem,
                notice=NOTICE,
            )
    except FungariumError:
        return render_template("identify.html", choice=None, snapshot=None, problem=problem, notice=NOTICE)
