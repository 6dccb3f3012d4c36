from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from indexer.archives import KINDS, detect_kind, read_archive
from indexer.archives.reading import READERS
from indexer.records import ArchiveSource
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import (
    occurrence_files,
    photo_bytes,
    read,
    write_archive,
    write_folder,
    write_photos,
)

FUNGITASTIC = "filename,category_id,observationID,species\na.jpg,1,7,Amanita muscaria\n"
OPEN_DATA = {
    "observations.csv": "observation_uuid\tobserver_id\tlatitude\tlongitude\tpositional_accuracy\ttaxon_id"
    "\tquality_grade\tobserved_on\n",
    "photos.csv": "photo_uuid\tphoto_id\tobservation_uuid\tobserver_id\textension\tlicense\twidth\theight\tposition\n",
    "taxa.csv": "taxon_id\tancestry\trank_level\trank\tname\tactive\n",
    "observers.csv": "observer_id\tlogin\tname\n",
}


def make(kind: str, folder: Path) -> Path:
    """Make an archive of that kind that is as small as can be told by its looks."""
    match kind:
        case "folder":
            write_photos(folder, "Amanita_muscaria/a.jpg")
            return folder
        case "csv":
            return write_folder(folder, {"photos.csv": "file,species\na.jpg,Amanita muscaria\n"}) / "photos.csv"
        case "dwca":
            return write_archive(folder / "a.zip", occurrence_files())
        case "coco":
            return (
                write_folder(folder, {"a.json": json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}]})}) / "a.json"
            )
        case "inat-open-data":
            return write_folder(folder, OPEN_DATA)
        case "fungitastic":
            return write_folder(folder, {"metadata/FungiTastic/Train.csv": FUNGITASTIC})
        case "found-pictures":
            table = "image_url,species,title,caption,page_text\nhttp://a.example/a.jpg,Amanita muscaria,,,\n"
            return write_folder(folder, {"found.csv": table})
        case "gbif-api":
            page = {"results": [{"key": 1, "scientificName": "Amanita muscaria", "media": []}]}
            return write_folder(folder, {"page.json": json.dumps(page)}) / "page.json"
        case "inat-api":
            page = {"results": [{"id": 1, "taxon": {"name": "Amanita muscaria"}, "photos": []}]}
            return write_folder(folder, {"page.json": json.dumps(page)}) / "page.json"
        case _:
            names = {"plantnet300K_species_id_2_name.json": "{}", "plantnet300K_metadata.json": "{}"}
            return write_folder(folder, names)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_told_by_its_looks_and_has_a_reader_and_a_sentence(kind: str, tmp_path: Path) -> None:
    path = make(kind, tmp_path)

    assert detect_kind(path) == kind
    assert kind in READERS
    assert KINDS[kind].endswith(".")
    list(read_archive(ArchiveSource("auto", path)))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no kind of archive fits"),
        ({"a.csv": "file,species\n", "b.csv": "file,species\n"}, r"several tables of photos \(a.csv, b.csv\)"),
        ({"notes.md": "x"}, "no kind of archive fits"),
    ],
)
def test_a_folder_that_is_nothing_or_several_things_is_refused(
    tmp_path: Path, files: Mapping[str, str], message: str
) -> None:
    with pytest.raises(ArchiveError, match=message):
        detect_kind(write_folder(tmp_path, files))


def test_files_that_are_no_archives_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0\1\2")
    (tmp_path / "a.json").write_text('{"instances": [1, 2]}')
    (tmp_path / "empty.csv").write_text("")

    for name, message in (
        ("a.bin", "a.bin, line 1: this is no text"),
        ("a.json", "a.json, line 1"),
        ("empty.csv", "is empty"),
        ("no", "no such"),
    ):
        with pytest.raises(ArchiveError, match=message):
            detect_kind(tmp_path / name)


def test_a_misspelt_kind_field_or_column_is_refused(tmp_path: Path) -> None:
    table = make("csv", tmp_path)

    for kind, columns, message in (
        ("cvs", (), "no archive kind 'cvs'"),
        ("csv", (("lisence", "=CC0"),), "no field 'lisence'"),
        ("csv", (("licence", "rights"),), "photos.csv, line 1: there is no column 'rights'; there are file, species"),
        ("folder", (("licence", "rights"),), "knows its own columns"),
    ):
        with pytest.raises(ArchiveError, match=message):
            list(read_archive(ArchiveSource(kind, table, None, columns)))


def test_constants_fill_what_an_archive_leaves_empty(tmp_path: Path) -> None:
    text = "file,species,licence\na.jpg,Amanita muscaria,\nb.jpg,Amanita muscaria,CC0\n"
    table = write_folder(tmp_path, {"photos.csv": text}) / "photos.csv"

    records, _ = read(table, "csv", columns=(("licence", "=CC BY 4.0"), ("creator", "= The author ")))

    assert [(record.licence, record.creator) for record in records] == [
        ("CC BY 4.0", "The author"),
        ("CC0", "The author"),
    ]


