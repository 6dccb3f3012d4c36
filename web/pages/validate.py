"""The review queue: observations that need an identification, one at a time, the least certain first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import render_template, request, url_for

from database.errors import UnknownName, UnknownObservation
from database.field.queue import doubtful
from database.taxonomy.lineages import find_taxon
from web.api.accounts import signed_in
from web.http.access import require
from web.http.errors import Problem
from web.pages.blueprint import blueprint
from web.pages.observation import shown
from web.pages.visitor import describe
from web.pages.wording.observation_words import validate_words
from web.services import services


@blueprint.route("/validate")
@require("validate")
def show_queue() -> str:
    """Show the requested observation of the queue, else the first."""
    args = request.args
    page = queue(args.get("at", ""), args.get("taxon", "").strip())
    return render_template("validate.html", **page, said_of=args.get("said", ""))


def queue(at: str, name: str, problem: Problem | None = None, typed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what the page shows of the queue at an observation; `name` limits it to a taxon and its descendants."""
    person = signed_in()
    with services().database().reading() as session:
        taxon = None
        if name:
            try:
                taxon = find_taxon(session, name=name[:1].upper() + name[1:]).id
            except UnknownName as error:
                problem = problem or describe(error)
        waiting = doubtful(session, person.id, taxon_id=taxon)
    keys = waiting.keys
    place = keys.index(at) if at in keys else 0
    chosen = keys[place] if keys else ""
    later = keys[place + 1] if place + 1 < len(keys) else ""
    try:
        what = shown(chosen) if chosen else {}
    except UnknownObservation:  # removed meanwhile
        what = {}
    return what | {
        "place": place + 1,
        "total": waiting.total,
        "filter": name,
        "earlier": address(keys[place - 1], name) if place else "",
        "later": address(later, name) if later else "",
        # After an identification the observation leaves the queue, and the next one is shown.
        "following": address(later, name, said=chosen),
        "problem": problem,
        "typed": typed or {},
        "said": validate_words(),
    }


def address(key: str, taxon: str, *, said: str = "") -> str:
    """Return the URL of the queue at an observation."""
    return url_for("page.show_queue", at=key or None, taxon=taxon or None, said=said or None)
