"""An observation's page: photos, what the engine said beside what people say, its history; and saying something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from flask import render_template, request

from database.field.records import observation_by_key
from database.field.validation import CERTAINTIES
from retrieval.answers.present import reference_json
from retrieval.errors import FungariumError
from web.http import access
from web.http.access import require
from web.pages.blueprint import blueprint
from web.pages.species import choose_photos
from web.pages.wording.observation_words import observation_words
from web.schemas.observations import observation_answer, verdict_answer
from web.services import services

BESIDE: Final = 3  # candidates of the suggestion whose reference photos are shown
PHOTOS: Final = 4  # of each


@blueprint.route("/observations/<string:key>")
@require("read")
def show_observation(key: str) -> str:
    """Everything that this visitor may know of it."""
    return render_template("observation.html", **shown(key), typed={}, done=request.args.get("done", ""))


def shown(key: str) -> dict[str, Any]:
    """What the pages of an observation and of the queue show of it."""
    asking = access.caller()
    with services().database().reading() as session:
        observation = observation_by_key(session, key)
        answer = observation_answer(observation, asking)
        history = [verdict_answer(verdict) for verdict in observation.verdicts]
    mine = asking.person.id if asking.person is not None else None
    standing = [one for one in history if one["superseded"] is None and one["person"]["id"] == mine]
    return {
        "observation": answer,
        "history": history,
        "suggestion": beside_suggestion(answer["suggestion"]),
        "own_word": next((one for one in standing if one["kind"] in ("propose", "agree")), None),
        "is_owner": mine is not None and mine == answer["recordedBy"]["id"],
        "may_change": "write" in asking.scopes
        and (mine == answer["recordedBy"]["id"] or "administer" in asking.scopes),
        "may_say": "validate" in asking.scopes,
        "is_expert": asking.is_expert,
        "CERTAINTIES": list(CERTAINTIES),
        "said": observation_words(answer),
    }


def beside_suggestion(suggestion: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The first candidates of what the engine said, with reference photos where the published snapshot has some."""
    if suggestion is None:
        return []
    first: Sequence[dict[str, Any]] = suggestion["candidates"][:BESIDE]
    try:
        with services().published.lease() as snapshot:
            photos = {
                one["taxonID"]: [
                    reference_json(photo) for photo in choose_photos(snapshot.references_of(one["taxonID"]), PHOTOS)
                ]
                for one in first
            }
    except FungariumError:  # nothing is published, or not what it was: the names are still known
        photos = {}
    return [one | {"photos": photos.get(one["taxonID"], [])} for one in first]
