"""Answers with a share link."""

from __future__ import annotations

from flask import Response, render_template, request

from retrieval.errors import FungariumError
from retrieval.snapshots.snapshot import Snapshot
from web.pages.blueprint import blueprint
from web.pages.identify import FRAGMENT, OPEN, make_choice, previews_of
from web.services import services


@blueprint.route("/answers/<string:name>")
def show_answer(name: str) -> str:
    """Show a stored answer as it was given; reference photos in it may have been withdrawn since."""
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
    except FungariumError:  # without a published snapshot the answer is shown, but no form
        return render_template("identify.html", choice=None, snapshot=None, **shown)


def render_kept(snapshot: Snapshot, shown: dict[str, object]) -> str:
    """Render a stored answer with an empty form below it."""
    return render_template("identify.html", choice=make_choice(snapshot, {}), snapshot=snapshot, **shown)


@blueprint.route("/answers/<string:name>/photos/<int:number>")
def show_answer_photo(name: str, number: int) -> Response:
    """Serve one of the person's photos, scaled down and without metadata."""
    response = Response(services().answers.photo(name, number), mimetype="image/jpeg")
    response.cache_control.private = True
    response.cache_control.max_age = 3600
    return response
