"""A reader of FungiTastic and Danish Fungi: one CSV for each subset, photos in folders by subset and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from indexer.archives.container import is_there, open_file
from indexer.archives.csv_file import open_table, share_attribution
from indexer.archives.lines import Row
from indexer.archives.terms import TABLE_TERMS, find_columns, plain_term
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

SIZES = ("fullsize", "720p", "500p", "300p")
NAMES = ("filename", "imagepath", "filepath", "imagename")
CLASSES = ("categoryid", "classid")
UNKNOWN = frozenset({"-1", "-1.0"})


def read_fungitastic(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Yield a record or rejection for every line of the metadata; unknown species (category_id -1) are rejected."""
    photos = source.photos or (source.path if source.path.is_dir() else source.path.parent)
    folders = find_size_folders(photos)
    for path in find_metadata(source.path):
        name = path.relative_to(source.path).as_posix() if source.path.is_dir() else path.name
        yield from read_metadata(path, replace(source, photos=photos), folders, name)


def find_metadata(path: Path) -> list[Path]:
    """Return the metadata tables at a path, ordered by name; raises ArchiveError if a folder has none."""
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.rglob("*.csv")) if is_metadata(file)]
    if not found:
        raise ArchiveError(f"{path}: there is no CSV with the columns filename and category_id below it")
    return found


def is_metadata(path: Path) -> bool:
    """Return whether the header of a table is that of metadata."""
    try:
        with open_file(path) as stream:
            terms = [plain_term(cell) for cell in open_table(stream, path.name)[0].cells]
    except ArchiveError:
        return False
    return any(name in terms for name in NAMES) and any(name in terms for name in CLASSES)


def read_metadata(
    path: Path, source: ArchiveSource, folders: list[str], name: str
) -> Iterator[Record | RejectedRecord]:
    """Read one table; raises ArchiveError if it has no column of file names."""
    photos = source.photos or path.parent
    with open_file(path) as stream:
        header, rows = open_table(stream, name)
        terms = [plain_term(cell) for cell in header.cells]
        columns = find_columns(header.cells, TABLE_TERMS, source.columns, name)
        place = next((terms.index(term) for term in NAMES if term in terms), None)
        if place is None:
            raise ArchiveError(
                f"{name}, line {header.line}: there is no column filename; there are {', '.join(header.cells)}"
            )
        class_place = next((terms.index(term) for term in CLASSES if term in terms), None)
        for row in rows:
            if not isinstance(row, Row):
                yield row
                continue
            photo = row.cells[place].strip()
            if not photo:
                yield RejectedRecord("no-photo", f"{name}, line {row.line}: the line names no photo", name, row.line)
            elif class_place is not None and row.cells[class_place].strip() in UNKNOWN:
                detail = f"{name}, line {row.line}: the species is unknown (category {row.cells[class_place].strip()})"
                yield RejectedRecord("unknown-species", detail, name, row.line, photo)
            else:
                fields = share_attribution(columns.read(row.cells))
                fields["photo"] = find_below(photo, photos, folders)
                yield Record(**fields, file=name, line=row.line)


def find_size_folders(photos: Path) -> list[str]:
    """Return the folders of photos by size, largest size first, relative to `photos`."""
    found = (
        [folder for size in SIZES for folder in sorted(photos.rglob(size)) if folder.is_dir()]
        if photos.is_dir()
        else []
    )
    return [folder.relative_to(photos).as_posix() for folder in found]


def find_below(photo: str, photos: Path, folders: list[str]) -> str:
    """Return the photo's relative path; its bare name if it is not found, so that the rejection names it."""
    return next((f"{folder}/{photo}" for folder in folders if is_there(photos / folder / photo)), photo)
