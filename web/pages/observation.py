"""An observation's page: photos, automatic suggestions, people's identifications and their history."""

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
    """Show everything about an observation that the visitor may see."""
    return render_template("observation.html", **shown(key), typed={}, done=request.args.get("done", ""))


def shown(key: str) -> dict[str, Any]:
    """Return what the page of an observation and the review queue show of it."""
    asking = access.caller()
    with services().database().reading() as session:
        observation = observation_by_key(session, key)
        answer = observation_answer(observation, asking)
        history = [verdict_answer(verdict) for verdict in observation.verdicts]
    mine = asking.person.id if asking.person is not None else None
    valid = [one for one in history if one["superseded"] is None and one["person"]["id"] == mine]
    own = next((one for one in valid if one["kind"] in ("propose", "agree")), None)
    is_owner = mine is not None and mine == answer["recordedBy"]["id"]
    may_identify = "validate" in asking.scopes
    return {
        "observation": answer,
        "history": history,
        "suggestion": illustrate_suggestion(answer["suggestion"]),
        "own_identification": own,
        "confirmable": to_confirm(answer["suggestion"], own) if is_owner and may_identify else None,
        "is_owner": is_owner,
        "may_change": "write" in asking.scopes and (is_owner or "administer" in asking.scopes),
        "may_identify": may_identify,
        "is_expert": asking.is_expert,
        "CERTAINTIES": list(CERTAINTIES),
        "said": observation_words(answer),
    }


def to_confirm(suggestion: dict[str, Any] | None, own: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the first suggested species, unless the person has identified the observation to a species already."""
    if suggestion is None or not suggestion["candidates"]:
        return None
    if own is not None and own["taxon"]["taxonRank"] == "species":
        return None
    first: dict[str, Any] = suggestion["candidates"][0]
    return first


def illustrate_suggestion(suggestion: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the first candidates of a suggestion, with reference photos from the published snapshot, if any."""
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
    except FungariumError:  # no published snapshot, or one without these species: show the names alone
        photos = {}
    return [one | {"photos": photos.get(one["taxonID"], [])} for one in first]
