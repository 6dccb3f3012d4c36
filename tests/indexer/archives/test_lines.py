"""Every physical line of a table is part of one row, blank, or a rejection of its own."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.archives.lines import Dialect, Row, read_rows, sniff_dialect, with_header
from indexer.records import Record, RejectedRecord
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import read, write_folder

HEADER = "file,species,habitat,date"


def read_table(text: str, encoding: str = "utf-8") -> tuple[list[Row], list[RejectedRecord]]:
    raw = text.encode(encoding)
    items = list(read_rows(io.BytesIO(raw), sniff_dialect(raw, "t.csv"), "t.csv"))
    rows = [item for item in items if isinstance(item, Row)]
    return rows, [item for item in items if isinstance(item, RejectedRecord)]


def test_a_quote_that_is_never_closed_costs_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        f"{HEADER}\n"
        "a.jpg,Amanita muscaria,wood,2019-09-01\n"
        'b.jpg,Boletus edulis,"by the mill, under spruce,2019-09-02\n'
        "c.jpg,Russula emetica,meadow,2019-09-03\n"
        'd.jpg,Suillus luteus,"Garden" lawn,2019-09-04\n'
        "e.jpg,Mycena pura,path,2019-09-05\n"
    )

    records, rejections = read(path)

    assert [(record.photo, record.event_date, record.habitat) for record in records] == [
        ("a.jpg", "2019-09-01", "wood"),
        ("c.jpg", "2019-09-03", "meadow"),
        ("d.jpg", "2019-09-04", "Garden lawn"),
        ("e.jpg", "2019-09-05", "path"),
    ]
    assert [(rejection.reason, rejection.line) for rejection in rejections] == [("malformed-line", 3)]


@pytest.mark.parametrize(
    "opened",
    [
        'b.jpg,Boletus edulis,"mill,2019-09-02',
        '"b.jpg,Boletus edulis,mill,2019-09-02',
        'b.jpg,"Boletus edulis,mill,2019-09-02',
        'b.jpg,Boletus edulis,mill,"2019-09-02',
    ],
)
@pytest.mark.parametrize(
    "closed",
    ['c.jpg,Russula emetica,meadow",2019-09-03', 'c.jpg,Russula "emetica",meadow,2019', 'meadow",2019-09-03'],
)
def test_no_stray_quote_swallows_the_rows_up_to_the_next_one(opened: str, closed: str) -> None:
    between = [f"{sign}.jpg,Mycena pura,path,2019-09-05" for sign in "mno"]

    rows, rejections = read_table("\n".join([HEADER, opened, *between, closed, "z.jpg,Mycena pura,path,2019"]))

    found = {row.cells[0] for row in rows}
    assert {"m.jpg", "n.jpg", "o.jpg", "z.jpg"} <= found
    assert [rejection.line for rejection in rejections][:1] == [2]
    assert sum(row.lines for row in rows) + len(rejections) == 7


def test_a_quote_within_a_text_closes_no_cell_over_lines() -> None:
    rows, rejections = read_table(
        f'{HEADER}\nb.jpg,Boletus edulis,"by the mill\nhe said "no" and left,2019\nz.jpg,Mycena pura,path,2019\n'
    )

    assert [row.cells[0] for row in rows if len(row.cells) == 4] == ["file", "z.jpg"]
    assert [rejection.line for rejection in rejections] == [2]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"in wood\nnear the path"', "in wood\nnear the path"),
        ('"in wood,\nunder oak, near path, on soil"', "in wood,\nunder oak, near path, on soil"),
        ('"he said ""no""\nand left"', 'he said "no"\nand left'),
        ('"\n\n"', "\n\n"),
    ],
)
def test_a_cell_that_closes_where_it_ends_may_run_over_lines(cell: str, text: str) -> None:
    rows, rejections = read_table(f"{HEADER}\na.jpg,Amanita muscaria,{cell},2019\nb.jpg,Boletus edulis,x,2020\n")

    assert rejections == []
    assert [row.cells for row in rows[1:]] == [
        ["a.jpg", "Amanita muscaria", text, "2019"],
        ["b.jpg", "Boletus edulis", "x", "2020"],
    ]
    assert [row.line for row in rows] == [1, 2, 3 + text.count("\n")]


def test_two_cells_of_a_row_may_run_over_lines() -> None:
    rows, rejections = read_table(f'{HEADER}\na.jpg,"one\ntwo","three\nfour",2019\n')

    assert rejections == []
    assert rows[1].cells == ["a.jpg", "one\ntwo", "three\nfour", "2019"]
    assert rows[1].lines == 3


def test_quotes_in_a_tab_separated_table_hold_tabs_and_line_ends_and_are_text_otherwise() -> None:
    rows, rejections = read_table(
        "file\tspecies\thabitat\n"
        'a.jpg\tAmanita muscaria\t"in wood\nnear path"\n'
        'b.jpg\tBoletus edulis\t"with\ttab"\n'
        'c.jpg\tRussula emetica\t"old" mill\n'
        'd.jpg\tMycena pura\t"unclosed\n'
        'e.jpg\tSuillus luteus\t5" wide\n'
    )

    assert rejections == []
    assert [row.cells[2] for row in rows[1:]] == ["in wood\nnear path", "with\ttab", "old mill", '"unclosed', '5" wide']


def test_cells_of_any_length_are_read() -> None:
    long = "x" * 500_000

    rows, rejections = read_table(f'{HEADER}\na.jpg,Amanita muscaria,"{long}",2019\n')

    assert rejections == []
    assert rows[1].cells[2] == long


@pytest.mark.parametrize("separator", [";", ",", "\t", "|"])
def test_the_separator_that_excel_names_above_the_header_is_believed(tmp_path: Path, separator: str) -> None:
    header = separator.join(["file", "species", "latitude"])
    row = separator.join(["a.jpg", "Amanita muscaria", "46.95"])
    path = tmp_path / "t.csv"
    path.write_text(f"sep={separator}\n{header}\n{row}\n")

    records, rejections = read(path)

    assert rejections == []
    assert [(record.photo, record.decimal_latitude, record.line) for record in records] == [("a.jpg", "46.95", 3)]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32", "utf-8-sig"])
def test_wide_encodings_are_known_with_and_without_their_mark(encoding: str) -> None:
    rows, rejections = read_table(f"{HEADER}\na.jpg,Boletus edulis,Gehölz,2019\n", encoding)

    assert rejections == []
    assert rows[1].cells == ["a.jpg", "Boletus edulis", "Gehölz", "2019"]
    assert rows[0].cells[0] == "file"


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ArchiveError, match="binary file"):
        sniff_dialect(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "t.csv")


CELLS = st.text(alphabet='ab ,;\t"é\n', max_size=6)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_every_line_of_a_random_table_is_accounted_for(
    rows: list[list[str]], delimiter: str, encoding: str, end: str
) -> None:
    text = end.join([delimiter.join(["one", "two", "three"]), *(delimiter.join(cells) for cells in rows)]) + end
    raw = text.encode(encoding)

    header, found = with_header(read_rows(io.BytesIO(raw), sniff_dialect(raw, "t"), "t"), "t")
    items = list(found)

    lines = text.split("\n")[:-1]
    taken = [number for item in items for number in range(item.line, item.line + getattr(item, "lines", 1))]
    assert len(taken) == len(set(taken))
    left = set(range(2, len(lines) + 1)) - set(taken)
    assert all(not line_cells(lines[number - 1], delimiter) for number in left), "only blank lines are passed over"
    assert all(len(item.cells) == len(header.cells) for item in items if isinstance(item, Row))


def line_cells(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line in which anything is written."""
    return [cell for cell in line.replace('"', "").split(delimiter) if cell.strip()]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=5), max_size=12),
    delimiter=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1252", "cp1250"]),
)
def test_a_random_table_is_read_as_records_and_rejections_by_line(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str, encoding: str
) -> None:
    text = (
        "\n".join([delimiter.join(["file", "species", "habitat"]), *(delimiter.join(cells) for cells in rows)]) + "\n"
    )
    folder = write_folder(tmp_path_factory.mktemp("table"), {"t.csv": text.encode(encoding)})

    records, rejections = read(folder / "t.csv", "csv")

    lines = {record.line for record in records} | {rejection.line for rejection in rejections}
    assert lines <= set(range(2, text.count("\n") + 1))
    assert all(isinstance(record, Record) and record.photo for record in records)
    written = [number for number, line in enumerate(text.split("\n")[1:-1], start=2) if line_cells(line, delimiter)]
    assert not written or lines


def test_a_dialect_without_quotes_takes_them_as_text() -> None:
    rows = list(read_rows(io.BytesIO(b'a\tb\n"x\ty"\n'), Dialect("\t", ""), "t"))

    assert [row.cells for row in rows if isinstance(row, Row)] == [["a", "b"], ['"x', 'y"']]
