"""Answers with a share link."""

from __future__ import annotations

from typing import Any

from flask import Response, render_template, request

from retrieval.errors import FungariumError, UnknownPhoto
from retrieval.snapshots.snapshot import Snapshot
from web.pages.blueprint import blueprint
from web.pages.identify import FRAGMENT, OPEN, make_choice, previews_of
from web.services import services


@blueprint.route("/answers/<string:name>")
def show_answer(name: str) -> str:
    """Show a stored answer as it was given, without the reference photos that are no longer published."""
    answer = services().answers.read(name)
    shown = {"previews": previews_of(name, answer["photos"]), "notice": answer["notice"], "OPEN": OPEN, "kept": name}
    try:
        with services().published.lease() as snapshot:
            shown["answer"] = keep_published(answer, snapshot)
            if FRAGMENT in request.headers:
                return render_template("answer_fragment.html", **shown)
            return render_kept(snapshot, shown)
    except FungariumError:  # without a published snapshot the answer is shown, but no photo of it, and no form
        shown["answer"] = keep_published(answer, None)
        if FRAGMENT in request.headers:
            return render_template("answer_fragment.html", **shown)
        return render_template("identify.html", choice=None, snapshot=None, **shown)


def keep_published(answer: dict[str, Any], snapshot: Snapshot | None) -> dict[str, Any]:
    """Return a stored answer with the evidence that the published snapshot has: what was withdrawn since is gone."""

    def is_published(photo: str) -> bool:
        try:
            return snapshot is not None and snapshot.reference_of_photo(photo).photo == photo
        except UnknownPhoto:
            return False

    species = [
        candidate | {"evidence": [one for one in candidate["evidence"] if is_published(one["photo"])]}
        for candidate in answer["species"]
    ]
    return answer | {"species": species}


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
