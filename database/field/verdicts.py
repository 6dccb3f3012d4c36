"""Verdicts on observations: identifications, approvals, withdrawals, and the resulting status.

All functions run in a writing session, of which there is one at a time: of two simultaneous verdicts, the second is
based on the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from database.accounts.people import utc_now
from database.errors import InvalidVerdict
from database.field.evidence import experience_of, is_obscured_taxon, occurrences_of
from database.field.models import FieldObservation, Proposal, Verdict
from database.field.obscuring import Place, obscure
from database.field.validation import CERTAINTIES, person_weight, score_of, status_of, taxon_weight
from database.models import Taxon
from database.taxonomy.lineages import ancestors

OPINIONS = ("propose", "agree")


def give_opinion(
    session: Session, observation: FieldObservation, person_id: int, taxon: Taxon, certainty: str, remarks: str = ""
) -> Verdict:
    """Identify an observation: propose a taxon, or agree with an existing proposal.

    A person has one identification of an observation; a new one supersedes it, and a repeated one is stored once.
    Raises InvalidVerdict.
    """
    if certainty not in CERTAINTIES:
        raise InvalidVerdict(f"certainty must be one of {', '.join(CERTAINTIES)}, not {certainty!r}")
    now = utc_now()
    for verdict in standing_verdicts(session, observation):
        mine = verdict.person_id == person_id and verdict.kind in OPINIONS
        if mine and (verdict.taxon_id, verdict.certainty, verdict.remarks) == (taxon.id, certainty, remarks):
            return verdict
    said_before = any(
        verdict.taxon_id == taxon.id and verdict.person_id != person_id and verdict.kind in OPINIONS
        for verdict in standing_verdicts(session, observation)
    )
    _supersede(session, observation, now, OPINIONS, person_id)
    kind = "agree" if said_before else "propose"
    return _say(session, observation, person_id, kind, taxon, now, certainty=certainty, remarks=remarks)


def withdraw_opinion(session: Session, observation: FieldObservation, person_id: int, remarks: str = "") -> Verdict:
    """Withdraw one's own identification, which remains in the history. Raises InvalidVerdict without one."""
    mine = [
        verdict
        for verdict in standing_verdicts(session, observation)
        if verdict.person_id == person_id and verdict.kind in OPINIONS
    ]
    if not mine:
        raise InvalidVerdict("you have no identification of this observation to withdraw")
    now, taxon = utc_now(), mine[0].taxon
    _supersede(session, observation, now, OPINIONS, person_id)
    return _say(session, observation, person_id, "withdraw", taxon, now, remarks=remarks)


def approve(
    session: Session, observation: FieldObservation, expert_id: int, taxon: Taxon, remarks: str = ""
) -> Verdict:
    """Approve a taxon for an observation, whatever its score; a later approval supersedes an earlier one.

    A repeated approval by the same expert is stored once.
    """
    now = utc_now()
    for verdict in standing_verdicts(session, observation):
        if verdict.kind == "approve" and (verdict.person_id, verdict.taxon_id, verdict.remarks) == (
            expert_id,
            taxon.id,
            remarks,
        ):
            return verdict
    _supersede(session, observation, now, ("approve",))
    return _say(session, observation, expert_id, "approve", taxon, now, remarks=remarks)


def take_back_approval(session: Session, observation: FieldObservation, expert_id: int, remarks: str = "") -> Verdict:
    """Withdraw an expert's approval, one's own or another's. Raises InvalidVerdict without one."""
    approvals = [verdict for verdict in standing_verdicts(session, observation) if verdict.kind == "approve"]
    if not approvals:
        raise InvalidVerdict("no expert has approved this observation")
    now, taxon = utc_now(), approvals[0].taxon
    _supersede(session, observation, now, ("approve",))
    return _say(session, observation, expert_id, "unapprove", taxon, now, remarks=remarks)


def standing_verdicts(session: Session, observation: FieldObservation) -> Sequence[Verdict]:
    """Return the active verdicts of an observation, oldest first."""
    query = select(Verdict).where(Verdict.observation_id == observation.id, Verdict.superseded.is_(None))
    return session.scalars(query.order_by(Verdict.id)).all()


