"""The import: archive -> records -> curated records -> photos -> database, in batches that can be cut short anywhere.

A batch is committed whole or not at all, and a run that was cut short is simply run again: files that were looked at
and have not changed are not read twice, and photos that are in the catalogue already are not added twice.
"""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

from database.collection import imports as log
from database.collection.duplicates import count_duplicates
from database.collection.imports import Inspection, RejectionEntry
from database.collection.observations import FiledPhoto, ObservationEntry, PhotoEntry, drop_photos, file_photos
from database.collection.photos import author_of
from database.session import Database, Session
from database.taxonomy import taxa
from database.taxonomy.taxa import LONGEST_NAME, TaxonEntry, TaxonRegister
from indexer.archives import read_archive
from indexer.archives.shelf import RowShelf
from indexer.curation.curate import CurationPolicy, curate
from indexer.curation.inspection import Inspected, PhotoDesk, address_of, inspect_photos, locate_photo
from indexer.curation.names import KnownNames, NameResolver
from indexer.curation.reasons import ADVICE, DROPPED, LISTED
from indexer.records import CuratedRecord, DroppedValue, Record, RejectedRecord
from retrieval.progress import Progress, silent

BATCH = 256  # records to a transaction


Reasons: TypeAlias = tuple[tuple[str, int], ...]
"""(reason, how many), the most frequent first."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What one import read and what became of it: accepted + rejected = read.

    `dropped` and `assumed` count values of the accepted: those left out, and those that something else stands for.
    `duplicates` counts this dataset's observations that are probably in another one too, by dataset.
    """

    dataset: str
    run: int
    read: int
    accepted: int
    added: int  # of the accepted, those that were not in the catalogue before
    rejected: Reasons
    dropped: Reasons = ()
    assumed: Reasons = ()
    duplicates: Reasons = ()

    @property
    def known(self) -> int:
        """Of the accepted, those that were in the catalogue already."""
        return self.accepted - self.added


def import_archive(
    database: Database,
    desk: PhotoDesk,
    policy: CurationPolicy,
    *,
    dataset: str,
    title: str = "",
    progress: Progress = silent,
    batch_size: int = BATCH,
) -> ImportReport:
    """Import every record of an archive into `dataset`, or say why not; `progress` is told of records looked at.

    Raises ArchiveError where the archive cannot be read on; what was imported until then stays.
    """
    source = desk.source
    with database.writing() as session:
        number = log.start_run(session, dataset, title=title, kind=source.kind, archive=str(source.path.resolve()))
        by_name, by_key = taxa.known_names(session)
    reasons, doubts = Counter[str](), Counter[str]()
    accepted = added = 0
    records = _addressed(read_archive(source), desk.base_url)
    with RowShelf() as refused:
        run = _Run(number, dataset, desk, policy, KnownNames(by_name, by_key), progress, refused)
        for batch in _batches(records, batch_size):
            outcomes, doubted = _import_batch(database, run, batch)
            filed = [outcome for outcome in outcomes if isinstance(outcome, FiledPhoto)]
            accepted += len(filed)
            added += sum(outcome.added for outcome in filed)
            reasons.update(outcome.reason for outcome in outcomes if isinstance(outcome, RejectedRecord))
            doubts.update(doubt.reason for _, doubt in doubted)
        with database.writing() as session:
            # At the end only: a photo may stand in several finds, and one that was refused in one is kept by another.
            keys = (row.key for row in refused.rows())
            while part := list(islice(keys, batch_size)):
                drop_photos(session, dataset, number, part)
            log.finish_run(session, number)
    with database.reading() as session:
        twins = count_duplicates(session, run=number)
    elsewhere = Counter({one if other == dataset else other: count for (one, other), count in twins.items()})
    dropped = Counter({reason: count for reason, count in doubts.items() if reason in DROPPED})
    counted = (_ranked(reasons), _ranked(dropped), _ranked(doubts - dropped))
    return ImportReport(
        dataset, number, accepted + reasons.total(), accepted, added, *counted, duplicates=_ranked(elsewhere)
    )


