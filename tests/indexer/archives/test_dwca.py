from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.archives import detect_kind
from indexer.curation.curate import curate
from indexer.curation.names import KnownNames
from indexer.records import CuratedRecord
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import (
    CORE_TERMS,
    DC,
    DWC,
    MULTIMEDIA,
    OCCURRENCE,
    POLICY,
    TAXON,
    descriptor,
    occurrence_files,
    read,
    section,
    write_archive,
    write_folder,
)

Write = Callable[[Path, dict[str, str | bytes]], Path]


def as_zip(folder: Path, files: dict[str, str | bytes]) -> Path:
    return write_archive(folder / "archive.zip", files)


def as_zip_in_a_folder(folder: Path, files: dict[str, str | bytes]) -> Path:
    clutter = {"__MACOSX/._meta.xml": "x"}
    return write_archive(folder / "archive.zip", {f"inner/{name}": text for name, text in files.items()} | clutter)


def as_tar(folder: Path, files: dict[str, str | bytes]) -> Path:
    with tarfile.open(folder / "archive.tgz", "w:gz") as archive:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder / "archive.tgz"


def as_folder(folder: Path, files: dict[str, str | bytes]) -> Path:
    return write_folder(folder / "archive", files)


@pytest.mark.parametrize("write", [as_zip, as_zip_in_a_folder, as_tar, as_folder])
def test_media_are_joined_with_their_occurrences_however_the_archive_is_packed(tmp_path: Path, write: Write) -> None:
    records, rejections = read(write(tmp_path, occurrence_files()))

    assert [(record.photo, record.scientific_name, record.observation, record.position) for record in records] == [
        ("https://photos.example/1.jpg", "Amanita muscaria (L.) Lam.", "urn:a", "0"),
        ("photos/3.jpg", "Russula emetica (Schaeff.) Pers.", "urn:c", "0"),
        ("https://photos.example/2.jpg", "Amanita muscaria (L.) Lam.", "urn:a", "1"),
    ]
    assert [(rejection.reason, rejection.file, rejection.line) for rejection in rejections] == [
        ("orphan", "multimedia.txt", 5),
        ("no-photo", "occurrence.txt", 3),
    ]
    assert [record.line for record in records] == [2, 3, 4]


def test_a_download_without_descriptor_is_joined_by_its_names(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "occurrence.txt": "gbifID\tscientificName\tspecies\tspeciesKey\n"
        "7\tAgaricus muscarius L.\tAmanita muscaria\t5240151\n",
        "multimedia.txt": "gbifID\ttype\tformat\tidentifier\n7\tStillImage\timage/jpeg\thttps://photos.example/7.jpg\n",
    }

    records, rejections = read(as_folder(tmp_path, files))

    assert not rejections
    assert (records[0].accepted_name, records[0].species_key, records[0].observation) == (
        "Amanita muscaria",
        "5240151",
        "7",
    )


@pytest.mark.parametrize(
    ("dialect", "core"),
    [
        ('fieldsTerminatedBy=","  fieldsEnclosedBy="&quot;"', 'id,o,n,d\r\n1,urn:1,"Amanita ""muscaria""",\r\n'),
        ('fieldsTerminatedBy=";" fieldsEnclosedBy="&quot;"', 'id;o;n;d\n"1";urn:1;"Amanita\nmuscaria";\n'),
        ('fieldsTerminatedBy="|" fieldsEnclosedBy=""', "id|o|n|d\n1|urn:1|Amanita muscaria|\n"),
        ('fieldsTerminatedBy="\\t" linesTerminatedBy="\\r\\n"', "id\to\tn\td\r\n1\turn:1\tAmanita muscaria\t\r\n"),
        ('fieldsTerminatedBy="\\t" linesTerminatedBy="\\r"', "id\to\tn\td\r1\turn:1\tAmanita muscaria\t\r"),
        ('fieldsTerminatedBy="\\t"', "\ufeffid\to\tn\td\n\n1\turn:1\tAmanita muscaria\t\n\n"),
    ],
)
def test_tables_are_read_as_the_descriptor_says(tmp_path: Path, dialect: str, core: str) -> None:
    files = occurrence_files() | {
        "meta.xml": descriptor(
            section("core", OCCURRENCE, "occurrence.txt", CORE_TERMS, dialect),
            section("extension", MULTIMEDIA, "multimedia.txt", {DC + "identifier": 2}),
        ),
        "occurrence.txt": core,
        "multimedia.txt": "id\ttype\tidentifier\n1\tStillImage\thttps://photos.example/1.jpg\n",
    }

    records, rejections = read(as_zip(tmp_path, files))

    assert not rejections
    assert curate(records[0], POLICY, KnownNames()).reason == "licence-missing"  # type: ignore[union-attr]
    assert records[0].scientific_name.replace('"', "").split() == ["Amanita", "muscaria"]


