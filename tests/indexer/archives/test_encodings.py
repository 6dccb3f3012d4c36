"""Encodings are told by a person or by the letters, and never guessed wrong in silence."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from indexer.archives.encodings import decode_legacy, read_legacy
from indexer.records import ArchiveSource
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import DC, DWC, MULTIMEDIA, OCCURRENCE, descriptor, read, section, write_archive

NAMES = {
    "cp1252": ("Jørgen Zoë", "Åse Bjørnstad", "Sébastien Lefèvre", "Þórður Guðmundsson", "João Gonçalves", "Großmann",
               "Väinö Mäkelä", "José Ñuñez", "Sørensen", "œuvre", "“Bäume”"),
    "cp1250": ("Jiří Dvořák", "Łukasz Wiśniewski", "František Kotlaba", "Živko Šarić", "Gábor Kőszegi", "Zając",
               "Tomáš Lukeš", "Vašutová", "Čížek", "Marcin Piątek"),
    "iso8859-2": ("Łukasz Wiśniewski", "Tomáš Lukeš", "Jiří Dvořák"),
    "cp1251": ("Иван Петров", "Евгений Попов", "Гриб у дороги", "Євген Шевченко"),
    "koi8-r": ("Иван Петров", "Евгений Попов"),
    "cp1253": ("Γιώργος Παπαδόπουλος",),
    "cp1254": ("Ayşe Yılmaz", "Ertuğrul Sesli"),
    "cp1257": ("Jānis Bērziņš", "Žydrūnas"),
    "mac-roman": ("Jørgen Zoë", "Sébastien Lefèvre", "Müller"),
    "cp850": ("Günter Müller", "Sébastien Lefèvre"),
    "cp932": ("山田太郎", "ベニテングタケ 長野県"),
    "gb18030": ("王小明", "云南省昆明市"),
    "cp949": ("김철수",),
    "euc_jp": ("田中太郎", "すずき"),
}  # fmt: skip

KOREAN = [
    "김가람",
    "박나래",
    "서다은",
    "신라희",
    "유마루",
    "조바다",
    "최사랑",
    "한아름",
    "강자연",
    "고차돌",
    "노하늘",
    "문보라",
]


@pytest.mark.parametrize(
    ("encoding", "name"), [(encoding, name) for encoding, names in NAMES.items() for name in names]
)
def test_a_name_is_read_as_it_was_written_or_not_at_all(encoding: str, name: str) -> None:
    raw = f"a.jpg;Amanita muscaria;{name};CC0".encode(encoding)

    text = decode_legacy(raw, read_legacy([raw]))

    assert text is None or f";{name};" in text


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1252", ["Jørgen", "Zoë", "Sébastien Lefèvre", "Sørensen"]),
        ("cp1250", ["Jiří Dvořák", "Zdeněk Pouzar", "Tomáš Lukeš"]),
        ("cp1250", ["Łukasz Wiśniewski", "Zając", "Marcin Piątek"]),
        ("cp1251", ["Иван Петров"]),
        ("cp932", ["山田太郎"]),
    ],
)
def test_the_names_of_a_table_tell_its_encoding_together_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str, names: list[str]
) -> None:
    rows = "".join(f"{place}.jpg;Amanita muscaria;{name}\r\n" for place, name in enumerate(names))
    (tmp_path / "t.csv").write_bytes(f"file;species;author\r\n{rows}".encode(encoding))

    with caplog.at_level(logging.WARNING):
        records, rejections = read(tmp_path / "t.csv")

    assert rejections == []
    assert [record.creator for record in records] == names
    assert "t.csv is not in UTF-8; it is read as" in caplog.text


@pytest.mark.parametrize(
    ("encoding", "names", "left", "said"),
    [
        ("cp1252", ["Sørensen"], [], "t.csv is not in UTF-8; it may be in cp1252, "),
        ("cp1252", ["Iñigo Muñoz", "Zoé Bell"], ["Zoé Bell"], "t.csv is not in UTF-8; it may be in cp1252, "),
        ("cp949", ["박영수", "이민호"], [], "t.csv is not in UTF-8; it may be in gb2312"),
        ("euc_jp", ["佐藤健", "高橋"], [], "t.csv is not in UTF-8; it may be in gb2312"),
        ("euc_jp", ["さとう けん"], [], "t.csv is not in UTF-8; it may be in big5 or euc_jp"),
        ("cp1257", ["Jānis Bērziņš"], [], "t.csv is not in UTF-8; in which encoding it is cannot be told"),
        ("cp949", KOREAN, KOREAN, "t.csv is not in UTF-8; it is read as euc_kr"),
    ],
)
def test_what_is_said_of_an_encoding_is_said_once_and_is_what_is_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, encoding: str, names: list[str], left: list[str], said: str
) -> None:
    rows = "".join(f"{place}.jpg;Amanita muscaria;{name};{name}\n" for place, name in enumerate(names))
    (tmp_path / "t.csv").write_bytes(f"file;species;author;{names[0]}\n{rows}".encode(encoding))
    if left != names:  # an undecided header would refuse the table
        (tmp_path / "t.csv").write_bytes(f"file;species;author;remark\n{rows}".encode(encoding))

    with caplog.at_level(logging.WARNING):
        records, rejections = read(tmp_path / "t.csv")

    assert [record.creator for record in records] == left
    assert {rejection.reason for rejection in rejections} <= {"unreadable-text"}
    assert len(records) + len(rejections) == len(names)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(said)
    assert ("left out" in caplog.messages[0]) == (left != names)


def test_a_line_whose_encoding_cannot_be_told_is_left_out_and_read_once_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("file;species;author\na.jpg;Amanita muscaria;Jānis Bērziņš\n".encode("cp1257"))

    records, rejections = read(tmp_path / "t.csv")
    told, none = read(tmp_path / "t.csv", encoding="cp1257")

    assert records == []
    assert [(rejection.reason, rejection.line) for rejection in rejections] == [("unreadable-text", 2)]
    assert "--encoding" in rejections[0].detail
    assert "not in utf-8, which was said" in read(tmp_path / "t.csv", encoding="utf-8")[1][0].detail
    assert [record.creator for record in told] == ["Jānis Bērziņš"]
    assert none == []


def test_an_encoding_that_is_told_is_not_doubted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"file;species;author\na.jpg;Amanita muscaria;J\xf8rgen\nb.jpg;Boletus edulis;x\n")

    records, rejections = read(tmp_path / "t.csv", encoding="utf-8")
    eastern, _ = read(tmp_path / "t.csv", encoding="cp1250")

    assert [record.photo for record in records] == ["b.jpg"]
    assert [rejection.reason for rejection in rejections] == ["unreadable-text"]
    assert eastern[0].creator == "Jřrgen"


def test_no_such_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file;species\na.jpg;Amanita muscaria\n")

    with pytest.raises(ArchiveError, match="no encoding 'cp9999'"):
        read(tmp_path / "t.csv", encoding="cp9999")


def test_lines_of_utf8_among_others_are_read_as_such(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(
        "file;species;author\na.jpg;Amanita muscaria;Žydrūnas Ţ\n".encode()
        + "b.jpg;Amanita muscaria;Jørgen Kjærgaard\n".encode("cp1252")
    )

    records, rejections = read(tmp_path / "t.csv")

    assert rejections == []
    assert [record.creator for record in records] == ["Žydrūnas Ţ", "Jørgen Kjærgaard"]


def test_a_table_that_is_declared_as_latin_1_and_holds_utf8_is_read_as_utf8(tmp_path: Path) -> None:
    media = {DC + "identifier": 1, DC + "creator": 2, DC + "license": 3}
    files: dict[str, str | bytes] = {
        "meta.xml": descriptor(
            section("core", OCCURRENCE, "o.txt", {DWC + "scientificName": 1}),
            section("extension", MULTIMEDIA, "m.txt", dict(media)),
        ).replace("UTF-8", "ISO-8859-1"),
        "o.txt": "id\tname\n1\tAmanita muscaria\n",
        "m.txt": "id\tfile\twho\tlicence\n1\ta.jpg\tJørgen\tCC0\n",
    }

    records, rejections = read(write_archive(tmp_path / "a.zip", files))
    eastern, _ = read(write_archive(tmp_path / "b.zip", files | {"m.txt": str(files["m.txt"]).encode("cp1252")}))

    assert rejections == []
    assert [record.creator for record in (*records, *eastern)] == ["Jørgen", "Jørgen"]
    assert ArchiveSource("dwca", tmp_path).encoding == ""
