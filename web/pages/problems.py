"""What went wrong, said on a page: above the form with what was typed, or alone to the script that asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from flask import Response, make_response, render_template, request
from flask_babel import gettext

from retrieval.domain import NOTICE
from retrieval.errors import FungariumError
from web.http.errors import Problem
from web.pages.identify import FRAGMENT, make_choice, typed_words
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
    if FRAGMENT in request.headers:
        page = render_template("problem_fragment.html", problem=plain(problem))
    else:
        page = render_whole(problem)
    response = make_response(page, problem.status)
    response.headers.extend(problem.headers)
    return response


def plain(problem: Problem) -> Problem:
    """The problem in words for people where its own are for programs."""
    if is_no_page(problem):
        return replace(
            problem,
            title=gettext("There is no such page"),
            detail=gettext("The address may be mistyped, or what stood here is gone."),
        )
    if problem.status == 401:
        return replace(problem, title=gettext("Sign in first"))
    if "CSRF" not in problem.detail:
        return problem
    return replace(
        problem,
        title=gettext("This form is too old"),
        detail=gettext("Nothing was changed. Go back, load the page again, and send the form once more."),
    )


def is_no_page(problem: Problem) -> bool:
    """Whether there is nothing at the address at all."""
    return problem.status == 404 and problem.type == "about:blank"


def render_whole(problem: Problem) -> str:
    """The page of a problem, with the form wherever there is something to choose from."""
    if problem.status == 401 or is_no_page(problem) or request.path.startswith(APART):
        return render_template("problem.html", problem=plain(problem), typed={}, following=here())
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