def test_every_table_has_its_own_encoding_and_a_wrong_one_costs_nothing(tmp_path: Path) -> None:
    files = occurrence_files()
    files["meta.xml"] = str(files["meta.xml"]).replace('encoding="UTF-8"', 'encoding="windows-1252"', 1)
    files["occurrence.txt"] = "id\to\tn\td\n1\turn:1\tAmanita muscaria Jørst.\t\n".encode("cp1252")
    files["multimedia.txt"] = (
        "id\tt\ti\tl\tc\n1\tStillImage\ta.jpg\tCC0\tJürgen\n".encode()
        + "1\tStillImage\tb.jpg\tCC0\tJørgen\n".encode("cp1252")
    )

    records, _ = read(as_zip(tmp_path, files))

    assert [record.creator for record in records] == ["Jürgen", "Jørgen"]
    assert records[0].scientific_name.endswith("Jørst.")


def test_a_next_line_sign_within_a_cell_ends_no_line(tmp_path: Path) -> None:
    files = occurrence_files()
    files["occurrence.txt"] = "id\to\tn\td\n1\turn:1\tAmanita\u0085muscaria\u2028x\t\n"
    files["multimedia.txt"] = "id\tt\ti\tl\tc\n1\tStillImage\ta.jpg\tCC0\tN. N.\n"

    records, rejections = read(as_zip(tmp_path, files))

    assert not rejections
    assert records[0].scientific_name == "Amanita\u0085muscaria\u2028x"


def test_defaults_fill_what_the_lines_leave_empty(tmp_path: Path) -> None:
    files = occurrence_files()
    terms: dict[str, int | str] = {**CORE_TERMS, DWC + "kingdom": "Fungi"}
    media: dict[str, int | str] = {DC + "identifier": 2, DC + "license": "CC0"}
    described = descriptor(
        section("core", OCCURRENCE, "occurrence.txt", terms), section("extension", MULTIMEDIA, "multimedia.txt", media)
    )
    files["meta.xml"] = described.replace('index="3" term', 'index="3" default="2020-01-01" term')
    files["occurrence.txt"] = "id\to\tn\td\n1\turn:1\tAmanita muscaria\t\n3\turn:3\tRussula emetica\t2024-01-02\n"

    records, _ = read(as_zip(tmp_path, files))

    assert {record.kingdom for record in records} == {"Fungi"}
    assert {record.licence for record in records} == {"CC0"}
    assert {record.observation: record.event_date for record in records} == {
        "urn:1": "2020-01-01",
        "urn:3": "2024-01-02",
    }


def test_two_header_lines_are_two_lines(tmp_path: Path) -> None:
    files = occurrence_files()
    files["meta.xml"] = str(files["meta.xml"]).replace('ignoreHeaderLines="1"', 'ignoreHeaderLines="2"')
    files["occurrence.txt"] = "id\to\tn\td\nthe id\tits o\tits name\tits day\n1\turn:1\tAmanita muscaria\t\n"
    files["multimedia.txt"] = "id\tt\ti\tl\tc\n(more)\t\t\t\t\n1\tStillImage\ta.jpg\tCC0\tN. N.\n"

    records, rejections = read(as_zip(tmp_path, files))

    assert not rejections
    assert [record.line for record in records] == [3]


