"""FungiTastic and Danish Fungi metadata: a CSV per subset, photos in folders by subset and size."""

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
    """Read every line of the metadata; lines of unknown species (category_id -1) are rejections."""
    photos = source.photos or (source.path if source.path.is_dir() else source.path.parent)
    folders = find_size_folders(photos)
    for path in find_metadata(source.path):
        name = path.relative_to(source.path).as_posix() if source.path.is_dir() else path.name
        yield from read_metadata(path, replace(source, photos=photos), folders, name)


def find_metadata(path: Path) -> list[Path]:
    """Return the metadata tables that are meant, in the order of names."""
    if not path.is_dir():
        return [path]
    found = [file for file in sorted(path.rglob("*.csv")) if is_metadata(file)]
    if not found:
        raise ArchiveError(f"{path}: there is no CSV with the columns filename and category_id below it")
    return found


def is_metadata(path: Path) -> bool:
    """Tell the metadata from other tables by its header."""
    try:
        with open_file(path) as stream:
            terms = [plain_term(cell) for cell in open_table(stream, path.name)[0].cells]
    except ArchiveError:
        return False
    return any(name in terms for name in NAMES) and any(name in terms for name in CLASSES)


def read_metadata(
    path: Path, source: ArchiveSource, folders: list[str], name: str
) -> Iterator[Record | RejectedRecord]:
    """Read one table."""
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
    """Return the folders that hold photos by size, the largest size first, relative to `photos`."""
    found = (
        [folder for size in SIZES for folder in sorted(photos.rglob(size)) if folder.is_dir()]
        if photos.is_dir()
        else []
    )
    return [folder.relative_to(photos).as_posix() for folder in found]


def find_below(photo: str, photos: Path, folders: list[str]) -> str:
    """Return where the photo lies, or its bare name where it lies nowhere: it is then rejected by name."""
    return next((f"{folder}/{photo}" for folder in folders if is_there(photos / folder / photo)), photo)
