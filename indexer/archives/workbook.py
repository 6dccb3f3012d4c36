"""Workbooks of Excel and LibreOffice (.xlsx, .xlsb, .xls, .ods): one sheet, read as a text table.

Read by python-calamine. A sheet becomes a temporary UTF-8 table, row by row, so that all table readers apply, and line
17 of a report is row 17 of the sheet.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import BinaryIO

from indexer.archives.terms import KNOWN_TERMS, plain_term
from retrieval.errors import ArchiveError

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # signature of .xls
ENDINGS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
LARGEST = 2**30  # unpacked bytes of a workbook; a sheet is read into memory
HEADER_ROWS = 20  # rows searched for a sheet's header


def is_workbook(path: Path) -> bool:
    """Return whether a file is a workbook, by its content."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if start == OLE:
            return True
        if not start.startswith(b"PK"):
            return False
        with zipfile.ZipFile(path) as members:
            names = set(members.namelist())
            return any(name.startswith("xl/workbook.") for name in names) or (
                "content.xml" in names and b"spreadsheet" in members.read("mimetype")[:80]
            )
    except (OSError, KeyError, RuntimeError, zipfile.BadZipFile):
        return False


def open_workbook(path: Path, file: str) -> BinaryIO:
    """Return the sheet with a table as tab-separated text, in UTF-8 with a byte order mark.

    It is the only non-empty sheet, or the only one with known headers. Raises ArchiveError.
    """
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum

    try:
        check_size(path, file)
        with CalamineWorkbook.from_path(path) as book:
            sheets = [
                book.get_sheet_by_name(sheet.name)
                for sheet in book.sheets_metadata
                if sheet.typ == SheetTypeEnum.WorkSheet
            ]
            filled = [sheet for sheet in sheets if sheet.height]
            headed = [sheet for sheet in filled if _has_header(sheet.to_python(nrows=HEADER_ROWS))]
            chosen = filled if len(filled) == 1 else headed
            if len(chosen) != 1:
                names = ", ".join(sheet.name for sheet in chosen or filled) or "none"
                raise ArchiveError(
                    f"{file}: one sheet with a table is needed, and there are {len(chosen or filled)} ({names}); "
                    "save the one that is meant as a workbook or a CSV of its own"
                )
            return _write(chosen[0].iter_rows(), _titles(chosen[0].to_python(nrows=HEADER_ROWS)))
    except (CalamineError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ArchiveError(f"{file}: the Excel workbook is damaged or locked ({error})") from error


def check_size(path: Path, file: str) -> None:
    """Raise ArchiveError for a workbook that would unpack to more than memory should hold."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as members:
        unpacked = sum(member.file_size for member in members.infolist())
    if unpacked > LARGEST:
        raise ArchiveError(f"{file}: the workbook unpacks to {unpacked:,} bytes, too many; save its sheet as CSV")


def _has_header(rows: Iterable[Sequence[object]]) -> bool:
    return any(map(_is_header, rows))


def _is_header(row: Sequence[object]) -> bool:
    return len({plain_term(_text(cell)) for cell in row} & KNOWN_TERMS) > 1


def _titles(rows: Sequence[Sequence[object]]) -> int:
    """Return the number of rows above the header, such as titles; 0 if no row has known headers."""
    return next((number for number, row in enumerate(rows) if _is_header(row)), 0)


def _write(rows: Iterable[Sequence[object]], titles: int = 0) -> BinaryIO:
    """Write the rows, one per line; line breaks become blanks, and quotes are doubled within quotes.

    Titles above the header become empty lines, so that row numbers are kept.
    """
    table = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    table.write("\ufeff".encode())
    for number, row in enumerate(rows):
        if number < titles:
            table.write(b"\n")
            continue
        cells = [" ".join(_text(cell).split()) for cell in row]
        line = "\t".join('"' + cell.replace('"', '""') + '"' if '"' in cell else cell for cell in cells)
        table.write(f"{line}\t\n".encode("utf-8", "replace"))
    table.seek(0)
    return table


def _text(cell: object) -> str:
    """Format a cell as displayed: whole numbers without a decimal point, dates without midnight."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat()
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if not isinstance(cell, timedelta) else ""
