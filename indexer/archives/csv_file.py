"""Tables with a header and one photo per line: CSV, TSV or semicolons, as written by people and datasets."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from indexer.archives.container import find_spelling, open_file
from indexer.archives.folder import read_folder_name
from indexer.archives.lines import HEAD, Row, read_rows, sniff_dialect, with_header
from indexer.archives.terms import TABLE_TERMS, Columns, find_columns, photo_columns, plain_term, split_photos
from indexer.archives.workbook import ENDINGS as WORKBOOK_ENDINGS
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", *WORKBOOK_ENDINGS)
RESERVED_HOST = "static.inaturalist.org"
EXPORT_MARKS = frozenset({"imageurl", "qualitygrade", "iconictaxonname"})
"""Headers found together only in iNaturalist's exports of observations, each with the URL of its first photo."""
OBSCURED_CELL = "31400"  # metres: the diagonal of the 0.2-degree cell of an obscured place
EXPORT_TERMS: Mapping[str, tuple[str, ...]] = {
    **TABLE_TERMS,
    "scientific_name": ("scientificname", "taxonname", "speciesguess"),
    "kingdom": ("iconictaxonname",),
    "observation": ("uuid", "id"),
    "coordinate_uncertainty": ("publicpositionalaccuracy", "positionalaccuracy"),
    "country_code": ("placecountryname",),
    "creator": ("username", "userlogin"),
    "recorded_by": ("username", "userlogin"),
    "licence": tuple(
        f"{kind}{licence}{code}"
        for kind in ("photo", "photos", "photos0", "image")
        for licence in ("license", "licence")
        for code in ("code", "")
    ),  # `license` is that of the observation
    "references": ("url",),
}


