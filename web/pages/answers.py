"""A kept answer, at its link."""

from __future__ import annotations

from flask import Response, render_template, request

from retrieval.errors import FungariumError
from retrieval.snapshots.snapshot import Snapshot
from web.pages.blueprint import blueprint
from web.pages.identify import FRAGMENT, OPEN, make_choice, previews_of
from web.services import services


@blueprint.route("/answers/<string:name>")
def show_answer(name: str) -> str:
    """An answer as it was given; the references it shows may have gone since."""
    answer = services().answers.read(name)
    shown = {
        "answer": answer,
        "previews": previews_of(name, answer["photos"]),
        "notice": answer["notice"],
        "OPEN": OPEN,
        "kept": name,
    }
    if FRAGMENT in request.headers:
        return render_template("answer_fragment.html", **shown)
    try:
        with services().published.lease() as snapshot:
            return render_kept(snapshot, shown)
    except FungariumError:  # nothing is published just now: the answer is still there
        return render_template("identify.html", choice=None, snapshot=None, **shown)


def render_kept(snapshot: Snapshot, shown: dict[str, object]) -> str:
    """The page of a kept answer with an empty form below it."""
    return render_template("identify.html", choice=make_choice(snapshot, {}), snapshot=snapshot, **shown)


@blueprint.route("/answers/<string:name>/photos/<int:number>")
def show_answer_photo(name: str, number: int) -> Response:
    """One of the person's photos, small and without metadata."""
    response = Response(services().answers.photo(name, number), mimetype="image/jpeg")
    response.cache_control.private = True
    response.cache_control.max_age = 3600
    return response
