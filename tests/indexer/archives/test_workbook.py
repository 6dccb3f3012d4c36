from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from indexer.archives import detect_kind
from indexer.curation.checklists import ChecklistLine, read_checklist
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import read, write_archive, write_photos

NS = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def write_workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[object]]]) -> Path:
    """Write an .xlsx by hand: a cell is a text, a number, or a number of days since 1900 behind `day:`."""
    names = list(sheets)
    files = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPES}.sheet.main+xml"/>'
        + "".join(
            f'<Override PartName="/xl/worksheets/sheet{place}.xml" ContentType="{TYPES}.worksheet+xml"/>'
            for place in range(len(names))
        )
        + "</Types>",
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r" Type="{REL}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {NS} xmlns:r="{REL}"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n + 1}" r:id="s{n}"/>' for n, name in enumerate(names))
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        + "".join(
            f'<Relationship Id="s{n}" Type="{REL}/worksheet" Target="worksheets/sheet{n}.xml"/>'
            for n in range(len(names))
        )
        + f'<Relationship Id="st" Type="{REL}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet {NS}><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
    }
    for n, name in enumerate(names):
        rows = "".join(
            f'<row r="{number}">' + "".join(cell(value, number, place) for place, value in enumerate(row)) + "</row>"
            for number, row in enumerate(sheets[name], start=1)
        )
        files[f"xl/worksheets/sheet{n}.xml"] = f"<worksheet {NS}><sheetData>{rows}</sheetData></worksheet>"
    return write_archive(path, files)


def cell(value: object, row: int, place: int) -> str:
    where = f"{chr(65 + place)}{row}"
    if isinstance(value, int | float):
        return f'<c r="{where}"><v>{value}</v></c>'
    text = str(value)
    if text.startswith("day:"):
        return f'<c r="{where}" s="1"><v>{text.removeprefix("day:")}</v></c>'
    return f'<c r="{where}" t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>' if text else ""


PHOTOS: list[list[object]] = [
    ["file", "Scientific name", "Author", "Date", "Latitude", "obsid"],
    ["a.jpg", "Amanita muscaria", 'Jørgen "J" Å.', "day:43832", 46.95, 7],
    [],
    ["b.jpg", "Boletus edulis", "line\nbreak\tand tab", "2019", "", 8],
]


def test_titles_above_the_header_are_no_rows(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg")
    titled: list[list[object]] = [["Foray of our society"], ["sent by", "the secretary"], [], *PHOTOS]
    path = write_workbook(tmp_path / "photos.xlsx", {"Foray": titled})

    records, rejections = read(path)

    assert rejections == []
    assert [(record.photo, record.line, record.event_date) for record in records] == [
        ("a.jpg", 5, "2020-01-02"),
        ("b.jpg", 7, "2019"),
    ]


def test_a_sheet_is_read_as_a_table_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "b.jpg")
    path = write_workbook(tmp_path / "photos.xlsx", {"Tabelle1": PHOTOS})

    records, rejections = read(path)

    assert detect_kind(path) == "csv"
    assert rejections == []
    assert [(r.photo, r.scientific_name, r.creator, r.event_date, r.decimal_latitude, r.observation, r.line)
            for r in records] == [
        ("a.jpg", "Amanita muscaria", 'Jørgen "J" Å.', "2020-01-02", "46.95", "7", 2),
        ("b.jpg", "Boletus edulis", "line break and tab", "2019", "", "8", 4),
    ]  # fmt: skip


def test_the_sheet_that_has_a_header_is_taken_of_several(tmp_path: Path) -> None:
    remarks: list[list[object]] = [["Data of our society"], ["Questions to the secretary"]]

    records, _ = read(write_workbook(tmp_path / "a.xlsx", {"Read me": remarks, "Finds": PHOTOS, "Empty": []}))

    assert [record.photo for record in records] == ["a.jpg", "b.jpg"]


def test_two_sheets_with_tables_are_refused_by_name(tmp_path: Path) -> None:
    path = write_workbook(tmp_path / "a.xlsx", {"2019": PHOTOS, "2020": PHOTOS})

    with pytest.raises(ArchiveError, match=r"a.xlsx: one sheet with a table is needed, and there are 2 \(2019, 2020\)"):
        read(path)


def test_what_only_looks_like_a_workbook_is_refused_and_called_one(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.xlsx", {"xl/workbook.xml": "<workbook/>", "[Content_Types].xml": "<Types/>"})

    with pytest.raises(ArchiveError, match="the Excel workbook is damaged"):
        read(path)


MYCOBANK: list[list[object]] = [
    ["ID", "Taxon name", "Authors", "Rank", "Name status", "MycoBank #", "Classification", "Current name.Taxon name"],
    [1, "Imleria badia", "(Fr.) Vizzini", "sp.", "Legitimate", 9, "Fungi, Dikarya, Agaricomycetes, Boletaceae", ""],
    [2, "Boletus badius", "(Fr.) Fr.", "sp.", "Legitimate", 8, "Fungi, Boletaceae", "Imleria badia"],
    [3, "Boletus nudus", "X.", "sp.", "Invalid", 7, "Fungi", ""],
    [4, "Imleria", "Vizzini", "gen.", "Legitimate", 6, "Fungi, Boletaceae", ""],
]


@pytest.mark.parametrize("packed", [False, True], ids=["workbook", "workbook in a zip"])
def test_a_list_of_names_in_a_workbook_is_a_checklist(tmp_path: Path, packed: bool) -> None:
    path = write_workbook(tmp_path / "MBList.xlsx", {"MBList": MYCOBANK})
    if packed:
        with zipfile.ZipFile(tmp_path / "MBList.zip", "w") as archive:
            archive.write(path, "MBList.xlsx")
        path = tmp_path / "MBList.zip"

    items = list(read_checklist(path))

    lines = [item for item in items if isinstance(item, ChecklistLine)]
    assert [
        (line.scientific_name, line.scientific_name_authorship, line.taxon_rank, line.synonym_of) for line in lines
    ] == [
        ("Imleria badia", "(Fr.) Vizzini", "species", ""),
        ("Boletus badius", "(Fr.) Fr.", "species", "Imleria badia"),
        ("Imleria", "Vizzini", "genus", ""),
    ]
    assert dict(lines[0].lineage) == {
        "kingdom": "Fungi", "class": "Agaricomycetes", "family": "Boletaceae", "genus": "Imleria",
    }  # fmt: skip
    assert [(item.reason, item.line) for item in items if not isinstance(item, ChecklistLine)] == [("not-accepted", 4)]
