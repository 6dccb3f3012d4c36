"""A person's track record: how many of their identifications agree with approved ones, by group."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.field.models import FieldObservation, MorphologicalGroup, Proposal, Verdict
from database.field.verdicts import OPINIONS
from database.models import Taxon
from database.taxonomy.lineages import ancestors


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """Counts of a person's identifications in one group: all, those on approved observations, and correct ones."""

    group: str
    said: int
    settled: int
    right: int


def track_record(session: Session, person_id: int) -> list[GroupRecord]:
    """Count a person's active identifications by morphological group or genus; most identifications first.

    An identification is settled if its observation is approved, but not by the same person as an expert. It is correct
    if it gives the approved taxon or one of its ancestors.
    """
    own_mark = (
        select(Proposal.observation_id)
        .where(Proposal.expert_id == person_id, Proposal.observation_id == FieldObservation.id)
        .correlate(FieldObservation)
        .exists()
    )
    rows = session.execute(
        select(Verdict.taxon_id, FieldObservation.taxon_id, FieldObservation.status, own_mark)
        .join(FieldObservation, FieldObservation.id == Verdict.observation_id)
        .where(Verdict.person_id == person_id, Verdict.superseded.is_(None), Verdict.kind.in_(OPINIONS))
    ).all()
    lineages = ancestors(session, {taxon for named, approved, _, _ in rows for taxon in (named, approved) if taxon})
    names = group_names(session, lineages)
    tallies: dict[str, list[int]] = {}
    for named, approved, status, by_own_mark in rows:
        tally = tallies.setdefault(names.get(named, ""), [0, 0, 0])
        tally[0] += 1
        if status == "approved" and approved is not None and not by_own_mark:
            tally[1] += 1
            tally[2] += named in {taxon.id for taxon in lineages.get(approved, [])}
    records = [GroupRecord(group, *tally) for group, tally in tallies.items()]
    return sorted(records, key=lambda record: (-record.said, record.group))


def group_names(session: Session, lineages: dict[int, list[Taxon]]) -> dict[int, str]:
    """Return for each taxon the group of its nearest ancestor with one, else its genus, else its own name."""
    nodes = sorted({node.id for path in lineages.values() for node in path})
    groups = session.scalars(select(MorphologicalGroup).where(MorphologicalGroup.taxon_id.in_(nodes)))
    known = {group.taxon_id: group.name for group in groups}
    return {taxon: _name(path, known) for taxon, path in lineages.items()}


def _name(lineage: list[Taxon], known: dict[int, str]) -> str:
    for taxon in lineage:
        if taxon.id in known:
            return known[taxon.id]
    return next((taxon.scientific_name for taxon in lineage if taxon.taxon_rank == "genus"), lineage[0].scientific_name)
