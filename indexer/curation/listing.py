"""Imports a checklist: its taxa into the catalogue, with the status of each in the checklist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from database.session import Database, Session
from database.taxonomy.checklists import PRESENT, ChecklistRevision, ListedTaxon, count_checklist
from database.taxonomy.merging import merge_taxa
from database.taxonomy.register import LONGEST_NAME, SPECIES, TaxonEntry, TaxonRegister
from indexer.curation.checklists import ChecklistLine, read_checklist
from indexer.curation.names import parse_name
from indexer.records import RejectedRecord
from retrieval.domain import RANKS
from retrieval.progress import Progress, silent

WIDER_RANKS = RANKS[:-1]
HOMONYM = "the synonym is spelt as an accepted name of this list; it was not kept, or it would stand for that one"
BATCH = 1000  # lines stored together


@dataclass(frozen=True, slots=True)
class ChecklistReport:
    """Counts of a checklist's lines: accepted + rejected = read."""

    checklist: str
    read: int
    accepted: int
    taxa: int  # pairs of taxon and country in the checklist
    added: int  # of these, those new in the checklist
    present: int  # species present in any country
    statuses: tuple[tuple[str, int], ...]  # (status other than present, pairs)
    rejections: tuple[RejectedRecord, ...]
    remarks: tuple[RejectedRecord, ...] = ()  # of accepted lines: dropped values and keys, merged species


def import_checklist(
    database: Database,
    path: Path,
    *,
    checklist: str,
    title: str = "",
    region: str = "",
    encoding: str = "",
    progress: Progress = silent,
) -> ChecklistReport:
    """Import a checklist, replacing earlier data under its id; idempotent.

    Names are matched by GBIF key, accepted name or synonym; others become new taxa. A species of the catalogue that is
    a synonym in the checklist becomes one, and its observations move to the accepted species. `progress` is called with
    the number of lines read. Raises ArchiveError or DatabaseError; nothing is stored then.
    """
    rejections: list[RejectedRecord] = []
    remarks: list[RejectedRecord] = []
    read = 0
    with database.writing() as session:
        revision = ChecklistRevision(session, checklist, title=title, region=region, source=str(path))
        register = TaxonRegister()
        for batch in _batches(read_checklist(path, encoding=encoding)):
            entries = [line if isinstance(line, RejectedRecord) else _entry(line) for line in batch]
            rejections += [entry for entry in entries if isinstance(entry, RejectedRecord)]
            pairs = [
                (line, entry)
                for line, entry in zip(batch, entries, strict=True)
                if isinstance(line, ChecklistLine) and isinstance(entry, TaxonEntry)
            ]
            remarks += [_remark("homonym", HOMONYM, line) for line, _ in pairs if line.is_homonym]
            remarks += [value for line, _ in pairs for value in line.dropped]
            remarks += _file(session, register, revision, pairs)
            read += len(batch)
            progress(f"import {checklist}", len(batch))
        added = revision.finish()
        counts = count_checklist(session, checklist)
    return ChecklistReport(
        checklist=checklist,
        read=read,
        accepted=read - len(rejections),
        taxa=counts.lines,
        added=added,
        present=counts.present,
        statuses=counts.statuses,
        rejections=tuple(sorted(rejections, key=lambda rejection: (rejection.file, rejection.line))),
        remarks=tuple(remarks),
    )


def count_reasons(records: Iterable[RejectedRecord]) -> list[tuple[str, int]]:
    """Count records by reason, most frequent first."""
    return Counter(record.reason for record in records).most_common()


def _file(
    session: Session,
    register: TaxonRegister,
    revision: ChecklistRevision,
    pairs: Sequence[tuple[ChecklistLine, TaxonEntry]],
) -> Iterator[RejectedRecord]:
    """Store a batch of lines; returns remarks on them."""
    taxa = register.file_all(session, [entry for _, entry in pairs])
    lines = {name: line for line, _ in reversed(pairs) for name in (line.scientific_name, line.synonym_of)}
    for conflict in register.conflicts:
        line = lines.get(conflict.name)
        detail = f"key {conflict.gbif_key} is that of {conflict.known}, not of {conflict.name}; the name was believed"
        yield _remark("key-of-another-species", detail, line)
    register.conflicts.clear()
    merged: dict[int, int] = {}
    for claim in register.claimed:
        into = claim.accepted
        while into in merged:
            into = merged[into]
        if claim.taxon in merged or claim.taxon == into:
            continue
        merge_taxa(session, claim.taxon, into)
        merged[claim.taxon] = into
        detail = f"{claim.name} was a species of the catalogue; it and its observations now belong to the accepted name"
        yield _remark("merged-species", detail, lines.get(claim.name))
    if register.claimed:
        register.claimed.clear()
        register.forget()
    revision.put([
        listed
        for (line, _), taxon in zip(pairs, taxa, strict=True)
        for listed in _listed(line, merged.get(taxon, taxon))
        if line.listed
    ])  # fmt: skip


def _remark(reason: str, detail: str, line: ChecklistLine | None) -> RejectedRecord:
    if line is None:
        return RejectedRecord(reason, detail)
    return RejectedRecord(reason, f"{line.file}, line {line.line}: {detail}", line.file, line.line)


def _batches(lines: Iterable[ChecklistLine | RejectedRecord]) -> Iterator[list[ChecklistLine | RejectedRecord]]:
    waiting = iter(lines)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def _entry(line: ChecklistLine) -> TaxonEntry | RejectedRecord:
    """Return the accepted taxon of a line; infraspecific taxa are listed as their species."""
    given = line.synonym_of or line.scientific_name
    rank = line.taxon_rank if line.taxon_rank in WIDER_RANKS else SPECIES
    name = given if rank in WIDER_RANKS else parse_name(given).species
    if not name or len(name) > LONGEST_NAME:
        said = f"of rank {line.taxon_rank}" if line.taxon_rank else "no scientific name"
        return RejectedRecord(
            "not-to-species", f"{given[:80]!r} is {said}, which no flora counts", line.file, line.line
        )
    is_same = name == line.scientific_name
    return TaxonEntry(
        name=name,
        rank=rank,
        authorship=line.scientific_name_authorship if is_same else "",
        gbif_key=line.accepted_key,
        lineage=line.lineage if not line.synonym_of else (),
        lineage_keys=line.lineage_keys if not line.synonym_of else (),
        synonyms=((line.scientific_name, line.gbif_key),) if line.synonym_of and not line.is_homonym else (),
        vernacular_names=line.vernacular_names,
        toxicity=line.toxicity,
    )


def _listed(line: ChecklistLine, taxon: int) -> list[ListedTaxon]:
    return [
        ListedTaxon(taxon, country, line.occurrence_status or PRESENT, line.establishment_means, line.toxicity)
        for country in line.country_codes or ("",)
    ]