def test_a_table_in_several_files_is_one_table(tmp_path: Path) -> None:
    files = occurrence_files()
    files["meta.xml"] = str(files["meta.xml"]).replace(
        "<location>occurrence.txt</location>", "<location>occurrence.txt</location><location>more.txt</location>"
    )
    files["more.txt"] = "id\to\tn\td\n9\turn:9\tRussula vesca\t\n"

    records, rejections = read(as_zip(tmp_path, files))

    assert {record.photo: record.scientific_name for record in records}[
        "https://photos.example/9.jpg"
    ] == "Russula vesca"
    assert Counter(rejection.reason for rejection in rejections) == {"no-photo": 1}


def test_short_lines_and_repeated_ids_are_left_out_by_line(tmp_path: Path) -> None:
    files = occurrence_files()
    files["occurrence.txt"] = str(files["occurrence.txt"]) + "4\turn:d\n1\turn:e\tAmanita muscaria\t\n"

    records, rejections = read(as_zip(tmp_path, files))

    assert len(records) == 3
    assert [(rejection.reason, rejection.line) for rejection in rejections if rejection.file == "occurrence.txt"] == [
        ("malformed-line", 5),
        ("duplicate", 6),
        ("no-photo", 3),
    ]


def test_an_unclosed_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    files = occurrence_files()
    quoted = 'fieldsTerminatedBy="," fieldsEnclosedBy="&quot;"'
    files["meta.xml"] = descriptor(
        section("core", OCCURRENCE, "occurrence.txt", CORE_TERMS),
        section("extension", MULTIMEDIA, "multimedia.txt", {DC + "identifier": 1}, quoted),
    )
    rows = ["1,a.jpg", '1,"b.jpg', *["1,c.jpg"] * 700, '3,"d,\n"', "3,e.jpg"]
    files["multimedia.txt"] = "id,i\n" + "\n".join(rows) + "\n"

    records, rejections = read(as_zip(tmp_path, files))

    assert [(r.reason, r.line) for r in rejections if r.file == "multimedia.txt"] == [("malformed-line", 3)]
    assert Counter(record.photo for record in records) == {"a.jpg": 1, "c.jpg": 700, "d,": 1, "e.jpg": 1}


def test_a_taxon_core_gives_its_names_to_the_media_and_resolves_synonyms_within(tmp_path: Path) -> None:
    taxa: dict[str, int | str] = {DWC + "scientificName": 1, DWC + "acceptedNameUsageID": 2, DWC + "taxonomicStatus": 3}
    audubon: dict[str, int | str] = {
        DC + "identifier": 1,
        "http://rs.tdwg.org/ac/terms/accessURI": 2,
        "http://ns.adobe.com/xap/1.0/rights/UsageTerms": 3,
        "http://ns.adobe.com/xap/1.0/rights/Owner": 4,
        "http://rs.tdwg.org/ac/terms/subjectPart": 5,
    }
    files: dict[str, str | bytes] = {
        "meta.xml": descriptor(
            section("core", TAXON, "taxon.txt", taxa),
            section("extension", "http://eol.org/schema/media/Document", "media.txt", audubon),
            section("extension", OCCURRENCE, "occurrence.txt", {DWC + "associatedMedia": 1}),
        ),
        "taxon.txt": "id\tn\ta\ts\n"
        "1\tAmanita muscaria (L.) Lam.\t1\taccepted\n2\tAgaricus muscarius L.\t1\tsynonym\n"
        "3\tBoletus edulis Bull.\t\t\n"
        "4\tRussula vesca Fr.\t\t\n",
        "media.txt": "id\ti\tu\tl\to\tp\n"
        "2\tm1\thttps://photos.example/1.jpg\tCC BY 4.0\tN. N.\tgills\n2\tm2\t\tCC0\tN. N.\t\n",
        "occurrence.txt": "id\tm\n3\thttps://photos.example/3.jpg | https://photos.example/4.jpg\n3\t\n",
    }

    records, rejections = read(as_zip(tmp_path, files))
    curated = curate(records[0], POLICY, KnownNames())

    assert isinstance(curated, CuratedRecord)
    assert (curated.species_name, curated.synonym, curated.aspect) == (
        "Amanita muscaria",
        "Agaricus muscarius",
        "hymenium",
    )
    assert records[0].observation == ""  # photos of one taxon are of many finds
    assert [record.photo[-5:] for record in records] == ["1.jpg", "3.jpg", "4.jpg"]
    assert [(r.reason, r.file, r.line) for r in rejections] == [
        ("no-photo", "media.txt", 3),
        ("no-photo", "occurrence.txt", 3),
        ("no-photo", "taxon.txt", 2),
        ("no-photo", "taxon.txt", 5),
    ]