def settle(session: Session, observation: FieldObservation) -> None:
    """Recompute scores, the leading proposal, the status and the public place."""
    session.flush()
    verdicts = standing_verdicts(session, observation)
    opinions = [verdict for verdict in verdicts if verdict.kind in OPINIONS]
    approval = next((verdict for verdict in verdicts if verdict.kind == "approve"), None)
    named = list(dict.fromkeys(verdict.taxon_id for verdict in [*opinions, *([approval] if approval else [])]))
    lineages = ancestors(session, named)
    _show_place(session, observation, lineages.values())  # first: scores are computed from public places
    kept = {proposal.taxon_id: proposal for proposal in observation.proposals}
    for taxon_id, proposal in kept.items():
        if taxon_id not in named:
            observation.proposals.remove(proposal)
    for taxon_id in named:
        proposal = kept.get(taxon_id) or Proposal(taxon_id=taxon_id, ingredients={})
        if taxon_id not in kept:
            observation.proposals.append(proposal)
        supporters = [verdict for verdict in opinions if verdict.taxon_id == taxon_id]
        _score(session, observation, proposal, supporters, lineages[taxon_id])
        proposal.expert_id = approval.person_id if approval is not None and approval.taxon_id == taxon_id else None
    session.flush()
    _lead(observation)
    observation.modified = utc_now()
    session.flush()


def _score(
    session: Session,
    observation: FieldObservation,
    proposal: Proposal,
    supporters: Sequence[Verdict],
    lineage: Sequence[Taxon],
) -> None:
    occurrences = occurrences_of(session, observation, proposal.taxon_id)
    weight = taxon_weight(occurrences, is_species=lineage[0].taxon_rank == "species")
    said: list[dict[str, Any]] = []
    for verdict in supporters:
        experience = experience_of(session, observation, verdict.person_id, verdict.certainty, lineage)
        said.append(
            {
                "person": verdict.person_id,
                "certainty": verdict.certainty,
                "approvedRecords": experience.records,
                "groupSpecies": experience.group_species,
                "weight": person_weight(experience),
            }
        )
    proposal.score = score_of([one["weight"] for one in said], weight) if said else None
    proposal.ingredients = {
        "taxonWeight": weight,
        "records": occurrences.records,
        "datedRecords": occurrences.dated,
        "recordsInMonth": occurrences.in_month,
        # In steps, since the distance to known records would reveal the place of an obscured observation.
        "nearRecord": occurrences.nearest_km is not None,
        "people": said,
    }


def public_place(
    latitude: float | None, longitude: float | None, uncertainty: float | None, *, is_obscured: bool
) -> dict[str, float | None]:
    """Return the columns of the public place (degrees, metres): the exact place, or the centre of its grid cell."""
    shown = None
    if latitude is not None and longitude is not None:
        exact = Place(latitude, longitude, uncertainty)
        shown = obscure(exact) if is_obscured else exact
    return {
        "public_latitude": shown.latitude if shown else None,
        "public_longitude": shown.longitude if shown else None,
        "public_uncertainty": shown.uncertainty if shown else None,
    }


def _lead(observation: FieldObservation) -> None:
    """Set the leading proposal: the approved one, else the one with the highest score, else the oldest."""
    ranked = sorted(observation.proposals, key=lambda one: (one.expert_id is None, -(one.score or 0), one.id))
    leading = ranked[0] if ranked else None
    by_expert = leading is not None and leading.expert_id is not None
    status = status_of(leading.score if leading is not None else None, by_expert=by_expert)
    if status != "approved":
        observation.approved = None
    elif observation.status != "approved" or leading is None or observation.taxon_id != leading.taxon_id:
        observation.approved = utc_now()
    observation.taxon_id = leading.taxon_id if leading is not None else None
    observation.score = leading.score if leading is not None else None
    observation.by_expert = by_expert
    observation.status = status


def _show_place(session: Session, observation: FieldObservation, lineages: Iterable[Sequence[Taxon]]) -> None:
    """Set the public place: a grid cell if the person, the observation or any proposed taxon is obscured."""
    asks = observation.obscured or observation.person.obscures or is_obscured_taxon(session, lineages)
    observation.is_obscured = asks
    exact = observation.decimal_latitude, observation.decimal_longitude, observation.coordinate_uncertainty
    for name, value in public_place(*exact, is_obscured=asks).items():
        setattr(observation, name, value)


def _supersede(
    session: Session,
    observation: FieldObservation,
    now: datetime,
    kinds: Sequence[str],
    person_id: int | None = None,
) -> None:
    old = update(Verdict).where(Verdict.observation_id == observation.id, Verdict.superseded.is_(None))
    old = old.where(Verdict.kind.in_(kinds))
    if person_id is not None:
        old = old.where(Verdict.person_id == person_id)
    session.execute(old.values(superseded=now), execution_options={"synchronize_session": "fetch"})


def _say(
    session: Session,
    observation: FieldObservation,
    person_id: int,
    kind: str,
    taxon: Taxon,
    now: datetime,
    *,
    certainty: str = "",
    remarks: str = "",
) -> Verdict:
    verdict = Verdict(
        observation_id=observation.id,
        person_id=person_id,
        kind=kind,
        taxon_id=taxon.id,
        certainty=certainty,
        remarks=remarks,
        created=now,
        superseded=now if kind in ("withdraw", "unapprove") else None,  # withdrawals are never active
    )
    observation.verdicts.append(verdict)
    session.flush()
    return verdict
