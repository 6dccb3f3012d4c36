from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.indexer.archives.samples import read, write_folder

GBIF = {
    "key": 5001,
    "occurrenceID": "17",
    "scientificName": "Boletus badius (Fr.) Fr.",
    "species": "Imleria badia",
    "taxonKey": 2, "speciesKey": 3, "kingdom": "Fungi", "identificationQualifier": "cf.",
    "eventDate": "2024-07-19", "decimalLatitude": 56.25, "decimalLongitude": 10.5, "countryCode": "DK",
    "coordinateUncertaintyInMeters": 42.5, "license": "http://creativecommons.org/publicdomain/zero/1.0/",
    "media": [
        {"type": "StillImage", "format": "image/jpeg", "identifier": "https://p.example/a.jpg",
         "license": "http://creativecommons.org/licenses/by/4.0/", "creator": "A. Adams"},
        {"type": "StillImage", "identifier": "https://p.example/b.jpg", "rightsHolder": "B. Brown"},
        {"type": "StillImage"},
    ],
}  # fmt: skip
INAT = {
    "id": 7, "uuid": "u-7", "quality_grade": "needs_id", "observed_on": "2020-08-27", "location": "50.1,-104.7",
    "obscured": True, "positional_accuracy": 5, "public_positional_accuracy": 28000, "captive": True,
    "license_code": "cc0", "user": {"login": "adam", "name": "Adam Adams"},
    "taxon": {"name": "Amanita muscaria", "rank": "species", "iconic_taxon_name": "Fungi"},
    "photos": [
        {"id": 1, "license_code": "cc-by", "url": "https://s.example/photos/1/square.jpg",
         "attribution": "(c) Zoe Zobel, some rights reserved (CC BY)"},
        {"id": 2, "license_code": None, "url": "https://s.example/photos/2/square.jpeg?1",
         "attribution": "(c) Zoe Zobel, all rights reserved"},
    ],
}  # fmt: skip


@pytest.mark.parametrize("shape", ["page", "list", "single", "folder"])
def test_records_of_gbif_are_read_in_every_shape(tmp_path: Path, shape: str) -> None:
    text = {"page": {"offset": 0, "results": [GBIF]}, "list": [GBIF], "single": GBIF, "folder": {"results": [GBIF]}}
    path = write_folder(tmp_path / "in", {"page.json": json.dumps(text[shape])})

    records, rejections = read(path if shape == "folder" else path / "page.json")

    assert [(r.photo, r.licence, r.creator, r.rights_holder, r.position) for r in records] == [
        ("https://p.example/a.jpg", "http://creativecommons.org/licenses/by/4.0/", "A. Adams", "", "0"),
        ("https://p.example/b.jpg", "", "", "B. Brown", "1"),
    ]
    first = records[0]
    assert (first.observation, first.scientific_name, first.accepted_name) == (
        "5001", "Boletus badius (Fr.) Fr.", "Imleria badia",
    )  # fmt: skip
    assert (first.decimal_latitude, first.coordinate_uncertainty, first.event_date) == ("56.25", "42.5", "2024-07-19")
    assert (first.identification_qualifier, first.species_key) == ("cf.", "3")
    assert [rejection.reason for rejection in rejections] == ["no-photo"]


def test_photos_of_inaturalist_have_their_own_licence_and_the_public_place(tmp_path: Path) -> None:
    (tmp_path / "page.json").write_text(json.dumps({"total_results": 1, "results": [INAT]}))

    records, rejections = read(tmp_path / "page.json")

    assert rejections == []
    assert [(r.photo, r.licence, r.creator, r.observation) for r in records] == [
        ("https://s.example/photos/1/original.jpg", "cc-by", "Zoe Zobel", "u-7"),
        ("https://s.example/photos/2/original.jpeg?1", "all rights reserved", "Zoe Zobel", "u-7"),
    ]
    first = records[0]
    assert (first.coordinate_uncertainty, first.verification_status, first.kingdom) == ("28000", "needs_id", "Fungi")
    assert (first.establishment_means, first.recorded_by) == ("captive", "Adam Adams")


def test_the_line_of_a_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "page.json").write_text('{"results": [\n' + json.dumps(GBIF) + ",\n7,\n" + json.dumps(GBIF) + "\n]}")

    records, rejections = read(tmp_path / "page.json")

    assert [record.line for record in records] == [2, 2, 4, 4]
    assert [(rejection.reason, rejection.line) for rejection in rejections] == [
        ("no-photo", 2), ("no-photo", 3), ("no-photo", 4),
    ]  # fmt: skip


def test_the_real_pages_are_read(shared: Path) -> None:
    records, rejections = read(shared / "samples" / "gbif-api" / "occurrence_search_page.json")
    insects, _ = read(shared / "samples" / "inat-api" / "observations_page1.json")

    assert (len(records), [rejection.reason for rejection in rejections]) == (87, ["no-photo", "no-photo"])
    assert {record.accepted_name for record in records} == {"Amanita muscaria"}
    assert [(record.kingdom, record.licence) for record in insects] == [("Insecta", "cc-by-nc")]
