"""Keeps what was hidden or removed since out of the archives that lie ready for download.

An archive shows observations as they were when it was written. Before it is given out, its records are compared with
the database: those that are no longer approved or licensed leave it, and those that show something else now, such as
a grid cell instead of a place, or a photo less, are written again. New observations wait for the next export.
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from database.errors import StoreFull, StoreUnavailable
from database.exporting.archive import (
    describe,
    digest_of,
    header,
    join_rows,
    open_table,
    pack,
    read_state,
    write_state,
    writing,
)
from database.exporting.descriptors import DatasetCard
from database.exporting.rows import (
    IDENTIFICATION,
    LICENCES,
    MULTIMEDIA,
    OCCURRENCE,
    OF_GBIF,
    TABLES,
    TableForm,
    moment,
    occurrence_id,
    plain,
    render,
)
from database.field.approved import approved_changes, approved_observations, public_names
from database.field.photo_files import NO_ROOM
from database.session import Session
from retrieval.snapshots.manifest import checksum
from retrieval.snapshots.staging import settle_file

PACKED = "photos/"


@dataclass(slots=True)
class Changes:
    """The records of an archive that no longer show what they should, by occurrence id."""

    gone: set[str] = field(default_factory=set)
    renewed: dict[str, tuple[list[str], ...]] = field(default_factory=dict)  # rows in each of TABLES

    def __bool__(self) -> bool:
        return bool(self.gone or self.renewed)

    def apply(self, number: int, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines of a table, by its number in TABLES, as they should be."""
        left = dict(self.renewed)
        for line in lines:
            one = line.partition("\t")[0]
            if one in self.renewed:
                yield join_rows(left.pop(one)[number]) if one in left else ""
            elif one not in self.gone:
                yield line
        for tables in left.values():
            yield join_rows(tables[number])


def refresh_archive(session: Session, path: Path, photo: Callable[[str], bytes], *, today: date) -> bool:
    """Take out of an archive what was hidden or removed since it was written; return whether it was rewritten.

    `photo` returns the bytes of a photo. An archive without any record left is removed. Archives that were not written
    by this program are left alone. Raises ArchiveBusy, StoreFull, StoreUnavailable.
    """
    if not find_changes(session, path, read_state(path)):
        return False
    try:
        with writing(path, wait=False):
            state = read_state(path)
            changes = find_changes(session, path, state)
            if changes:
                rewrite(path, changes, state, photo)
                update_state(path, changes, state, today)
            return bool(changes)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreFull("the disk of the archives is full; the administrator has to free some space") from error
        raise StoreUnavailable(f"an archive could not be written again ({error.strerror})") from error


def is_foreign(path: Path) -> bool:
    """Return whether an archive was not written by this program."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(OCCURRENCE.file) as lines:
            return lines.readline() != header(OCCURRENCE).encode()
    except (zipfile.BadZipFile, KeyError):
        return True


def find_changes(session: Session, path: Path, state: Mapping[str, Any]) -> Changes:
    """Compare an archive's records with the database.

    Only those are read that changed since, whose last change is the latest of all, since more may have followed within
    the same second, or that name somebody who goes by another name now.
    """
    shown = read_records(path)
    approved = {occurrence_id(key): found for key, found in approved_changes(session).items()}
    names = {plain(name) for name in public_names(session)} | {""}
    card, licences = state.get("card"), state.get("licences", OF_GBIF)
    latest = max((modified for modified, _ in shown.values()), default="") if card else ""
    changes, doubtful = Changes(shown.keys() - approved.keys()), []
    for one, (modified, people) in shown.items():
        if one in approved and (modified == latest or modified != moment(approved[one][1]) or people - names):
            doubtful.append(approved[one][0])
    for found in approved_observations(session, sorted(doubtful)):
        one = occurrence_id(found.key)
        if card is None or found.licence not in licences:
            changes.gone.add(one)
            continue
        tables = render(found, dataset=card["title"], page=card["page"], packed=state["packed"])
        if digest_of(tables) != state["records"].get(one):
            changes.renewed[one] = tables
    return changes


def read_records(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Return the time of the last change and the people named of each record. Raises StoreUnavailable."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for row in read_rows(archive, OCCURRENCE):
                people = frozenset(row["identifiedBy"].split(" | "))
                found[row["id"]] = row["modified"], people | {row["recordedBy"], row["rightsHolder"]}
            for row in read_rows(archive, IDENTIFICATION):
                modified, people = found[row["id"]]
                found[row["id"]] = modified, people | {row["identifiedBy"]}
    except FileNotFoundError:  # removed meanwhile, since no record was left
        return {}
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError) as error:
        raise StoreUnavailable(f"the archive {path.name} is damaged; export it again") from error
    return found


def read_rows(archive: zipfile.ZipFile, table: TableForm) -> Iterator[dict[str, str]]:
    """Yield the rows of an archive's table."""
    with archive.open(table.file) as lines:
        yield from parse_rows(lines, table)


