"""Verdicts: people's identifications of an observation, and experts' approvals."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from database.field.models import FieldObservation
from database.field.records import observation_by_key
from database.field.verdicts import approve, give_opinion, settle, take_back_approval, withdraw_opinion
from database.session import Session
from database.taxonomy.lineages import find_taxon
from web.api.accounts import signed_in
from web.http import access
from web.http.access import require
from web.http.refusals import NotAllowed
from web.schemas.observation_forms import Approval, Opinion, Withdrawal
from web.schemas.observations import (
    FieldObservationAnswer,
    History,
    observation_answer,
    verdict_answer,
)
from web.schemas.openapi import PREFIX, ApiBlueprint
from web.services import services

Parameters = ParamSpec("Parameters")
Reply = TypeVar("Reply")
blueprint = ApiBlueprint(
    "verdicts", __name__, url_prefix=f"{PREFIX}/observations", description="Identifications by people"
)


def experts_only(view: Callable[Parameters, Reply]) -> Callable[Parameters, Reply]:
    """Restrict a route to experts and administrators; raises NotAllowed."""

    @wraps(view)
    def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Reply:
        if not access.caller().is_expert:
            raise NotAllowed("only experts can approve an observation; agree or suggest a name instead")
        return view(*args, **kwargs)

    return guarded


@blueprint.route("/<string:key>/verdicts")
@require("read")
@blueprint.response(200, History)
def show_history(key: str) -> dict[str, Any]:
    """List all verdicts on an observation, including withdrawn and superseded ones."""
    with services().database().reading() as session:
        return {"verdicts": [verdict_answer(verdict) for verdict in observation_by_key(session, key).verdicts]}


@blueprint.route("/<string:key>/verdicts", methods=["POST"])
@require("validate")
@blueprint.arguments(Opinion)
@blueprint.response(200, FieldObservationAnswer)
def give_verdict(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Identify an observation: agree with a proposal, or make another.

    Each person has one identification; a new one supersedes it. The answer has the updated scores.
    """
    with services().database().writing() as session:
        observation = observation_by_key(session, key)
        taxon = find_taxon(session, taxon_id=form["taxon_id"], name=form["scientific_name"])
        give_opinion(session, observation, signed_in().id, taxon, form["certainty"], form.get("remarks", ""))
        return settled(session, observation)


@blueprint.route("/<string:key>/verdicts", methods=["DELETE"])
@require("validate")
@blueprint.arguments(Withdrawal, location="query")
@blueprint.response(200, FieldObservationAnswer)
def take_verdict_back(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Withdraw one's identification; it stays in the history."""
    with services().database().writing() as session:
        observation = observation_by_key(session, key)
        withdraw_opinion(session, observation, signed_in().id, form.get("remarks", ""))
        return settled(session, observation)


@blueprint.route("/<string:key>/approval", methods=["PUT"])
@require("validate")
@experts_only
@blueprint.arguments(Approval)
@blueprint.response(200, FieldObservationAnswer)
def approve_observation(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Approve a name, whatever the score; the observation is marked as approved by an expert. For experts."""
    with services().database().writing() as session:
        observation = observation_by_key(session, key)
        taxon = find_taxon(session, taxon_id=form["taxon_id"], name=form["scientific_name"])
        approve(session, observation, signed_in().id, taxon, form.get("remarks", ""))
        return settled(session, observation)


@blueprint.route("/<string:key>/approval", methods=["DELETE"])
@require("validate")
@experts_only
@blueprint.arguments(Withdrawal, location="query")
@blueprint.response(200, FieldObservationAnswer)
def take_expert_approval_back(form: dict[str, Any], key: str) -> dict[str, Any]:
    """Withdraw an expert's approval; the score decides again. For experts."""
    with services().database().writing() as session:
        observation = observation_by_key(session, key)
        take_back_approval(session, observation, signed_in().id, form.get("remarks", ""))
        return settled(session, observation)


def settled(session: Session, observation: FieldObservation) -> dict[str, Any]:
    """Update the observation's scores, and return it as JSON values."""
    settle(session, observation)
    session.expire(observation)
    return observation_answer(observation, access.caller())