def _ranked(counted: Counter[str]) -> Reasons:
    return tuple(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def write_rejections(rejected: Iterable[RejectionEntry], path: Path, *, dropped: Iterable[RejectionEntry] = ()) -> int:
    """Write what was left out as CSV, beside and then in place; return the number of lines.

    First the records, then the values of records that were kept; each with its place, its text and what can be done.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.new")
    lines = 0
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["reason", "detail", "file", "line", "photo", "left_out", "term", "text", "what_to_do"])
        for left_out, entries in (("record", rejected), ("value", dropped)):
            for one in entries:
                where = (one.file, one.line or "", one.photo)
                advice = ADVICE.get(one.reason, "")
                left = "" if one.reason in LISTED else left_out  # nothing is: it was said of a line that is kept
                writer.writerow([one.reason, one.detail, *where, left, one.term, one.text, advice])
                lines += 1
    unfinished.replace(path)
    return lines


Outcome = FiledPhoto | RejectedRecord

TEXTS_OF = attrgetter(*(field.name for field in dataclasses.fields(CuratedRecord) if field.type == "str"))


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same from batch to batch."""

    number: int
    dataset: str
    desk: PhotoDesk
    policy: CurationPolicy
    names: NameResolver
    progress: Progress
    refused: RowShelf  # photos that curation refused, by their key
    register: TaxonRegister = field(default_factory=TaxonRegister)
    conflicts: dict[tuple[str, int | None], str] = field(default_factory=dict)  # (name, key) -> whose key it is


def _import_batch(
    database: Database, run: _Run, batch: Sequence[Record | RejectedRecord]
) -> tuple[list[Outcome], list[tuple[CuratedRecord, DroppedValue]]]:
    """Bring one batch into the catalogue; one outcome per record, in their order, and the doubts about the accepted."""
    curated = [_check(record, run.policy, run.names) for record in batch]
    located = [locate_photo(record, run.desk.source) for record in curated]
    addresses = [address_of(item[1]) for item in located if not isinstance(item, RejectedRecord)]
    with database.reading() as session:
        remembered = log.inspections(session, addresses)
    inspected = []
    for item in inspect_photos(run.desk, located, remembered):
        inspected.append(item)
        run.progress(f"import {run.dataset}", 1)
    for record, check in zip(batch, curated, strict=True):
        if _was_refused(record, check):
            run.refused.put(record.photo, {})
    with database.writing() as session:
        log.remember(session, list(_fresh(inspected, remembered)))
        outcomes = _file(session, run, inspected)
        doubted = _find_doubts(outcomes, curated, run.conflicts)
        _count(session, run.number, outcomes, doubted)
    return outcomes, doubted


def _find_doubts(
    outcomes: Sequence[Outcome],
    curated: Sequence[CuratedRecord | RejectedRecord],
    conflicts: Mapping[tuple[str, int | None], str],
) -> list[tuple[CuratedRecord, DroppedValue]]:
    """Pair what was doubted with the accepted record; a GBIF key that is another species' was dropped too."""
    found = []
    for outcome, record in zip(outcomes, curated, strict=True):
        if not (isinstance(outcome, FiledPhoto) and isinstance(record, CuratedRecord)):
            continue
        found += [(record, doubt) for doubt in record.doubts]
        if known := conflicts.get((record.species_name, record.species_key)):
            detail = f"key {record.species_key} is that of {known}, not of {record.species_name}; the name was believed"
            doubt = DroppedValue("key-of-another-species", "taxonKey", str(record.species_key), detail)
            found.append((record, doubt))
    return found


def _check(
    record: Record | RejectedRecord, policy: CurationPolicy, names: NameResolver
) -> CuratedRecord | RejectedRecord:
    if isinstance(record, RejectedRecord):
        return record
    checked = curate(record, policy, names)
    if isinstance(checked, RejectedRecord):
        return checked
    if not _is_text(record.photo):
        return _reject(checked, "unreadable-name", f"the photo's name {record.photo!a} is in no known alphabet")
    if len(checked.species_name) > LONGEST_NAME:
        return _reject(checked, "no-identification", f"a name of {len(checked.species_name)} characters is none")
    if policy.licences != "any" and not author_of(checked.creator, checked.rights_holder, checked.recorded_by):
        return _reject(checked, "no-author", "nobody is named who could be credited beside the photo")
    return _storable(checked)


def _fresh(inspected: Iterable[Inspected | RejectedRecord], remembered: dict[str, Inspection]) -> Iterator[Inspection]:
    for item in inspected:
        if not isinstance(item, RejectedRecord) and remembered.get(item[1].address) != item[1]:
            yield item[1]


def _file(session: Session, run: _Run, inspected: Sequence[Inspected | RejectedRecord]) -> list[Outcome]:
    outcomes: list[Outcome | None] = []
    waiting: list[tuple[int, CuratedRecord, Inspection]] = []
    for item in inspected:
        if isinstance(item, RejectedRecord):
            outcomes.append(item)
            continue
        record, inspection = item
        if not inspection.sha256:
            outcomes.append(_reject(record, inspection.reason, inspection.detail))
            continue
        waiting.append((len(outcomes), record, inspection))
        outcomes.append(None)
    taxa = run.register.file_all(session, [_taxon_entry(record) for _, record, _ in waiting])
    run.conflicts.update(((one.name, one.gbif_key), one.known) for one in run.register.conflicts)
    run.register.forget_remarks()
    entries = [
        _photo_entry(record, inspection, species)
        for (_, record, inspection), species in zip(waiting, taxa, strict=True)
    ]
    answers = file_photos(session, run.dataset, run.number, entries)
    for (at, record, _), answer in zip(waiting, answers, strict=True):
        outcomes[at] = answer if isinstance(answer, FiledPhoto) else _reject(record, answer.reason, answer.detail)
    return [outcome for outcome in outcomes if outcome is not None]


def _taxon_entry(record: CuratedRecord) -> TaxonEntry:
    return TaxonEntry(
        name=record.species_name,
        authorship=record.species_authorship,
        gbif_key=record.species_key,
        lineage=record.lineage,
        lineage_keys=record.lineage_keys,
        synonyms=((record.synonym, record.synonym_key),) if record.synonym else (),
        vernacular_names=((record.vernacular_language, record.vernacular_name),) if record.vernacular_name else (),
        toxicity=record.toxicity,
    )


def _photo_entry(record: CuratedRecord, inspection: Inspection, species: int) -> PhotoEntry:
    observation = ObservationEntry(
        key=record.observation or f"photo:{record.photo}",  # a photo that names none is an observation of its own
        species=species,
        event_date=record.event_date,
        decimal_latitude=record.decimal_latitude,
        decimal_longitude=record.decimal_longitude,
        coordinate_uncertainty=record.coordinate_uncertainty,
        country_code=record.country_code,
        recorded_by=record.recorded_by,
        habitat=record.habitat,
        substrate=record.substrate,
    )
    return PhotoEntry(
        record_key=record.photo,
        observation=observation,
        sha256=inspection.sha256,
        location=inspection.location,
        byte_count=inspection.byte_count,
        width=inspection.width,
        height=inspection.height,
        media_format=inspection.media_format,
        creator=record.creator,
        rights_holder=record.rights_holder,
        licence=record.licence,
        references=record.references,
        aspect=record.aspect,
        position=min(record.position, 2**31 - 1),
    )


def _count(
    session: Session, run: int, outcomes: Sequence[Outcome], doubted: Sequence[tuple[CuratedRecord, DroppedValue]]
) -> None:
    filed = [outcome for outcome in outcomes if isinstance(outcome, FiledPhoto)]
    rejections = [
        RejectionEntry(one.reason, one.detail, one.file, one.line, one.photo, one.field, one.text)
        for one in outcomes
        if isinstance(one, RejectedRecord)
    ]
    dropped = [
        RejectionEntry(doubt.reason, doubt.detail, record.file, record.line, record.photo, doubt.field, doubt.text)
        for record, doubt in doubted
        if doubt.reason in DROPPED
    ]
    added = sum(outcome.added for outcome in filed)
    log.count_batch(session, run, accepted=len(filed), added=added, rejections=rejections, dropped=dropped)


def _was_refused(record: Record | RejectedRecord, check: CuratedRecord | RejectedRecord) -> bool:
    """Tell whether curation itself refused a record: then a photo that an earlier run accepted must go."""
    return isinstance(check, RejectedRecord) and bool(record.photo) and _is_text(record.photo)


def _reject(record: CuratedRecord, reason: str, detail: str) -> RejectedRecord:
    return RejectedRecord(reason, detail, record.file, record.line, record.photo)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # bytes of a file name that are not UTF-8
        return False
    return "\0" not in name


def _storable(record: CuratedRecord) -> CuratedRecord:
    """Drop what no database takes: NUL characters, halves of surrogate pairs."""
    if _is_text("".join(TEXTS_OF(record))):
        return record
    odd: dict[str, Any] = {
        attribute.name: value.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")
        for attribute in dataclasses.fields(record)
        if isinstance(value := getattr(record, attribute.name), str) and not _is_text(value)
    }
    return dataclasses.replace(record, **odd)


def _addressed(records: Iterable[Record | RejectedRecord], base_url: str) -> Iterator[Record | RejectedRecord]:
    """Turn photo paths into addresses below `base_url`, if one is given; addresses stay what they are."""
    for record in records:
        if base_url and isinstance(record, Record) and record.photo and "://" not in record.photo:
            yield dataclasses.replace(record, photo=f"{base_url.rstrip('/')}/{quote(record.photo.lstrip('/'))}")
        else:
            yield record


def _batches(records: Iterable[Record | RejectedRecord], size: int) -> Iterator[list[Record | RejectedRecord]]:
    waiting = iter(records)
    while batch := list(islice(waiting, size)):
        yield batch
