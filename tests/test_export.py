"""The Darwin Core Archive: readable by others, lossless when imported again, with a list of changes."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import pytest
from dwca.read import DwCAReader
from sqlalchemy import select

from database.models import Observation, Photo, Taxon
from database.session import open_database
from fungarium.cli import main
from tests.circle import PAGE, Installation, installation
from tests.snapshots import EMETICA, MUSCARIA, draw_photo

__all__ = ["installation"]

SPOT = {"decimalLatitude": "55.676098", "decimalLongitude": "12.568337", "coordinateUncertaintyInMeters": "8"}
WORDS = {"habitat": "under\tbirch", "substrate": 'dead "wood"', "locality": "by the old mill"}


def export(path: Path, *options: str) -> int:
    return main(["observations", "export", str(path), "--organisation", "A Society", *options])


def tables(path: Path) -> dict[str, list[dict[str, str]]]:
    with zipfile.ZipFile(path) as archive:
        return {
            name: list(csv.DictReader(io.StringIO(archive.read(name).decode()), delimiter="\t", quoting=csv.QUOTE_NONE))
            for name in archive.namelist()
            if name.endswith(".txt")
        }


def observed(installation: Installation) -> list[dict[str, Any]]:
    """Three approved observations: one with two photos and a history, one obscured, one that may not go out."""
    first = installation.approved(
        [draw_photo(EMETICA, 80), draw_photo(EMETICA, 81)],
        scientificName="Amanita muscaria",
        certainty="possible",
        **SPOT,
        **WORDS,
    )
    second = installation.approved(
        [draw_photo(MUSCARIA, 82)], "Amanita muscaria", obscured="true", licence="CC0-1.0", **SPOT, **WORDS
    )
    third = installation.approved([draw_photo(EMETICA, 83)], licence="all-rights-reserved")
    return [first, second, third]


def test_the_export_comes_back_through_our_own_importer_without_loss(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = observed(installation)
    assert export(tmp_path / "fungi.zip", "--pack-photos") == 0

    monkeypatch.setenv("FUNGARIUM_DATA", str(tmp_path / "elsewhere"))
    assert main(["collection", "import", "dwca", str(tmp_path / "fungi.zip"), "--dataset", "theirs"]) == 0

    url = f"sqlite:///{tmp_path / 'elsewhere' / 'fungarium.sqlite'}"
    with open_database(url) as database, database.reading() as session:
        names = {taxon.id: taxon.scientific_name for taxon in session.scalars(select(Taxon))}
        found = {one.observation_key: one for one in session.scalars(select(Observation))}
        photos = {photo.sha256: photo for photo in session.scalars(select(Photo))}
        for sent in (first, second):
            kept = found[f"urn:uuid:{sent['id']}"]
            assert names[kept.taxon_id] == sent["taxon"]["scientificName"]
            assert kept.event_date is not None
            assert kept.event_date.isoformat() == sent["eventDate"]
            assert kept.habitat == "under birch"
            assert kept.substrate == 'dead "wood"'
            assert kept.recorded_by == "Olga Ohm"
            shown = [photo["sha256"] for photo in sent["photos"]]
            assert [photo.sha256 for photo in sorted(kept.photos, key=lambda one: one.position)] == shown
            assert {photos[sha256].licence for sha256 in shown} == {sent["licence"]}
            assert {photos[sha256].creator for sha256 in shown} == {"Olga Ohm"}
        exact, coarse = found[f"urn:uuid:{first['id']}"], found[f"urn:uuid:{second['id']}"]
        assert (exact.decimal_latitude, exact.decimal_longitude, exact.coordinate_uncertainty) == (
            55.676098,
            12.568337,
            8,
        )
        assert (coarse.decimal_latitude, coarse.decimal_longitude) == (55.7, 12.5)
        assert (coarse.coordinate_uncertainty or 0) > 10_000
    assert len(found) == 2


def test_another_reader_of_such_archives_reads_it(installation: Installation, tmp_path: Path) -> None:
    first, *_ = observed(installation)
    export(tmp_path / "fungi.zip")

    with DwCAReader(str(tmp_path / "fungi.zip")) as archive:
        rows = {row.id: row for row in archive}
        row = rows[f"urn:uuid:{first['id']}"]
        dwc = "http://rs.tdwg.org/dwc/terms/"

        assert archive.descriptor.core.type == f"{dwc}Occurrence"
        assert row.data[f"{dwc}basisOfRecord"] == "HumanObservation"
        assert row.data["http://purl.org/dc/terms/license"] == "http://creativecommons.org/licenses/by/4.0/legalcode"
        assert row.data[f"{dwc}genus"] == "Russula"
        assert row.data[f"{dwc}identifiedBy"] == "Erna Ohm"
        assert row.data[f"{dwc}identificationVerificationStatus"] == "approved by an expert"
        kinds = [extension.rowtype for extension in row.extensions]
        assert sorted(kinds) == [*["http://rs.gbif.org/terms/1.0/Multimedia"] * 2, *[f"{dwc}Identification"] * 2]
        said = [one.data for one in row.extensions if one.rowtype == f"{dwc}Identification"]
        assert [one[f"{dwc}scientificName"] for one in said] == ["Amanita muscaria", "Russula emetica"]
        assert [one[f"{dwc}identifiedBy"] for one in said] == ["Olga Ohm", "Erna Ohm"]
        assert said[0][f"{dwc}identificationRemarks"] == "certainty: possible"
        assert len({one[f"{dwc}identificationID"] for one in said}) == 2
        addresses = [one.data.get("http://purl.org/dc/terms/identifier", "") for one in row.extensions]
        for photo in first["photos"]:
            assert f"{PAGE}/api/v1/observations/{first['id']}/photos/{photo['sha256']}?size=1280" in addresses
        assert archive.metadata is not None
        assert archive.metadata.find("dataset/creator/organizationName").text == "A Society"


def test_the_address_of_a_photo_leads_to_it(installation: Installation, tmp_path: Path) -> None:
    observed(installation)
    export(tmp_path / "fungi.zip")

    for row in tables(tmp_path / "fungi.zip")["multimedia.txt"]:
        answer = installation.client().get(row["identifier"].removeprefix(PAGE))
        assert (answer.status_code, answer.mimetype) == (200, row["format"])


def test_an_obscured_place_goes_out_as_its_cell_and_says_so(installation: Installation, tmp_path: Path) -> None:
    _, second, _ = observed(installation)
    export(tmp_path / "fungi.zip")

    (row,) = [one for one in tables(tmp_path / "fungi.zip")["occurrence.txt"] if one["catalogNumber"] == second["id"]]

    assert (row["decimalLatitude"], row["decimalLongitude"], row["geodeticDatum"]) == ("55.7", "12.5", "WGS84")
    assert int(row["coordinateUncertaintyInMeters"]) > 10_000
    assert "0.2 degrees" in row["dataGeneralizations"]
    assert row["informationWithheld"]
    assert row["locality"] == ""
    assert not any(word in json.dumps(row) for word in ("55.676", "12.568", "old mill"))


def test_nothing_goes_out_that_nobody_allowed(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observed(installation)
    installation.approved([draw_photo(EMETICA, 84)], licence="CC-BY-SA-4.0")
    installation.approved([draw_photo(EMETICA, 85)], licence="")
    installation.record([draw_photo(EMETICA, 86)])

    assert export(tmp_path / "fungi.zip") == 0
    said = capsys.readouterr().out
    assert export(tmp_path / "more.zip", "--licences", "any") == 0

    assert len(tables(tmp_path / "fungi.zip")["occurrence.txt"]) == 2
    assert len(tables(tmp_path / "more.zip")["occurrence.txt"]) == 3
    for reason in ("licence-missing: 1", "licence-not-accepted: 1", "licence-reserved: 1"):
        assert f"left out, {reason}" in said


def test_the_same_observations_give_the_same_bytes_and_changes_are_told(
    installation: Installation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, _ = observed(installation)
    path = tmp_path / "fungi.zip"
    export(path)
    before, notes = path.read_bytes(), (tmp_path / "fungi.zip.json").read_bytes()
    capsys.readouterr()

    assert export(path) == 0
    assert "unchanged: 2 observations, 3 photos\n  0 new, 0 changed, 0 removed" in capsys.readouterr().out
    assert (path.read_bytes(), (tmp_path / "fungi.zip.json").read_bytes()) == (before, notes)
    change = {"habitat": "under oak", "version": first["version"]}
    installation.client().patch(first["url"], json=change, headers=installation.keys["olga"])
    installation.client().delete(second["url"], headers=installation.keys["olga"])
    export(path)

    said = capsys.readouterr().out
    assert "0 new, 1 changed, 1 removed" in said
    assert f"removed: urn:uuid:{second['id']}" in said
    deleted = json.loads((tmp_path / "fungi.zip.json").read_bytes())["deleted"]
    assert list(deleted) == [f"urn:uuid:{second['id']}"]
    assert path.read_bytes() != before


def test_the_dataset_has_the_strictest_licence_of_its_records(installation: Installation, tmp_path: Path) -> None:
    installation.approved([draw_photo(EMETICA, 87)], licence="CC-BY-NC-4.0")
    observed(installation)
    export(tmp_path / "fungi.zip")

    with zipfile.ZipFile(tmp_path / "fungi.zip") as archive:
        rights = ET.fromstring(archive.read("eml.xml")).find("dataset/intellectualRights/para/ulink")

    assert rights is not None
    assert "by-nc/4.0" in rights.attrib["url"]


def test_an_export_of_nothing_or_to_nowhere_is_refused(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path / "fungi.zip") == 1
    monkeypatch.delenv("FUNGARIUM_PUBLIC_URL")
    installation.approved([draw_photo(EMETICA, 88)])
    assert export(tmp_path / "fungi.zip") == 1

    said = capsys.readouterr().err
    assert "there is none" in said
    assert "set FUNGARIUM_PUBLIC_URL" in said
    assert not list(tmp_path.glob("*fungi.zip*"))
