"""Workbooks of Excel and LibreOffice (.xlsx, .xlsb, .xls, .ods): one sheet, read as a text table.

Read by python-calamine. A sheet becomes a temporary UTF-8 table, row by row, so that all table readers apply, and line
17 of a report is row 17 of the sheet.

The library holds a sheet as a rectangle: two cells in opposite corners, a few bytes in the file, are gigabytes, at
which the process ends. So a child with bounded memory and time reads it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import BinaryIO

from indexer.archives.terms import KNOWN_TERMS, plain_term
from retrieval.errors import ArchiveError

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # signature of .xls
ENDINGS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
LARGEST = 2**30  # unpacked bytes of a workbook; a sheet is read into memory
MEMORY = 4 * 2**30  # bytes of address space of the child
SECONDS = 300  # of processor time of the child
CHILD = "import sys; from indexer.archives.workbook import main; sys.exit(main(*sys.argv[1:]))"
REFUSED = 3  # its exit status for what is said in its last line
ROOT = Path(__file__).resolve().parents[2]
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
            if any(name.startswith("xl/workbook.") for name in names) or "content.xml" not in names:
                return any(name.startswith("xl/workbook.") for name in names)
            with members.open("mimetype") as said:
                return b"spreadsheet" in said.read(80)
    except (OSError, KeyError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile):
        return False


def open_workbook(path: Path, file: str) -> BinaryIO:
    """Return the sheet with a table as tab-separated text, in UTF-8 with a byte order mark.

    It is the only non-empty sheet, or the only one with known headers. Raises ArchiveError.
    """
    check_size(path, file)
    table = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        command = [sys.executable, "-c", CHILD, str(path.absolute()), file]
        done = subprocess.run(command, stdout=table, stderr=subprocess.PIPE, cwd=ROOT, check=False)  # noqa: S603 - ours
        if done.returncode == REFUSED:
            raise ArchiveError(done.stderr.decode().strip().splitlines()[-1])
        if done.returncode != 0:
            raise ArchiveError(f"{file}: the workbook takes more memory or time than any should; save its sheet as CSV")
    except BaseException:
        table.close()
        raise
    table.seek(0)
    return table


def write_sheet(path: Path, file: str, table: BinaryIO) -> None:
    """Write the sheet with a table, as `open_workbook` returns it. Raises ArchiveError."""
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum

    try:
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
            _write(chosen[0].iter_rows(), table, _titles(chosen[0].to_python(nrows=HEADER_ROWS)))
    except (CalamineError, ValueError, zipfile.BadZipFile) as error:
        raise ArchiveError(f"{file}: the Excel workbook is damaged or locked ({error})") from error


def check_size(path: Path, file: str) -> None:
    """Raise ArchiveError for a workbook that would unpack to more than memory should hold."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as members:
            unpacked = sum(member.file_size for member in members.infolist())
    except (OSError, zipfile.BadZipFile) as error:
        raise ArchiveError(f"{file}: the Excel workbook is damaged or locked ({error})") from error
    if unpacked > LARGEST:
        raise ArchiveError(f"{file}: the workbook unpacks to {unpacked:,} bytes, too many; save its sheet as CSV")


def _has_header(rows: Iterable[Sequence[object]]) -> bool:
    return any(map(_is_header, rows))


def _is_header(row: Sequence[object]) -> bool:
    return len({plain_term(_text(cell)) for cell in row} & KNOWN_TERMS) > 1


def _titles(rows: Sequence[Sequence[object]]) -> int:
    """Return the number of rows above the header, such as titles; 0 if no row has known headers."""
    return next((number for number, row in enumerate(rows) if _is_header(row)), 0)


def _write(rows: Iterable[Sequence[object]], table: BinaryIO, titles: int = 0) -> None:
    """Write the rows, one per line; line breaks become blanks, and quotes are doubled within quotes.

    Titles above the header become empty lines, so that row numbers are kept.
    """
    table.write("\ufeff".encode())
    for number, row in enumerate(rows):
        if number < titles:
            table.write(b"\n")
            continue
        cells = [" ".join(_text(cell).split()) for cell in row]
        line = "\t".join('"' + cell.replace('"', '""') + '"' if '"' in cell else cell for cell in cells)
        table.write(f"{line}\t\n".encode("utf-8", "replace"))


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


def main(path: str, file: str) -> int:
    """Write a workbook's table to standard output, within the bounds of memory and time; returns the exit status."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    try:
        write_sheet(Path(path), file, sys.stdout.buffer)
        sys.stdout.flush()
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return REFUSED
    return 0
