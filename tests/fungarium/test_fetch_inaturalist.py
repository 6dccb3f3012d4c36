"""`fungarium fetch inaturalist` against replicas of both services."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from database.collection.photos import CataloguePhoto, references
from database.session import open_database
from tests.fungarium.conftest import Run
from tests.replicas.gbif import Replica, make_records, make_taxa, occurrence
from tests.replicas.inaturalist import FUNGI, InatReplica, inat_replica, observation

TAXA = make_taxa(3)


@pytest.fixture
def inat(monkeypatch: pytest.MonkeyPatch) -> Iterator[InatReplica]:
    with inat_replica(TAXA, []) as served:
        monkeypatch.setenv("FUNGARIUM_INATURALIST", served.base)
        yield served


@pytest.fixture
def run(run_region: Run, replica: Replica, inat: InatReplica) -> Run:
    replica.records = make_records(TAXA, 1)
    assert (
        run_region("region", "create", "denmark", "--country", "DK", "--no-slime-moulds", "--title", "Our fungi")[0]
        == 0
    )
    return run_region


def photos(tmp_path: Path) -> list[CataloguePhoto]:
    with open_database(f"sqlite:///{tmp_path}/data/fungarium.sqlite") as database, database.reading() as session:
        return list(references(session, "denmark-inaturalist"))


def test_photos_of_research_grade_come_with_their_own_licences(run: Run, inat: InatReplica, tmp_path: Path) -> None:
    inat.observations = [
        observation(1, TAXA[0], licences=["cc-by", None, "cc-by-nc", "cc0"]),
        observation(2, TAXA[1], quality_grade="needs_id"),
        observation(3, TAXA[2], licences=[None]),
    ]

    status, out, err = run("fetch", "inaturalist", "denmark")

    assert status == 0, err
    assert sorted((one.licence, one.author) for one in photos(tmp_path)) == [
        ("CC-BY", "observer1"),
        ("CC0-1.0", "observer1"),
    ]
    assert {asked.path.rpartition("/")[2] for asked in inat.media.log} == {"large.jpg"}
    assert all(dict(one.query)["place_id"] == "7" for one in inat.api.log if one.path == "/v1/observations")
    assert "licence-reserved 1" in out


def test_an_obscured_place_stays_obscured(run: Run, inat: InatReplica, tmp_path: Path) -> None:
    inat.observations = [
        observation(
            1, TAXA[0], obscured=True, place="56.3,10.4", public_positional_accuracy=28_000, positional_accuracy=5
        )
    ]

    run("fetch", "inaturalist", "denmark")

    ((latitude, longitude),) = {(one.decimal_latitude, one.decimal_longitude) for one in photos(tmp_path)}
    assert (latitude, longitude) == (56.3, 10.4)
    stored = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert b"12.3456" not in stored
    assert b"orcid" not in stored


def test_what_gbif_gave_is_not_taken_a_second_time_and_takes_its_places(
    run: Run, replica: Replica, inat: InatReplica, tmp_path: Path
) -> None:
    page = "https://www.inaturalist.org/observations/5"
    replica.records = [occurrence(1, TAXA[0], occurrenceID=page), occurrence(2, TAXA[0], day=date(2020, 1, 1))]
    assert run("fetch", "gbif", "denmark", "--per-species", "3")[0] == 0
    inat.observations = [observation(n, TAXA[0], login=f"o{n}", day=date(2021, 3, n)) for n in range(5, 9)]

    run("fetch", "inaturalist", "denmark", "--per-species", "3")

    kept = {one.observation for one in photos(tmp_path)}
    assert len(kept) == 1
    assert not {one for one in kept if one.endswith("000005")}


def test_many_observations_are_read_after_the_last_id_and_no_further_than_needed(
    run: Run, inat: InatReplica, tmp_path: Path
) -> None:
    inat.observations = [
        observation(n, TAXA[0], login=f"o{n % 50}", day=date(2021, 1 + n % 12, 1 + n % 28)) for n in range(1, 451)
    ]

    run("fetch", "inaturalist", "denmark", "--per-species", "5")

    above = [dict(one.query)["id_above"] for one in inat.api.log if "id_above" in dict(one.query)]
    assert above == ["0", "200", "400"]
    file = tmp_path / "data" / "regions" / "denmark" / "inaturalist" / "chosen" / f"{TAXA[0].key}.json"
    assert json.loads(file.read_bytes())["read"] == 450


def test_a_synonym_on_inaturalist_is_the_accepted_species(run: Run, inat: InatReplica, tmp_path: Path) -> None:
    renamed = observation(1, TAXA[0])
    renamed["taxon"] = {**renamed["taxon"], "name": "Olimia albusfictomyces"}
    inat.observations = [renamed]

    run("fetch", "inaturalist", "denmark")

    assert len(photos(tmp_path)) == 1


def test_an_update_takes_out_what_was_withdrawn_or_is_research_grade_no_more(
    run: Run, inat: InatReplica, tmp_path: Path
) -> None:
    inat.observations = [observation(n, TAXA[0], login=f"o{n}", day=date(2021, 3, n)) for n in range(1, 5)]
    run("fetch", "inaturalist", "denmark", "--per-species", "4")
    inat.observations[0]["quality_grade"] = "needs_id"
    inat.observations[1]["photos"][0]["license_code"] = None
    del inat.observations[2]

    run("fetch", "inaturalist", "denmark", "--per-species", "4", "--update")

    assert [one.observation[-1] for one in photos(tmp_path)] == ["4"]


def test_a_place_that_is_not_found_by_name_can_be_given(run: Run, inat: InatReplica) -> None:
    run("region", "create", "part", "--gadm", "DNK.1_1", "--no-slime-moulds")

    status, _, err = run("fetch", "inaturalist", "part")
    assert status == 1
    assert "give --place ID" in err

    status, _, _ = run("fetch", "inaturalist", "part", "--place", "7")
    assert status == 0
    assert ("taxon_id", str(FUNGI)) in inat.api.log[-1].query
