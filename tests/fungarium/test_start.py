"""`fungarium start` from nothing to answers, killed at random moments, and kept current, against a replica of GBIF."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from database.collection.photos import references
from database.session import open_database
from fungarium.cli import main
from fungarium.jobs.fetching import FetchOptions, fetch_photos
from fungarium.jobs.regions import AreaChoice, ChecklistChoice, create_region
from fungarium.jobs.starting import name_region
from indexer.harvesting.rounds import ChoiceOptions
from indexer.photos.pacing import Pace
from retrieval.snapshots.manifest import read_current
from retrieval.snapshots.snapshot import open_snapshot
from settings import Settings
from tests.fungarium.conftest import Run
from tests.killed import mortals
from tests.replicas.gbif import BY, BY_NC, Replica, draw_picture, gbif_replica, make_records, make_taxa, occurrence
from tests.replicas.serving import Clock, busy

TAXA = make_taxa(6)
DEADLINE = 120.0  # seconds; only a test that fails takes so long

WORK = """
from pathlib import Path
from fungarium.jobs.fetching import FetchOptions, fetch_photos
from fungarium.jobs.regions import AreaChoice, ChecklistChoice, create_region
from indexer.harvesting.rounds import ChoiceOptions
from indexer.photos.pacing import Pace
from settings import Settings

def work(data, base):
    import contextlib, io
    settings = Settings(data=Path(data), gbif=base, fetch_allow="127.0.0.1/32")
    pace = Pace(0.0)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if not (Path(data) / "regions" / "denmark" / "region.json").exists():
            create_region(settings, "denmark", "", AreaChoice(country="DK"), ChecklistChoice(), pace=pace)
        fetch_photos(settings, "denmark", "gbif", FetchOptions(ChoiceOptions(per_species=4), is_agreed=True), pace=pace)
    print("finished", flush=True)