def read_csv(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Read a table of photos. If a line's file is missing, its URL is used, if any."""
    path = find_table(source.path)
    with open_file(path) as stream:
        header, rows = open_table(stream, path.name, source.encoding)
        read_fields = field_reader(header.cells, source, path.name)
        find_photos = photo_finder(
            header.cells, source.photos or path.parent, dict(source.columns).get("photo"), path.name
        )
        named, found = names_species(find_columns(header.cells, TABLE_TERMS, source.columns, path.name)), False
        for row in rows:
            if isinstance(row, RejectedRecord):
                yield row
                continue
            fields, photos = read_fields(row.cells), find_photos(row.cells)
            if not named and photos:  # as in FGVCx's val.csv: the folder in the path names the species
                fields["scientific_name"] = read_folder_name(PurePosixPath(photos[0]).parent.name)
                if not (fields["scientific_name"] or found):
                    raise ArchiveError(
                        f"{path.name}, line {row.line}: neither a column nor the photo's folder says what it shows; "
                        f"the columns are {', '.join(header.cells)}. Name the one to take: "
                        "--column scientific_name=HEADER"
                    )
                found = found or bool(fields["scientific_name"])
            yield from read_photos(fields, photos, path.name, row.line)


def field_reader(headers: Sequence[str], source: ArchiveSource, file: str) -> Callable[[Sequence[str]], dict[str, str]]:
    """Return the function that reads a row's fields except the photo. Raises ArchiveError."""
    terms = [plain_term(header) for header in headers]
    if not is_export(headers):
        columns = find_columns(headers, TABLE_TERMS, source.columns, file)
        return lambda cells: share_attribution(columns.read(cells))
    exported = find_columns(headers, EXPORT_TERMS, source.columns, file)

    def read(cells: Sequence[str]) -> dict[str, str]:
        row = dict(zip(terms, cells, strict=True))
        return read_export_licence(read_public_place(exported.read(cells), row), row)

    return read


def read_photos(
    fields: dict[str, str], photos: Sequence[str], file: str, line: int
) -> Iterator[Record | RejectedRecord]:
    """Yield a record for each photo of a line; all belong to one observation."""
    if not photos:
        yield RejectedRecord("no-photo", f"{file}, line {line}: the line names no photo", file, line)
    if len(photos) > 1:
        fields.setdefault("observation", f"{file}:{line}")
    for position, photo in enumerate(photos):
        more = {"position": str(position)} if len(photos) > 1 else {}
        yield Record(**{**fields, **more, "photo": photo}, file=file, line=line)


def find_table(path: Path) -> Path:
    """Return the table: the file itself, or the only one in a folder."""
    if not path.is_dir():
        return path
    tables = find_photo_tables(path)
    if len(tables) != 1:
        names = ", ".join(file.name for file in tables) or "none"
        raise ArchiveError(
            f"{path}: one table of photos is needed, there are {len(tables)} ({names}); name the one meant"
        )
    return tables[0]


def find_photo_tables(folder: Path) -> list[Path]:
    """Return the tables in a folder that have columns for photos and for names."""
    return [
        file for file in sorted(folder.iterdir()) if file.name.lower().endswith(TABLE_ENDINGS) and is_photo_table(file)
    ]


def is_photo_table(path: Path) -> bool:
    """Return whether a table lists photos, by its header."""
    try:
        with open_file(path) as stream:
            headers = open_table(stream, path.name)[0].cells
    except ArchiveError:
        return False
    return any(photo_columns(headers)) and names_species(find_columns(headers, TABLE_TERMS))


def names_species(columns: Columns) -> bool:
    """Return whether any column holds a name."""
    return bool({"scientific_name", "specific_epithet", "accepted_name"} & {field for field, _ in columns.fields})


def open_table(
    stream: io.BufferedReader[Any], file: str, encoding: str = ""
) -> tuple[Row, Iterator[Row | RejectedRecord]]:
    """Detect a table's dialect; returns its header and its rows, each checked against the header's width."""
    return with_header(read_rows(stream, sniff_dialect(stream.peek(HEAD), file, encoding), file), file)


def photo_finder(
    headers: Sequence[str], folder: Path, given: str | None, file: str
) -> Callable[[Sequence[str]], list[str]]:
    """Return the function that finds the photos of a row. Raises ArchiveError without a column for photos."""
    files: list[int]
    addresses: list[int]
    if given is not None:
        files, addresses = [[plain_term(header) for header in headers].index(plain_term(given))], []
    else:
        files, addresses = photo_columns(headers)
    if not files and not addresses:
        raise ArchiveError(
            f"{file}, line 1: no column says where the photos are; the columns are {', '.join(headers)}. "
            "Name the one to take as `photo`"
        )

    def find(cells: Sequence[str]) -> list[str]:
        file_name = next((cells[place].strip() for place in files if cells[place].strip()), "")
        address = next((cells[place].strip() for place in addresses if cells[place].strip()), "")
        if file_name and find_spelling(folder, file_name):
            return [file_name]
        return split_photos(address or file_name)

    return find


def share_attribution(fields: Mapping[str, str]) -> dict[str, str]:
    """Split `Name https://page` into author and page; a URL alone is kept as the author."""
    shared = dict(fields)
    name, space, last = shared.get("creator", "").rpartition(" ")
    if last.startswith(("http://", "https://")):
        shared.setdefault("references", last)
        if space:
            shared["creator"] = name.strip(" ,;-")
    return shared


def is_export(headers: Sequence[str]) -> bool:
    """Return whether a table is an export of observations from iNaturalist, by its headers."""
    return {plain_term(header) for header in headers} >= EXPORT_MARKS


def read_export_licence(fields: Mapping[str, str], cells: Mapping[str, str]) -> dict[str, str]:
    """Return the licence status of a photo by its URL, since no column has it.

    Openly licensed photos are in a separate bucket; on the other server, all rights are reserved.
    """
    if fields.get("licence"):
        return dict(fields)
    if urlsplit(cells.get("imageurl", "").strip()).hostname == RESERVED_HOST:
        return {**fields, "licence": "all rights reserved"}
    if licence := cells.get("license", "").strip():
        return {**fields, "rights": f"{licence}, of the observation and not of its photos"}
    return dict(fields)


def read_public_place(fields: Mapping[str, str], cells: Mapping[str, str]) -> dict[str, str]:
    """Return the uncertainty of an obscured place, and whether the organism was introduced there."""
    read = dict(fields)
    if cells.get("coordinatesobscured", "").strip().lower() == "true" and not cells.get("publicpositionalaccuracy", ""):
        read["coordinate_uncertainty"] = OBSCURED_CELL
    if cells.get("captivecultivated", "").strip().lower() == "true":
        read["establishment_means"] = "captive"
    return read
