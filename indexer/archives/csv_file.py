"""Tables with a header and one photo per line: CSV, TSV, semicolons, as people and datasets write them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from indexer.archives.container import is_there, open_file
from indexer.archives.folder import read_folder_name
from indexer.archives.lines import HEAD, Row, read_rows, sniff_dialect, with_header
from indexer.archives.terms import TABLE_TERMS, Columns, find_columns, photo_columns, plain_term
from indexer.records import ArchiveSource, Record, RejectedRecord
from retrieval.errors import ArchiveError

TABLE_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")


def read_csv(source: ArchiveSource) -> Iterator[Record | RejectedRecord]:
    """Read a table of photos. A line whose file is not there is read by its address, where it has one."""
    path = find_table(source.path)
    with open_file(path) as stream:
        header, rows = open_table(stream, path.name)
        given = dict(source.columns)
        columns = find_columns(header.cells, TABLE_TERMS, source.columns, path.name)
        find_photo = photo_finder(header.cells, source.photos or path.parent, given.get("photo"), path.name)
        named, found = names_species(columns), False
        for row in rows:
            if isinstance(row, RejectedRecord):
                yield row
                continue
            fields = share_attribution(columns.read(row.cells))
            fields["photo"] = find_photo(row.cells)
            if not named:  # as FGVCx's val.csv: the folder in the path says it
                fields["scientific_name"] = read_folder_name(PurePosixPath(fields["photo"]).parent.name)
                if fields["photo"] and not (fields["scientific_name"] or found):
                    raise ArchiveError(
                        f"{path.name}, line {row.line}: neither a column nor the photo's folder says what it shows; "
                        f"the columns are {', '.join(header.cells)}. Name the one to take: "
                        "--column scientific_name=HEADER"
                    )
                found = found or bool(fields["scientific_name"])
            if fields["photo"]:
                yield Record(**fields, file=path.name, line=row.line)
            else:
                yield RejectedRecord(
                    "no-photo", f"{path.name}, line {row.line}: the line names no photo", path.name, row.line
                )


def find_table(path: Path) -> Path:
    """Return the table that is meant: the file itself, or the only one in a folder."""
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
    """Return the tables in a folder that have a column for photos and one for names."""
    return [
        file for file in sorted(folder.iterdir()) if file.name.lower().endswith(TABLE_ENDINGS) and is_photo_table(file)
    ]


def is_photo_table(path: Path) -> bool:
    """Tell a table of photos from others by its header."""
    try:
        with open_file(path) as stream:
            headers = open_table(stream, path.name)[0].cells
    except ArchiveError:
        return False
    return any(photo_columns(headers)) and names_species(find_columns(headers, TABLE_TERMS))


def names_species(columns: Columns) -> bool:
    """Say whether any column holds a name."""
    return bool({"scientific_name", "specific_epithet", "accepted_name"} & {field for field, _ in columns.fields})


def open_table(stream: io.BufferedReader[Any], file: str) -> tuple[Row, Iterator[Row | RejectedRecord]]:
    """Sniff a table's dialect and return its header and its rows, each checked against the header's width."""
    return with_header(read_rows(stream, sniff_dialect(stream.peek(HEAD), file), file), file)


def photo_finder(headers: Sequence[str], folder: Path, given: str | None, file: str) -> Callable[[Sequence[str]], str]:
    """Return the function that finds the photo of a row. Raises ArchiveError where no column can hold one."""
    if given is not None:
        place = [plain_term(header) for header in headers].index(plain_term(given))
        return lambda cells: cells[place].strip()
    files, addresses = photo_columns(headers)
    if not files and not addresses:
        raise ArchiveError(
            f"{file}, line 1: no column says where the photos are; the columns are {', '.join(headers)}. "
            "Name the one to take as `photo`"
        )

    def find(cells: Sequence[str]) -> str:
        file_name = next((cells[place].strip() for place in files if cells[place].strip()), "")
        address = next((cells[place].strip() for place in addresses if cells[place].strip()), "")
        if file_name and address and not is_there(folder / file_name):
            return address
        return file_name or address

    return find


def share_attribution(fields: Mapping[str, str]) -> dict[str, str]:
    """Split `Name https://page` into author and page; an author that is only an address stays: it is all there is."""
    shared = dict(fields)
    name, space, last = shared.get("creator", "").rpartition(" ")
    if last.startswith(("http://", "https://")):
        shared.setdefault("references", last)
        if space:
            shared["creator"] = name.strip(" ,;-")
    return shared