def test_a_folder_names_species_and_deeper_folders_are_observations(tmp_path: Path) -> None:
    write_photos(
        tmp_path,
        "16390_Leucoagaricus_leucothites/a.JPG",
        "Amanita muscaria (L.) Lam/obs 1/a.jpg",
        "Amanita muscaria (L.) Lam/obs 1/b.png",
        "loose.jpg",
    )
    write_folder(tmp_path, {"Amanita muscaria (L.) Lam/notes.txt": "x", "Boletus_edulis/.hidden.jpg": photo_bytes()})
    (tmp_path / "linked").symlink_to("/etc")

    records, rejections = read(tmp_path, "folder")

    assert [(record.photo, record.scientific_name, record.observation) for record in records] == [
        ("16390_Leucoagaricus_leucothites/a.JPG", "Leucoagaricus leucothites", ""),
        ("Amanita muscaria (L.) Lam/obs 1/a.jpg", "Amanita muscaria (L.) Lam", "Amanita muscaria (L.) Lam/obs 1"),
        ("Amanita muscaria (L.) Lam/obs 1/b.png", "Amanita muscaria (L.) Lam", "Amanita muscaria (L.) Lam/obs 1"),
    ]
    assert sorted((rejection.reason, rejection.photo) for rejection in rejections) == [
        ("no-identification", "loose.jpg"),
        ("not-a-photo", "Amanita muscaria (L.) Lam/notes.txt"),
        ("not-a-photo", "Boletus_edulis/.hidden.jpg"),
        ("outside-folder", "linked"),
    ]


def test_open_data_tables_are_joined_over_ancestry_and_observers(tmp_path: Path) -> None:
    taxa = (
        "1\t\t70\tkingdom\tFungi\ttrue\n"
        "2\t1\t20\tgenus\tAmanita\ttrue\n"
        "3\t1/2\t10\tspecies\tAmanita muscaria\ttrue\n"
        "4\t1/2/3\t5\tvariety\tAmanita muscaria formosa\ttrue\n"
    )
    observations = (
        "o1\t1\t50.1\t10.2\t5\t3\tresearch\t2024-09-30\n"
        "o2\t1\t50.1\t10.2\t\t4\tresearch\t2024-09-29\n"
        "o3\t1\t\t\t\t3\tneeds_id\t2024-09-28\n"
        "o4\t2\t\t\t\t77\tresearch\t\n"
        "o5\t2\t\t\t\t3\tresearch\t\n"
    )
    photos = "".join(
        f"u\t{number}\t{observation}\t{observer}\tjpg\tCC-BY\t9\t9\t{position}\n"
        for number, observation, observer, position in (
            (11, "o1", 1, 1),
            (10, "o1", 1, 0),
            (12, "o2", 2, 0),
            (13, "o3", 1, 0),
            (14, "o4", 2, 0),
            (15, "lost", 1, 0),
        )
    )
    files: dict[str, str | bytes] = {
        "taxa.csv": OPEN_DATA["taxa.csv"] + taxa,
        "observers.csv": OPEN_DATA["observers.csv"] + "1\tlogin1\tName One\n2\tlogin2\t\n",
        "observations.csv.gz": gzip.compress((OPEN_DATA["observations.csv"] + observations).encode()),
        "photos.csv.gz": gzip.compress((OPEN_DATA["photos.csv"] + photos).encode()),
    }
    write_photos(tmp_path, "photos/11/medium.jpg", "photos/11/large.jpg")

    records, rejections = read(write_folder(tmp_path, files))

    assert [
        (r.photo, r.scientific_name, r.accepted_name, r.genus, r.kingdom, r.creator, r.position) for r in records
    ] == [
        ("photos/11/large.jpg", "Amanita muscaria", "", "Amanita", "Fungi", "Name One", "1"),
        (
            "https://inaturalist-open-data.s3.amazonaws.com/photos/10/original.jpg",
            "Amanita muscaria",
            "",
            "Amanita",
            "Fungi",
            "Name One",
            "0",
        ),
        (
            "https://inaturalist-open-data.s3.amazonaws.com/photos/12/original.jpg",
            "Amanita muscaria formosa",
            "Amanita muscaria",
            "Amanita",
            "Fungi",
            "login2",
            "0",
        ),
    ]
    assert [(r.reason, r.file, r.line) for r in rejections] == [
        ("uncertain-identification", "photos.csv.gz", 5),
        ("no-identification", "photos.csv.gz", 6),
        ("orphan", "photos.csv.gz", 7),
        ("no-photo", "observations.csv.gz", 6),
    ]


def test_open_data_without_a_table_or_a_column_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, OPEN_DATA | {"photos.csv": "photo_id\tobservation_uuid\n"})

    with pytest.raises(ArchiveError, match=r"photos.csv, line 1: there is no column observer_id"):
        read(tmp_path, "inat-open-data")
    (tmp_path / "taxa.csv").unlink()
    with pytest.raises(ArchiveError, match=r"there is no taxa.csv or taxa.csv.gz"):
        read(tmp_path, "inat-open-data")


