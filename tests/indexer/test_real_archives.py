"""The shared samples and cases: every record is accepted or rejected, or the archive is refused with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.archives import read_archive
from indexer.curation.checklists import ChecklistLine, read_checklist
from indexer.curation.curate import curate
from indexer.curation.names import KnownNames
from indexer.curation.texts import read_text
from indexer.records import ArchiveSource, CuratedRecord, Record, RejectedRecord
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import POLICY
from tests.indexer.curation.test_curate import says_nothing

LENIENT = replace(POLICY, licences="any", uncertain=True)
NOBODY = KnownNames()
VALUES = (
    ("event_date", "eventDate"), ("decimal_latitude", "decimalLatitude"), ("decimal_longitude", "decimalLatitude"),
    ("coordinate_uncertainty", "coordinateUncertaintyInMeters"), ("country_code", "countryCode"),
    ("licence", "license"), ("habitat", "habitat"), ("aspect", "subjectPart"),
)  # fmt: skip
ENDINGS = (".zip", ".tgz", ".csv", ".tsv", ".txt", ".json", ".xlsx")
NO_ARCHIVES = ("wgsrpd", "geofence", "inat-vision-fixtures", "plantnet", "images", "LICENSE", "README")


def archives(shared: Path) -> Iterator[Path]:
    for root in (shared / "samples", shared / "cases" / "import"):
        for path in sorted(root.rglob("*")):
            is_described = path.is_dir() and (path / "meta.xml").is_file()
            is_archive = is_described or (path.is_file() and path.name.lower().endswith(ENDINGS))
            if is_archive and not any(part in str(path.relative_to(shared)) for part in NO_ARCHIVES):
                yield path


def vanished(item: Record | RejectedRecord, curated: CuratedRecord | RejectedRecord) -> Iterator[tuple[str, str]]:
    """Values of a record that are neither in the curated one nor among what was dropped of it."""
    if not (isinstance(item, Record) and isinstance(curated, CuratedRecord)):
        return
    told = {doubt.field for doubt in curated.doubts}
    for field, term in VALUES:
        text = read_text(getattr(item, field))
        value = getattr(curated, field if field != "decimal_longitude" else "decimal_latitude")
        if text and value in (None, "") and term not in told and not says_nothing(field, text):
            yield field, text


def test_every_archive_is_read_to_its_end_or_refused_in_one_sentence(shared: Path) -> None:
    read, refusals = 0, []
    for path in archives(shared):
        try:
            items = list(read_archive(ArchiveSource("auto", path)))
        except ArchiveError as error:
            refusals.append(str(error))
            continue
        read += 1
        curated = [curate(item, POLICY, KnownNames()) if isinstance(item, Record) else item for item in items]
        kept = [item for item in curated if isinstance(item, CuratedRecord)]
        left_out = [item for item in curated if isinstance(item, RejectedRecord)]
        assert len(kept) + len(left_out) == len(items), path
        assert all(item.reason and item.detail for item in left_out), path
        assert all(doubt.reason and doubt.detail for item in kept for doubt in item.doubts), path
        pairs = zip(
            items, (curate(item, LENIENT, NOBODY) if isinstance(item, Record) else item for item in items), strict=True
        )
        assert not [lost for item, record in pairs for lost in vanished(item, record)], path

    assert read > 40
    assert len(refusals) > 5
    assert not [refusal for refusal in refusals if "\n" in refusal]


@pytest.mark.parametrize("folder", ["samples", "cases/import"])
def test_every_line_of_a_real_table_is_accounted_for(shared: Path, folder: str) -> None:
    """Of tables that are read by line: each physical line is a record, a rejection, or part of a quoted cell."""
    for path in sorted((shared / folder).rglob("*.csv")):
        try:
            items = list(read_archive(ArchiveSource("csv", path)))
        except ArchiveError:
            continue
        text = path.read_bytes().removesuffix(b"\n")
        lines = {item.line for item in items}
        assert max(lines, default=2) <= text.count(b"\n") + 1, path
        if b'"' not in text and text.count(b"\n\n") == 0:
            start = 3 if text.lower().startswith(b"sep=") else 2
            assert lines == set(range(start, text.count(b"\n") + 2)), path


def test_every_checklist_is_read_to_its_end_or_refused_in_one_sentence(shared: Path) -> None:
    read, refusals = 0, []
    for path in archives(shared):
        try:
            items = list(read_checklist(path))
        except ArchiveError as error:
            refusals.append(str(error))
            continue
        read += 1
        assert all(isinstance(item, ChecklistLine) or (item.reason and item.detail) for item in items), path

    assert read > 10
    assert not [refusal for refusal in refusals if "\n" in refusal]
