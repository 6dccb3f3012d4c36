from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from indexer.curation.curate import CurationPolicy, curate
from indexer.curation.names import KnownNames
from indexer.records import CuratedRecord
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import TODAY, read, write_photos

LINES = (
    "file,Scientific Name,observationID,photographer,License,month,day,year",
    'a.jpg,"Amanita muscaria, red",o1,Jørgen,CC0,9,30,2024',
    'b.jpg,"Boletus ""edulis""",o2,Zoë,"CC BY 4.0",10,1,2024',
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_table_says_the_same_in_every_dialect(tmp_path: Path, encoding: str, end: str, delimiter: str) -> None:
    lines = [line.replace(", red", "§").replace(",", delimiter).replace("§", ", red") for line in LINES]
    path = tmp_path / "photos.csv"
    path.write_bytes((end.join(lines) + end).encode(encoding))

    records, rejections = read(path, "csv")

    assert not rejections
    assert [
        (r.photo, r.scientific_name, r.observation, r.creator, r.licence, r.year, r.month, r.day, r.line)
        for r in records
    ] == [
        ("a.jpg", "Amanita muscaria, red", "o1", "Jørgen", "CC0", "2024", "9", "30", 2),
        ("b.jpg", 'Boletus "edulis"', "o2", "Zoë", "CC BY 4.0", "2024", "10", "1", 3),
    ]


def test_lines_of_another_width_are_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "photos.csv"
    path.write_text(
        "file,species\na.jpg\nb.jpg,Boletus edulis,what\n\n"
        '"c.jpg","Boletus\nedulis",,\n,Boletus edulis\nd.jpg,"Boletus\n'
    )

    records, rejections = read(path, "csv")

    assert [(record.photo, record.line) for record in records] == [("c.jpg", 5)]
    assert [(rejection.reason, rejection.line) for rejection in rejections] == [
        ("malformed-line", 2),
        ("malformed-line", 3),
        ("no-photo", 7),
        ("malformed-line", 8),
    ]
    assert rejections[0].detail == "photos.csv, line 2: the line has 1 columns, the header has 2"


def test_an_address_stands_in_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg")
    (tmp_path / "photos.csv").write_text(
        "species;obs_id;image_name;organ;url\n"
        "Amanita muscaria;1;a.jpg;cap;https://photos.example/a.jpg\n"
        "Amanita muscaria;1;b.jpg;habitat;https://photos.example/b.jpg\n"
        "Amanita muscaria;1;c.jpg;;\n"
    )

    records, _ = read(tmp_path / "photos.csv")

    assert [record.photo for record in records] == ["a.jpg", "https://photos.example/b.jpg", "c.jpg"]


def test_the_person_says_what_a_column_means(tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("Bild\tArt\tWer\tdatei\nx\tBoletus edulis\tN. N.\ta.jpg\n")
    columns = (("photo", "datei"), ("scientific_name", "Art"), ("creator", "Wer"))

    records, _ = read(tmp_path / "mine.tsv", "csv", columns=columns)

    assert [(record.photo, record.scientific_name, record.creator) for record in records] == [
        ("a.jpg", "Boletus edulis", "N. N.")
    ]


def test_a_table_without_photos_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("species,day\nBoletus edulis,1\n")

    with pytest.raises(
        ArchiveError, match=r"a.csv, line 1: no column says where the photos are; the columns are species, day"
    ):
        read(tmp_path / "a.csv", "csv")


def test_a_table_that_says_nowhere_what_its_photos_show_is_refused_once(tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text("file,date\na.jpg,2020-05-01\nb.jpg,2020-05-02\n", encoding="utf-8")

    with pytest.raises(ArchiveError, match=r"line 2: neither a column nor .* scientific_name=HEADER"):
        read(table, "csv")


def test_accepted_names_keys_and_epithets_are_found_in_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "file,dwc:scientificName,species,genus,taxonID,speciesKey\n"
        "a.jpg,Agaricus muscarius L.,Amanita muscaria,Amanita,https://www.gbif.org/species/2,5240151\n"
        "b.jpg,Boletus edulis Bull.,edulis,Boletus,urn:other:3,\n"
    )
    (tmp_path / "b.csv").write_text("file,genus,species\nc.jpg,Boletus,edulis\n")

    records = read(tmp_path / "a.csv")[0] + read(tmp_path / "b.csv")[0]

    assert [(r.scientific_name, r.accepted_name, r.taxon_key, r.species_key) for r in records] == [
        ("Agaricus muscarius L.", "Amanita muscaria", "2", "5240151"),
        ("Boletus edulis Bull.", "", "", ""),
        ("", "", "", ""),
    ]
    assert (records[2].genus, records[2].specific_epithet) == ("Boletus", "edulis")


@pytest.mark.parametrize(
    ("attribution", "creator", "references"),
    [
        ("N. N. / Some Site https://photos.example/1", "N. N. / Some Site", "https://photos.example/1"),
        ("https://photos.example/1", "https://photos.example/1", "https://photos.example/1"),
        ("N. N.", "N. N.", ""),
    ],
)
def test_an_attribution_is_split_into_author_and_page(
    tmp_path: Path, attribution: str, creator: str, references: str
) -> None:
    (tmp_path / "a.csv").write_text(f"file,species,attribution\na.jpg,Boletus edulis,{attribution}\n")

    records, _ = read(tmp_path / "a.csv")

    assert (records[0].creator, records[0].references) == (creator, references)


def test_the_real_photos_are_all_read_and_the_open_ones_kept(shared: Path) -> None:
    records, rejections = read(shared / "photos" / "photos.csv")

    assert (len(records), rejections) == (527, [])
    assert (len({r.scientific_name for r in records}), len({r.observation for r in records})) == (241, 434)
    for licences, kept in (("open", 382), ("noncommercial", 384), ("any", 527)):
        policy = CurationPolicy(today=TODAY, licences=licences)
        curated = [curate(record, policy, KnownNames()) for record in records]
        assert sum(isinstance(item, CuratedRecord) for item in curated) == kept
    assert read(shared / "photos")[0] == records


def test_the_same_real_photos_are_found_in_folders(shared: Path) -> None:
    by_table = {record.photo: record.scientific_name for record in read(shared / "photos" / "photos.csv")[0]}
    records, rejections = read(shared / "photos" / "reference", "folder")

    assert {f"reference/{record.photo}": record.scientific_name for record in records} == by_table
    assert rejections == []


def test_real_field_notes_are_dated_and_placed(shared: Path) -> None:
    columns = (("scientific_name", "label_unverified"), ("licence", "=CC0"))
    policy = CurationPolicy(today=TODAY)

    records, rejections = read(shared / "photos" / "field.csv", "csv", columns=columns)
    curated = [curate(record, policy, KnownNames()) for record in records]

    assert (len(records), rejections) == (44, [])
    kept = [item for item in curated if isinstance(item, CuratedRecord)]
    assert Counter(record.country_code for record in kept) == {"IT": len(kept)}
    assert all(record.decimal_latitude for record in kept)
    undated = [record for record in kept if record.event_date is None]
    assert {(doubt.reason, doubt.text) for record in undated for doubt in record.doubts} == {
        ("date-not-read", "Abete Bianco, Pescopennataro"),
        ("date-not-read", "Eremo di San Luca, Pescopennataro"),
    }
    assert len(undated) == 4
    assert len({record.observation for record in kept}) <= 22


def test_a_real_table_without_names_takes_them_from_the_folders(shared: Path) -> None:
    records, rejections = read(shared / "samples" / "fgvcx-fungi-2018" / "val.csv")

    assert (len(records), rejections) == (4182, [])
    assert records[0].scientific_name == "Leucoagaricus leucothites"