CORE = section("core", OCCURRENCE, "occurrence.txt", CORE_TERMS)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("meta.xml", "<archive><core>", "meta.xml, line 1: this is no XML"),
        ("meta.xml", "<archive/>", "meta.xml, line 1: one core is needed"),
        (
            "meta.xml",
            '<!DOCTYPE a [<!ENTITY b "c">]>\n<archive>&b;</archive>',
            "meta.xml, line 1: a descriptor has no doc",
        ),
        (
            "meta.xml",
            descriptor(CORE.replace("occurrence.txt", "../../etc/passwd")),
            "meta.xml, line 2: the core is in '../../etc/passwd', which is not in the archive",
        ),
        ("meta.xml", descriptor(CORE.replace("occurrence.txt", "")), "line 2: the core does not say in which file"),
        (
            "meta.xml",
            descriptor(CORE.replace('index="3"', 'index="9"')),
            "occurrence.txt, line 1: the header has 4 columns, but meta.xml speaks of 10",
        ),
        ("meta.xml", descriptor(CORE.replace('index="3"', 'index="-3"')), "meta.xml, line 2: the core has a column"),
        ("meta.xml", descriptor(CORE.replace("UTF-8", "klingon")), "line 2: the core is in encoding 'klingon'"),
        ("meta.xml", descriptor(CORE.replace('index="1"', 'index="one"')), "line 2: the core is not described"),
        ("meta.xml", descriptor(CORE.replace('"\\t"', '"::"')), "meta.xml, line 2: the core separates"),
        ("meta.xml", descriptor(CORE.replace("fields", 'linesTerminatedBy=";" fields', 1)), "ends its lines by ';'"),
        ("occurrence.txt", b"id\to\tn\td\n" + b"\0" * (9 * 2**20), "occurrence.txt, line 2: the line is longer"),
    ],
)
def test_a_broken_archive_is_refused_with_file_and_line(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = as_zip(tmp_path, occurrence_files() | {name: content})

    with pytest.raises(ArchiveError) as refusal:
        read(path)

    assert message in str(refusal.value)


def test_an_extension_without_coreid_is_refused(tmp_path: Path) -> None:
    files = occurrence_files()
    files["meta.xml"] = str(files["meta.xml"]).replace('<coreid index="0"/>', "")

    with pytest.raises(ArchiveError, match=r"meta.xml, line 4: the extension has no <coreid>"):
        read(as_zip(tmp_path, files))


def test_a_zip_that_unpacks_to_much_more_than_its_size_is_refused_unread(tmp_path: Path) -> None:
    files = occurrence_files() | {"occurrence.txt": b"\n" * (60 * 2**20)}

    with pytest.raises(ArchiveError, match=r"'occurrence.txt' would unpack to 62,914,560 bytes"):
        read(as_zip(tmp_path, files))


def test_a_truncated_zip_is_refused(tmp_path: Path) -> None:
    path = as_zip(tmp_path, occurrence_files())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ArchiveError):
        read(path, "dwca")


def test_damage_within_a_member_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in occurrence_files().items():
            archive.writestr(name, content)
    path.write_bytes(path.read_bytes().replace(b"Russula emetica", b"Russula emitica", 1))

    with pytest.raises(ArchiveError, match=r"occurrence.txt, line \d: the file is damaged"):
        read(path)