"""


def shown(root: Path) -> dict[str, str]:
    """The references of the published snapshot: photo to species."""
    snapshot = open_snapshot(root, read_current(root))
    try:
        found = {}
        for segment in snapshot.segments:
            for row in range(segment.rows):
                if segment.withdrawn is None or not segment.withdrawn[row]:
                    reference = segment.reference(row)
                    found[reference.photo] = snapshot.taxonomy.taxon(reference.species).name
        return found
    finally:
        snapshot.close()


def test_one_command_leads_from_nothing_to_answers(
    run_region: Run,
    replica: Replica,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rounds: Callable[..., int],
) -> None:
    replica.records = make_records(TAXA, rounds(3, exhaustively=8))  # eight are enough to calibrate, which takes long
    replica.records.append(occurrence(5, make_taxa(7)[6], licences=["All rights reserved"]))
    photo = tmp_path / "new.jpg"
    photo.write_bytes(draw_picture("never seen", TAXA[2].key))

    status, out, err = run_region("start", "--country", "DK", "--yes")

    assert status == 0, err
    assert "region denmark: can name 6 of 7 species" in out
    assert "cannot name 1, which have no openly licensed photos:\n    Pictella ruber\n" in out
    assert set(shown(tmp_path / "flora_indexes").values()) == {taxon.name for taxon in TAXA}
    capsys.readouterr()
    assert main(["identify", "--flora", "denmark", str(photo)]) == 0
    assert TAXA[2].name in capsys.readouterr().out


def contents(data: Path) -> dict[str, str]:
    """The bytes of everything that fetching leaves behind, but for the database, which holds times."""
    return {
        file.relative_to(data).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(data.rglob("*"))
        if file.is_file() and "sqlite" not in file.name and file.name != ".lock"
    }


def catalogue(data: Path) -> list[tuple[Any, ...]]:
    with open_database(f"sqlite:///{data / 'fungarium.sqlite'}") as database, database.reading() as session:
        return [(one.sha256, one.observation, one.author, one.licence) for one in references(session)]


def test_killed_at_random_moments_it_leaves_the_same_bytes_and_asks_nothing_twice(
    replica: Replica, tmp_path: Path, rounds: Callable[..., int]
) -> None:
    replica.records = make_records(TAXA[:2], 5)
    dice = random.Random(19)
    kills = rounds(2, exhaustively=30)

    with mortals(WORK) as lives:
        undisturbed = lives.begin(tmp_path / "whole", replica.base)
        assert undisturbed.said.readline() == "finished\n"
        assert undisturbed.said.readline() == "gone\n"
        whole = len(replica.api.log) + len(replica.media.log)
        replica.api.log.clear()
        replica.media.log.clear()
        moments = sorted(dice.sample(range(1, whole - 1), min(kills, whole - 2)))
        for moment in moments:
            life = lives.begin(tmp_path / "killed", replica.base)
            wait_until_asked(replica, moment)
            os.kill(life.pid, signal.SIGKILL)
            while life.said.readline() not in ("gone\n", ""):
                pass
        last = lives.begin(tmp_path / "killed", replica.base)
        assert last.said.readline() == "finished\n"
        assert last.said.readline() == "gone\n"

    asked = Counter(one.address for one in (*replica.api.answered(), *replica.media.answered()))
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert catalogue(tmp_path / "killed") == catalogue(tmp_path / "whole")
    assert sum(asked.values()) - len(asked) <= len(moments)  # what was under way when it was killed
    assert max(asked.values()) <= 1 + len(moments)


def test_no_server_is_asked_earlier_than_it_allows(tmp_path: Path) -> None:
    clock, dice = Clock(), random.Random(7)
    with gbif_replica(TAXA, make_records(TAXA, 2), clock) as replica:
        settings = Settings(data=tmp_path, gbif=replica.base, fetch_allow="127.0.0.1/32")
        pace = Pace(0.5, file=tmp_path / "wishes.json", sleep=clock.sleep, clock=clock, wall=clock)
        for served in (replica.api, replica.media):
            served.faults = [dice.choice([None, None, None, busy(429, "30"), busy(503, "11")]) for _ in range(30)]
        create_region(settings, "denmark", "", AreaChoice(country="DK"), ChecklistChoice(), pace=pace)
        options = FetchOptions(ChoiceOptions(per_species=2), is_agreed=True)
        fetch_photos(settings, "denmark", "gbif", options, pace=pace)

    for served in (replica.api, replica.media):
        assert {429, 503} <= {asked.status for asked in served.log}
        for earlier, later in pairwise(served.log):
            assert later.at - earlier.at >= {429: 30.0, 503: 11.0}.get(earlier.status, 0.5)
    assert catalogue(tmp_path)


def wait_until_asked(replica: Replica, requests: int) -> None:
    until = time.monotonic() + DEADLINE
    while len(replica.api.log) + len(replica.media.log) < requests:
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.001)


def test_an_update_takes_out_what_was_withdrawn_relicensed_or_identified_anew_and_nothing_else(
    run_region: Run, replica: Replica, tmp_path: Path
) -> None:
    replica.records = make_records(TAXA[:4], 4)  # too few to calibrate, which takes long
    assert run_region("start", "--country", "DK", "--yes", "--per-species", "3")[0] == 0
    before = shown(tmp_path / "flora_indexes")
    kept = observations(tmp_path)
    chosen = {
        taxon.key: [one for one in replica.records if one["speciesKey"] == taxon.key and one["gbifID"] in kept]
        for taxon in TAXA[:4]
    }
    withdrawn, relicensed, renamed = chosen[TAXA[0].key][0], chosen[TAXA[1].key][0], chosen[TAXA[2].key][0]
    gone = set[str]().union(*(kept[one["gbifID"]] for one in (withdrawn, relicensed, renamed)))
    replica.records.remove(withdrawn)
    for photo in relicensed["media"]:
        photo["license"] = BY_NC
    renamed |= dict.fromkeys(("speciesKey", "taxonKey", "acceptedTaxonKey"), TAXA[3].key)
    renamed |= {"species": TAXA[3].name, "scientificName": TAXA[3].name, "acceptedScientificName": TAXA[3].name}

    status, out, err = run_region("fetch", "gbif", "denmark", "--update", "--per-species", "3", "--yes")

    assert status == 0, err
    after = shown(tmp_path / "flora_indexes")
    assert "published " in out
    assert not gone & after.keys()
    assert {photo: name for photo, name in before.items() if photo not in gone}.items() <= after.items()
    assert gone <= before.keys()
    replaced = after.keys() - before.keys()
    assert {after[photo] for photo in replaced} <= {TAXA[0].name, TAXA[1].name, TAXA[2].name}

    status, out, _ = run_region("fetch", "gbif", "denmark", "--update", "--per-species", "3", "--yes")

    assert "nothing has changed" in out
    assert shown(tmp_path / "flora_indexes") == after


def observations(tmp_path: Path) -> dict[str, set[str]]:
    """The digests of the photos of every observation, by the key of its record."""
    found: dict[str, set[str]] = {}
    with open_database(f"sqlite:///{tmp_path}/data/fungarium.sqlite") as database, database.reading() as session:
        for one in references(session):
            found.setdefault(one.observation.removeprefix("denmark-gbif:"), set()).add(one.sha256)
    return found


def test_a_new_find_fills_a_free_place_and_displaces_nobody(run_region: Run, replica: Replica, tmp_path: Path) -> None:
    replica.records = make_records(TAXA, 3)
    assert run_region("start", "--country", "DK", "--yes", "--per-species", "4")[0] == 0
    before = shown(tmp_path / "flora_indexes")
    replica.records += [occurrence(77 + n, TAXA[0], observer=f"New {n}", licences=[BY]) for n in range(3)]

    run_region("fetch", "gbif", "denmark", "--update", "--per-species", "4", "--yes")

    after = shown(tmp_path / "flora_indexes")
    assert before.items() <= after.items()
    assert [after[photo] for photo in after.keys() - before.keys()] == [TAXA[0].name]


@pytest.mark.parametrize(
    ("title", "name"),
    [("Denmark", "denmark"), ("Côte d'Ivoire", "cote-divoire"), ("Bosnia and Herzegovina", "bosnia-and-herzegovina")],
)
def test_a_region_without_a_name_gets_that_of_its_country(title: str, name: str) -> None:
    assert name_region(title) == name