def test_an_open_data_observation_of_two_taxa_has_no_photos(tmp_path: Path) -> None:
    write_folder(tmp_path, OPEN_DATA | {
        "observations.csv": OPEN_DATA["observations.csv"]
        + "u1\t1\t\t\t\t10\tresearch\t2020-09-01\nu1\t1\t\t\t\t11\tresearch\t2020-09-01\n",
        "photos.csv": OPEN_DATA["photos.csv"] + "p1\t5\tu1\t1\tjpg\tCC0\t9\t9\t0\n",
        "taxa.csv": OPEN_DATA["taxa.csv"] + "10\t\t10\tspecies\tMycena pura\ttrue\n"
        "11\t\t10\tspecies\tMycena rosea\ttrue\n",
    })  # fmt: skip

    records, rejections = read(tmp_path, "inat-open-data")

    assert records == []
    assert [(one.reason, one.file, one.line) for one in rejections] == [
        ("duplicate", "observations.csv", 3),
        ("ambiguous-identification", "photos.csv", 2),
    ]
    assert rejections[1].detail.endswith("observation u1 stands in two rows, as taxon 10 and 11")


def test_an_open_data_taxon_of_two_names_names_no_photo(tmp_path: Path) -> None:
    write_folder(tmp_path, OPEN_DATA | {
        "observations.csv": OPEN_DATA["observations.csv"] + "u1\t1\t\t\t\t10\tresearch\t2020-09-01\n",
        "photos.csv": OPEN_DATA["photos.csv"] + "p1\t5\tu1\t1\tjpg\tCC0\t9\t9\t0\n",
        "taxa.csv": OPEN_DATA["taxa.csv"] + "10\t\t10\tspecies\tMycena pura\ttrue\n"
        "10\t\t10\tspecies\tMycena rosea\ttrue\n",
    })  # fmt: skip

    records, rejections = read(tmp_path, "inat-open-data")

    assert records == []
    assert [one.reason for one in rejections] == ["duplicate", "ambiguous-identification"]
    assert rejections[1].detail.endswith("taxon 10 stands in two rows, as Mycena pura and Mycena rosea")


def test_fungitastic_finds_its_photos_by_size_and_leaves_unknown_species_out(tmp_path: Path) -> None:
    header = (
        "eventDate,countryCode,scientificName,species,kingdom,latitude,longitude,observationID,filename,category_id,"
        "poisonous\n"
    )
    lines = (
        "2020-09-01,DK,Amanita muscaria (L.) Lam.,Amanita muscaria,Fungi,55.1,10.1,1,a.JPG,5,1\n"
        "2020-09-01,DK,Amanita sp.,,Fungi,55.1,10.1,2,b.JPG,-1,0\n"
        "2020-09-02,DK,Boletus edulis Bull.,Boletus edulis,Fungi,55.1,10.1,3,c.JPG,6,0\n"
        "2020-09-02,DK,Boletus edulis Bull.,Boletus edulis,Fungi,55.1,10.1,3,,6,0\n"
    )
    write_folder(tmp_path, {"metadata/FungiTastic/FungiTastic-ClosedSet-Train.csv": header + lines})
    write_photos(tmp_path, "images/train/300p/a.JPG", "images/train/500p/a.JPG", "images/train/300p/c.JPG")

    records, rejections = read(tmp_path, columns=(("licence", "=CC BY-NC 4.0"),))

    assert [(r.photo, r.accepted_name, r.observation, r.toxicity, r.licence) for r in records] == [
        ("images/train/500p/a.JPG", "Amanita muscaria", "1", "1", "CC BY-NC 4.0"),
        ("images/train/300p/c.JPG", "Boletus edulis", "3", "0", "CC BY-NC 4.0"),
    ]
    assert [(r.reason, r.line) for r in rejections] == [("unknown-species", 3), ("no-photo", 5)]
    assert rejections[0].file == "metadata/FungiTastic/FungiTastic-ClosedSet-Train.csv"


def test_plantnet_photos_name_their_folder_and_say_that_they_are_plants(tmp_path: Path) -> None:
    metadata = {
        "aa": {
            "species_id": "7",
            "obs_id": "1",
            "organ": "flower",
            "author": "N. N.",
            "license": "cc-by-sa",
            "split": "train",
        },
        "bb": {
            "species_id": "8",
            "obs_id": "2",
            "organ": "leaf",
            "author": "N. N.",
            "license": "cc-by-sa",
            "split": "val",
        },
    }
    files = {
        "plantnet300K_metadata.json": json.dumps(metadata),
        "plantnet300K_species_id_2_name.json": '{"7": "Viola_riviniana_Rchb."}',
    }

    records, rejections = read(write_folder(tmp_path, files))

    assert [(r.photo, r.scientific_name, r.kingdom) for r in records] == [
        ("images/train/7/aa.jpg", "Viola riviniana Rchb.", "Plantae")
    ]
    assert [(r.reason, r.photo) for r in rejections] == [("unknown-species", "images/val/8/bb.jpg")]