def parse_rows(lines: IO[bytes], table: TableForm) -> Iterator[dict[str, str]]:
    """Yield the rows of a table by the names of their columns. Raises ValueError if it is not one of ours."""
    if lines.readline() != header(table).encode():
        raise ValueError(f"{table.file} has other columns")
    columns = header(table).rstrip("\n").split("\t")
    for line in lines:
        yield dict(zip(columns, line.decode().rstrip("\n").split("\t"), strict=True))


def rewrite(path: Path, changes: Changes, state: Mapping[str, Any], photo: Callable[[str], bytes]) -> None:
    """Write an archive again with its changes; without any record left, remove it."""
    with (
        zipfile.ZipFile(path) as old,
        tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as temporary,
    ):
        folder, written, packed = Path(temporary), Path(temporary) / "archive.zip", set(old.namelist())

        def read(sha256: str) -> bytes:
            name = f"{PACKED}{sha256}.jpg"
            return old.read(name) if name in packed else photo(sha256)

        for number, table in enumerate(TABLES):
            source = TextIOWrapper(old.open(table.file), encoding="utf-8", newline="\n")
            with source as lines, open_table(folder / table.file) as file:
                file.writelines(changes.apply(number, lines))
        licences, days = set[str](), list[str]()
        changed = ""
        for row in read_table(folder, OCCURRENCE):
            licences.add(row["license"])
            days = [min([*days, row["eventDate"]]), max([*days, row["eventDate"]])] if row["eventDate"] else days
            changed = max(changed, row["modified"])
        if not changed:
            path.unlink()
            return
        texts = {name: old.read(name) for name in ("meta.xml", "eml.xml")}
        if "card" in state:
            names = {name for name, address in LICENCES.items() if address in licences}
            latest = date.fromisoformat(changed[:10])
            texts = describe(DatasetCard(**state["card"]), names, latest, [date.fromisoformat(day) for day in days])
        shown = {row["identifier"] for row in read_table(folder, MULTIMEDIA)}
        photos = {name: Path(name).stem for name in shown if name.startswith(PACKED)}
        pack(written, folder, texts, photos, read)
        settle_file(written, path)


def read_table(folder: Path, table: TableForm) -> Iterator[dict[str, str]]:
    """Yield the rows of a table that was written to a folder."""
    with (folder / table.file).open("rb") as lines:
        yield from parse_rows(lines, table)


def update_state(path: Path, changes: Changes, state: dict[str, Any], today: date) -> None:
    """Record the changes beside the archive."""
    records = {one: digest for one, digest in state.get("records", {}).items() if one not in changes.gone}
    records |= {one: digest_of(tables) for one, tables in changes.renewed.items()}
    deleted = state.get("deleted", {}) | dict.fromkeys(sorted(changes.gone), today.isoformat())
    whole = checksum(path) if path.exists() else ""
    write_state(path, {**state, "archive": whole, "records": records, "deleted": deleted})