def test_links_in_a_tar_are_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "archive.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("meta.xml", "multimedia.txt"):
            content = str(occurrence_files()[name]).encode()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("occurrence.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)

    with pytest.raises(ArchiveError, match=r"'occurrence.txt', which is not in the archive"):
        read(path)


EXPECTED = {  # (records, rejections by reason) of every sample, counted from its tables with wc, cut and sort
    "python-dwca-reader/dwca-2extensions.zip": (0, {"no-photo": 4}),
    "python-dwca-reader/dwca-csv-quote-dir": (0, {"no-photo": 2}),
    "python-dwca-reader/dwca-malformed-descriptor": (0, {"malformed-line": 4}),
    "python-dwca-reader/dwca-meta-default-values": (0, {"no-photo": 2}),
    "python-dwca-reader/dwca-metadata-windows1252-encoding": (0, {"no-photo": 4}),
    "python-dwca-reader/dwca-noheaders-1.zip": (0, {"no-photo": 2}),
    "python-dwca-reader/dwca-orphaned-rows.zip": (0, {"no-photo": 4}),
    "python-dwca-reader/dwca-partial-default.zip": (0, {"no-photo": 2}),
    "python-dwca-reader/dwca-simple-csv-dos.zip": (0, {"no-photo": 3}),
    "python-dwca-reader/dwca-simple-csv.zip": (0, {"no-photo": 3}),
    "python-dwca-reader/dwca-simple-subdir.zip": (0, {"no-photo": 2}),
    "python-dwca-reader/dwca-simple-test-archive.tgz": (0, {"no-photo": 2}),
    "python-dwca-reader/dwca-star-test-archive.zip": (0, {"no-photo": 4}),
    "python-dwca-reader/dwca-utf8-eol-test.zip": (0, {"no-photo": 1}),
    "python-dwca-reader/gbif-results.zip": (0, {"no-photo": 158}),
    "gbif-dwca-io/6632D8151686A3F8C71D4B5A5B1181A4.zip": (0, {"no-photo": 56, "duplicate": 1}),
    "gbif-dwca-io/archive-occ.zip": (0, {"no-photo": 1534}),
    "gbif-dwca-io/archive-tax.zip": (0, {"no-photo": 3248}),
    "gbif-dwca-io/checklist_980.zip": (0, {"no-photo": 774}),
    "gbif-dwca-io/csv-json-escaped-quotes": (4, {}),
    "gbif-dwca-io/multifile-psv": (6, {}),
}


def test_every_sample_archive_is_read_to_its_last_line(shared: Path) -> None:
    samples = shared / "samples" / "dwca"

    found = {}
    for name in EXPECTED:
        assert detect_kind(samples / name) == "dwca"
        records, rejections = read(samples / name)
        found[name] = (len(records), dict(Counter(rejection.reason for rejection in rejections)))
        assert all(
            rejection.file and rejection.line and f"line {rejection.line}" in rejection.detail
            for rejection in rejections
        )

    assert found == EXPECTED
    there = {f"{path.parent.name}/{path.name}" for path in samples.glob("*/*") if not path.name.startswith("LICENSE")}
    assert there == set(EXPECTED)


def test_real_multimedia_in_the_shape_of_mushroom_observer(shared: Path, tmp_path: Path) -> None:
    multimedia = (shared / "samples/gbif-multimedia/liberty-cap/multimedia.txt").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in multimedia.splitlines()]
    places = [
        rows[0].index(name)
        for name in ("gbifID", "type", "format", "identifier", "created", "creator", "license", "rightsHolder")
    ]
    media = "\n".join("\t".join(row[place] for place in places) for row in rows)
    ids = sorted({row[0] for row in rows[1:]})
    observations = "".join(
        f"{key}\turn:{key}" + "\t" * 4 + "\tPsilocybe semilanceata" + "\t" * 19 + "\n" for key in ids
    )
    files: dict[str, str | bytes] = {
        "meta.xml": (shared / "samples/mo/gbif_meta.xml").read_text(encoding="utf-8"),
        "observations.csv": "\t".join(f"c{place}" for place in range(26)) + "\n" + observations,
        "multimedia.csv": media,
    }

    records, rejections = read(as_zip(tmp_path, files))
    curated = [curate(record, POLICY, KnownNames()) for record in records]

    assert (len(records), len({record.observation for record in records}), rejections) == (1619, 804, [])
    kept = [record for record in curated if isinstance(record, CuratedRecord)]
    assert Counter(record.licence for record in kept) == {"CC-BY-4.0": 84, "CC0-1.0": 29, "CC-BY-SA-4.0": 10}
    assert Counter(item.reason for item in curated if not isinstance(item, CuratedRecord)) == {
        "licence-not-accepted": 1168,
        "licence-missing": 176,
        "licence-reserved": 136,
        "no-author": 11,
        "not-a-photo": 5,
    }
