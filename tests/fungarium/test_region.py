"""`fungarium region` against a replica of GBIF: no request leaves this machine."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path

import pytest

from database.session import open_database
from database.taxonomy.checklists import listed_species
from database.taxonomy.taxa import known_names, taxa, vernacular_names
from tests.fungarium.conftest import Run
from tests.replicas.gbif import Replica, make_records, make_taxa, occurrence
from tests.replicas.serving import HTML, busy

TAXA = make_taxa(12)


@pytest.fixture
def run(run_region: Run, replica: Replica) -> Run:
    """Runs a command against a country with some records, and one of its neighbour."""
    replica.records = make_records(TAXA, 4)
    replica.records.append(occurrence(9, TAXA[0], day=date(1999, 5, 1), countryCode="SE", place=(60.0, 15.0)))
    return run_region


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def database_of(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'data' / 'fungarium.sqlite'}"


def listed(tmp_path: Path, checklist: str) -> set[str]:
    with (
        open_database(f"sqlite:///{tmp_path / 'data' / 'fungarium.sqlite'}") as database,
        database.reading() as session,
    ):
        present = listed_species(session, checklist)
        return {taxon.name for taxon in taxa(session) if taxon.id in present}


def test_a_country_gets_a_checklist_with_names_and_counts_by_month(run: Run, replica: Replica, tmp_path: Path) -> None:
    status, out, _ = run("region", "create", "denmark", "--country", "DK")

    assert status == 0
    assert "region denmark: Denmark, Fungi and Myxomycetes\n" in out
    assert "  12 species present, 12 of them with photos on GBIF" in out
    assert listed(tmp_path, "denmark") == {taxon.name for taxon in TAXA}
    counts = table(tmp_path / "data" / "regions" / "denmark" / "counts.csv")
    assert [int(row["gbifKey"]) for row in counts] == [taxon.key for taxon in TAXA]
    for row in counts:
        of_species = [one for one in replica.records if str(one["speciesKey"]) == row["gbifKey"]]
        of_species = [one for one in of_species if one["countryCode"] == "DK"]
        assert int(row["records"]) == len(of_species)
        assert [int(row[f"month{month}"]) for month in range(1, 13)] == [
            sum(one["month"] == month for one in of_species) for month in range(1, 13)
        ]


def test_names_come_in_the_languages_asked_for_and_synonyms_point_to_their_species(run: Run, tmp_path: Path) -> None:
    run("region", "create", "denmark", "--country", "DK", "--language", "da")

    with (
        open_database(f"sqlite:///{tmp_path / 'data' / 'fungarium.sqlite'}") as database,
        database.reading() as session,
    ):
        by_name, by_key = known_names(session)
        spoken = {language for _, language, _ in vernacular_names(session)}
    assert spoken == {"da"}
    assert by_name["Olimia albusfictomyces"] == ("Fictomyces albus", 3000)
    assert by_key[4000] == ("Fictomyces albus", 3000)


def test_the_threat_of_species_is_kept_with_the_checklist(run: Run, tmp_path: Path) -> None:
    _, out, _ = run("region", "create", "denmark", "--country", "DK")

    rows = table(tmp_path / "data" / "regions" / "denmark" / "checklist" / "distribution.csv")
    threatened = [row["taxonID"].rpartition("/")[2] for row in rows if row["threatStatus"] == "VU"]
    assert threatened == [str(taxon.key) for taxon in TAXA if taxon.threat]
    assert f"{len(threatened)} species threatened" in out


def test_thresholds_say_what_counts_as_present(run: Run, replica: Replica, tmp_path: Path) -> None:
    scarce, one_year = TAXA[0], TAXA[1]
    replica.records = [one for one in replica.records if one["speciesKey"] != scarce.key or one["key"] % 10 == 0]
    for record in replica.records:
        if record["speciesKey"] == one_year.key:
            record["year"] = 2021

    _, out, _ = run("region", "create", "denmark", "--country", "DK", "--records", "2", "--years", "2")

    assert listed(tmp_path, "denmark") == {taxon.name for taxon in TAXA} - {scarce.name, one_year.name}
    assert "left out: 2 species with too few records, years or datasets" in out


def test_lichens_are_in_or_out_by_choice(run: Run, tmp_path: Path) -> None:
    run("region", "create", "denmark", "--country", "DK", "--no-lichens")

    lichens = {taxon.name for taxon in TAXA if taxon.class_ == "Lecanoromycetes"}
    assert lichens
    assert listed(tmp_path, "denmark") == {taxon.name for taxon in TAXA} - lichens


@pytest.mark.parametrize(
    ("area", "asked"),
    [
        (("--gadm", "DNK.1_1"), ("gadmGid", "DNK.1_1")),
        (("--point", "56,10", "--radius", "30"), ("geoDistance", "56,10,30km")),
    ],
)
def test_every_kind_of_area_is_asked_for(
    run: Run, replica: Replica, area: tuple[str, ...], asked: tuple[str, str]
) -> None:
    status, out, _ = run("region", "create", "here", *area)

    assert status == 0, out
    searches = [one for one in replica.api.log if one.path.endswith("occurrence/search")]
    assert searches
    assert all(asked in one.query for one in searches)


def test_a_polygon_is_asked_for_as_well_known_text(run: Run, replica: Replica, tmp_path: Path) -> None:
    square = {"type": "Polygon", "coordinates": [[[9, 55], [9, 57], [11, 57], [11, 55], [9, 55]]]}
    (tmp_path / "area.geojson").write_text(json.dumps(square))

    status, _, _ = run("region", "create", "jutland", "--polygon", tmp_path / "area.geojson")

    assert status == 0
    geometry = dict(replica.api.log[-1].query if "geometry" in dict(replica.api.log[-1].query) else ())
    searched = geometry or next(dict(one.query) for one in replica.api.log if "geometry" in dict(one.query))
    assert searched["geometry"] == "POLYGON ((9 55, 11 55, 11 57, 9 57, 9 55))"  # counter-clockwise


@pytest.mark.parametrize(
    "area",
    [(), ("--country", "DK", "--gadm", "DNK"), ("--country", "Atlantis"), ("--gadm", "XYZ.1"), ("--point", "56,10")],
)
def test_an_area_that_is_none_or_two_is_refused(run: Run, replica: Replica, area: tuple[str, ...]) -> None:
    status, _, err = run("region", "create", "here", *area)

    assert status == 1
    assert err.startswith("error: ") or "error: " in err
    assert replica.api.log == []


def test_faults_of_the_service_change_nothing_in_the_checklist(run: Run, replica: Replica, tmp_path: Path) -> None:
    replica.api.faults = [None, busy(429, "0"), HTML, None, busy(503), None, None, busy(500), HTML]

    status, _, _ = run("region", "create", "denmark", "--country", "DK")

    assert status == 0
    assert listed(tmp_path, "denmark") == {taxon.name for taxon in TAXA}
    answered = [one.address for one in replica.api.log if one.status == 200]
    assert len(answered) - len(set(answered)) == 2  # the two that were answered with a page


def test_a_second_run_renews_the_checklist(run: Run, replica: Replica, tmp_path: Path) -> None:
    run("region", "create", "denmark", "--country", "DK")
    replica.records = [one for one in replica.records if one["speciesKey"] != TAXA[3].key]

    run("region", "create", "denmark", "--country", "DK")

    assert listed(tmp_path, "denmark") == {taxon.name for taxon in TAXA} - {TAXA[3].name}
