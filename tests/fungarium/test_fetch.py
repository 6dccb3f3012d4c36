"""`fungarium fetch gbif` against a replica: what is chosen, what is left out and why, and what is asked for."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from database.collection.datasets import dataset_credits
from database.collection.photos import CataloguePhoto, references
from database.session import open_database
from tests.fungarium.conftest import Run
from tests.replicas.gbif import (
    ATLAS,
    BY,
    BY_NC,
    CC0,
    INAT,
    RESERVED,
    Replica,
    make_records,
    make_taxa,
    occurrence,
)
from tests.replicas.serving import HTML, Query, Reply, busy

TAXA = make_taxa(12)


@pytest.fixture
def run(run_region: Run, replica: Replica) -> Run:
    return run_region


def create(run: Run, replica: Replica, records: list[dict[str, Any]]) -> None:
    """Make a region of these records."""
    replica.records = records
    assert run("region", "create", "denmark", "--country", "DK")[0] == 0
    replica.api.log.clear()


def fetch(run: Run, *options: str) -> str:
    status, out, err = run("fetch", "gbif", "denmark", *options)
    assert status == 0, err
    return out


def photos(tmp_path: Path) -> list[CataloguePhoto]:
    address = f"sqlite:///{tmp_path / 'data' / 'fungarium.sqlite'}"
    with open_database(address) as database, database.reading() as session:
        return list(references(session, "denmark-gbif"))


def chosen(tmp_path: Path, species: int = TAXA[0].key) -> list[dict[str, Any]]:
    file = tmp_path / "data" / "regions" / "denmark" / "gbif" / "chosen" / f"{species}.json"
    results: list[dict[str, Any]] = json.loads(file.read_bytes())["results"]
    return results


def test_photos_come_with_their_own_licences_and_authors(run: Run, replica: Replica, tmp_path: Path) -> None:
    odd = occurrence(1, TAXA[0], licences=[BY, RESERVED, CC0, BY_NC, "", "some rights"], observer="Jytte Doe")
    create(run, replica, [odd])

    out = fetch(run)

    kept = photos(tmp_path)
    assert sorted(photo.licence for photo in kept) == ["CC-BY-4.0", "CC0-1.0"]
    assert {photo.author for photo in kept} == {"Jytte Doe"}
    assert {photo.observation for photo in kept} == {"denmark-gbif:1"}
    assert len(replica.media.log) == 2
    for reason in ("licence-reserved 1", "licence-not-accepted 1", "licence-missing 1", "licence-unknown 1"):
        assert f"    {reason}\n" in out


def test_the_licence_of_a_photo_decides_and_not_that_of_its_record(run: Run, replica: Replica, tmp_path: Path) -> None:
    records = [
        occurrence(1, TAXA[0], licences=[BY], license="http://creativecommons.org/licenses/by-nc/4.0/legalcode"),
        occurrence(2, TAXA[0], licences=[RESERVED], day=date(2023, 9, 1)),
    ]
    create(run, replica, records)

    fetch(run)

    assert [photo.observation for photo in photos(tmp_path)] == ["denmark-gbif:1"]


def test_noncommercial_photos_are_taken_where_they_are_asked_for(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, [occurrence(1, TAXA[0], licences=[BY_NC, RESERVED])])

    fetch(run, "--licences", "noncommercial")

    assert [photo.licence for photo in photos(tmp_path)] == ["CC-BY-NC-4.0"]


def test_captive_and_absent_finds_and_other_species_are_left_out(run: Run, replica: Replica, tmp_path: Path) -> None:
    records = [
        occurrence(1, TAXA[0]),
        occurrence(2, TAXA[0], degreeOfEstablishment="captive", day=date(2023, 8, 1)),
        occurrence(3, TAXA[0], occurrenceStatus="ABSENT", day=date(2023, 8, 2)),
        occurrence(4, TAXA[0], basisOfRecord="PRESERVED_SPECIMEN", day=date(2023, 8, 3)),
        {**occurrence(5, TAXA[0], day=date(2023, 8, 4)), "media": [{"type": "Sound", "identifier": "http://x.example/a"}]},
    ]  # fmt: skip
    create(run, replica, records)

    fetch(run)

    assert [photo.observation for photo in photos(tmp_path)] == ["denmark-gbif:1"]


def test_sixty_of_a_thousand_finds_of_three_people_and_forty_of_others_show_many_people_and_all_months(
    run: Run, replica: Replica, tmp_path: Path
) -> None:
    dice = random.Random(3)
    records = [
        occurrence(n, TAXA[0], observer=f"Busy {n % 3}", day=date(2020, 1 + dice.randrange(12), 1 + n % 28),
                   place=(55 + n / 1000, 10.0))
        for n in range(1, 1001)
    ]  # fmt: skip
    records += [
        occurrence(2000 + n, TAXA[0], observer=f"Other {n}", day=date(2021, 9, 1 + n % 28), place=(56 + n / 100, 9.0))
        for n in range(40)
    ]
    create(run, replica, records)

    fetch(run)

    results = chosen(tmp_path)
    assert len(results) == 60
    assert len({one["recordedBy"] for one in results}) >= 30
    assert {one["month"] for one in results} == set(range(1, 13))
    searches = [one for one in replica.api.log if dict(one.query).get("limit") == "300"]
    assert len(searches) == 4  # 1,040 records


def test_one_find_in_two_datasets_is_fetched_once(run: Run, replica: Replica, tmp_path: Path) -> None:
    page = "https://www.inaturalist.org/observations/77"
    records = [
        occurrence(1, TAXA[0], observer="Ane Doe", licences=[BY], references=page),
        occurrence(2, TAXA[0], observer="ane_doe", licences=[BY, BY], dataset=INAT, occurrenceID=page),
        occurrence(3, TAXA[0], observer="Bo Doe", day=date(2022, 9, 3), place=(55.12345, 9.5)),
        occurrence(4, TAXA[0], observer="bodoe", day=date(2022, 9, 3), place=(55.12345, 9.5), dataset=INAT),
        occurrence(5, TAXA[0], observer="Bo Doe", day=date(2022, 9, 4), place=(55.12345, 9.5), dataset=ATLAS),
    ]
    create(run, replica, records)

    fetch(run)

    # iNaturalist's are of research grade: verified before others
    assert sorted(one["key"] for one in chosen(tmp_path)) in ([2, 3, 5], [2, 4, 5])


def test_broken_photos_are_reported_by_reason_and_not_asked_for_again(
    run: Run, replica: Replica, tmp_path: Path
) -> None:
    records = make_records(TAXA, 5)
    addresses = [photo["identifier"].removeprefix("MEDIA") for one in records for photo in one["media"]]
    broken = {
        addresses[0]: Reply(404, b"", ""),
        addresses[10]: HTML,
        addresses[20]: Reply(200, b"\xff\xd8\xff no picture", "image/jpeg"),
        addresses[30]: Reply(200, replica.picture(addresses[30], []).body[:200], "image/jpeg"),
        addresses[40]: Reply(410, b"", ""),
        addresses[50]: Reply(200, b"", "image/jpeg", claims=300_000_000),
    }
    replica.pictures = broken
    create(run, replica, records)

    out = fetch(run)
    asked = len(replica.media.log)
    again = fetch(run)

    assert len(photos(tmp_path)) == len(addresses) - len(broken)
    reasons = Counter({"unreachable": 2, "not-an-image": 1, "unreadable": 2, "too-large": 1})
    found = dict(line.split() for line in out.splitlines() if line.strip().split()[0:1] and line.split()[0] in reasons)
    assert sum(int(count) for count in found.values()) == len(broken)
    assert int(found["unreachable"]) == 2
    assert len(replica.media.log) == asked
    assert f"accepted {len(photos(tmp_path))} (0 new" in again


def test_a_dry_run_says_what_it_would_cost_and_asks_for_nothing(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, make_records(TAXA, 10))

    out = fetch(run, "--dry-run", "--per-species", "4")

    assert out.startswith("12 species with photos: at most 48 finds, about 72 photos\n")
    assert "requests" in out
    assert "hours" in out
    assert replica.api.log == replica.media.log == []


def test_a_budget_of_bytes_is_kept_and_the_next_run_goes_on(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, make_records(TAXA[:3], 8))
    left = 40_000

    received, runs = 0, 0
    while True:
        status, out, err = run("fetch", "gbif", "denmark", "--most-bytes", str(left))
        if status == 0:
            break
        runs += 1
        assert "run it again to go on" in err
        used = int(out.rsplit(" requests, ", 1)[1].split(" ")[0].replace(",", "")) if " requests, " in out else 0
        assert used <= left
        received += used
        assert runs < 50

    assert runs >= 2
    addresses = [one.path for one in replica.media.answered()]
    assert len(photos(tmp_path)) == sum(len(one["media"]) for one in replica.records)
    assert len(addresses) - len(set(addresses)) <= runs  # the one that did not fit


def test_what_was_fetched_can_be_cited(run: Run, replica: Replica, tmp_path: Path) -> None:
    records = make_records(TAXA[:2], 3)
    records[0]["datasetKey"] = INAT
    create(run, replica, records)

    fetch(run)

    folder = tmp_path / "data" / "regions" / "denmark" / "gbif"
    with (folder / "derived-dataset.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["datasetKey", "count"], [ATLAS, "5"], [INAT, "1"]]
    assert "5\tDataset 1, invented." in (folder / "citation.txt").read_text()
    with (
        open_database(f"sqlite:///{tmp_path / 'data' / 'fungarium.sqlite'}") as database,
        database.reading() as session,
    ):
        assert "GBIF.org" in dataset_credits(session, ["denmark-gbif"])["denmark-gbif"].citation


def test_what_a_service_says_of_people_beyond_their_credit_is_not_stored(
    run: Run, replica: Replica, tmp_path: Path
) -> None:
    told = {"private_location": "55.1,10.2", "verbatimLocality": "home", "occurrenceRemarks": "with my aunt"}
    secret = {**occurrence(1, TAXA[0]), **told}
    create(run, replica, [secret])

    fetch(run)

    stored = b"".join(file.read_bytes() for file in (tmp_path / "data" / "regions").rglob("*") if file.is_file())
    assert b"recordedBy" in stored
    assert not [name for name in told if name.encode() in stored]


def test_a_record_that_vanishes_between_two_pages_ends_nothing(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, [
        occurrence(n, TAXA[0], observer=f"O{n}", day=date(2020, 1 + n % 12, 1 + n % 28), place=(55 + n / 1000, 10.0))
        for n in range(700)
    ])  # fmt: skip
    pages = list[Query]()

    def vanish(query: Query) -> None:
        if dict(query).get("limit") == "300":
            pages.append(query)
            if len(pages) == 2:
                del replica.records[10]

    replica.before_search = vanish

    fetch(run, "--per-species", "20")

    assert len(pages) == 3
    assert len({one["key"] for one in chosen(tmp_path)}) == 20
    file = tmp_path / "data" / "regions" / "denmark" / "gbif" / "chosen" / f"{TAXA[0].key}.json"
    assert json.loads(file.read_bytes())["read"] == 699  # the one that moved to the page before is missed this time


def test_a_region_that_was_not_created_is_named(run: Run) -> None:
    status, _, err = run("fetch", "gbif", "nowhere")

    assert status == 1
    assert "there is no region 'nowhere' yet" in err


def test_faults_of_both_servers_change_nothing_in_what_is_fetched(run: Run, replica: Replica, tmp_path: Path) -> None:
    create(run, replica, make_records(TAXA[:4], 5))
    replica.api.faults = [busy(429, "0"), None, HTML, None, busy(503), Reply(200, b'{"results": [', claims=99)]
    replica.media.faults = [busy(429, "0"), None, busy(503), Reply(200, b"cut", "image/jpeg", claims=99), busy(500)]

    fetch(run)

    assert len(photos(tmp_path)) == sum(len(one["media"]) for one in replica.records)
