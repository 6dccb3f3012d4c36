"""Any order of changes and publications: withdrawn references are never found, and appended ones never lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from evaluation.learning.calibrate import write_calibrated
from evaluation.learning.scoring import Method
from indexer.building.grow import append_references, compact_snapshot
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.domain import WORLD
from retrieval.errors import BuildError
from retrieval.models.embedder import unit_rows
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.votes import Voting
from retrieval.snapshots.current import CurrentSnapshot
from retrieval.snapshots.manifest import read_current, read_manifest
from retrieval.snapshots.publishing import publish_snapshot, roll_back
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.withdrawals import readmit_photos, withdraw_photos
from tests.catalogues import CARD, SPECIES, build, make_embedding, make_reference, make_references

QUERY = unit_rows(np.random.default_rng(3).normal(size=(1, 256)))
STEPS = 12


def answering(snapshot: Snapshot) -> set[str]:
    found = snapshot.flora(WORLD).search(QUERY, 1_000).rows
    return {snapshot.reference(row).photo for row in found.ravel().tolist() if row >= 0}


@dataclass
class Schedule:
    """What was done, beside what must answer for it, kept as plain sets of photos."""

    root: Path
    dice: random.Random
    holds: dict[str, set[str]] = field(default_factory=dict)  # photos of each snapshot
    must: set[str] = field(default_factory=set)  # photos of what is published
    withdrawn: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)  # by compaction
    calibrated: dict[str, float] = field(default_factory=dict)  # the votes that each has learned
    votes: float | None = None  # those of what is published
    appended: int = 0
    refused: int = 0

    def begin(self) -> None:
        entries = make_references(species=SPECIES[:4], observations=2)
        name = publish_snapshot(self.root, build(self.root, self.root / "e", entries))
        self.must = self.holds[name] = {entry.photo for entry in entries}

    def append(self) -> None:
        self.appended += 1
        new = make_reference(self.dice.choice(SPECIES[:4]), 1_000_000 + self.appended)
        name = append_references(self.root, [new], unit_rows(make_embedding(new)[None]))
        assert publish_snapshot(self.root, name) == name
        self.must = self.holds[name] = self.must | {new.photo}

    def withdraw(self) -> None:
        photo = self.dice.choice(sorted(set.union(*self.holds.values())))
        withdraw_photos(self.root, [photo])
        self.withdrawn.add(photo)

    def readmit(self) -> None:
        if self.withdrawn:
            photo = self.dice.choice(sorted(self.withdrawn))
            readmit_photos(self.root, [photo])
            self.withdrawn.remove(photo)

    def calibrate(self) -> None:
        votes = self.dice.choice([0.25, 0.5, 0.75])
        with closing(open_snapshot(self.root)) as snapshot:
            name = write_calibrated(self.root, snapshot, Method(Voting(40, 0.08), Calibration(votes=votes)))
        self.calibrated[name] = votes
        self.holds[name] = set(self.must)

    def publish(self) -> None:
        if not self.calibrated:
            return
        chosen = self.dice.choice(sorted(self.calibrated))
        before = read_current(self.root)
        try:
            name = publish_snapshot(self.root, chosen)
        except BuildError:
            self.refused += 1
            assert read_current(self.root) == before
            return
        kept = self.holds[chosen] if name == chosen else self.holds[chosen] - self.dropped
        self.must = self.holds[name] = self.must | kept
        self.calibrated[name] = self.votes = self.calibrated[chosen]

    def roll_back(self) -> None:
        try:
            name = roll_back(self.root)
        except BuildError:
            return
        self.must = self.holds[name]

    def compact(self) -> None:
        if self.must - self.withdrawn:
            name = publish_snapshot(self.root, compact_snapshot(self.root))
            self.dropped |= self.must & self.withdrawn  # their bytes are gone: what lets them in again is a build
            self.must = self.holds[name] = self.must - self.withdrawn

    def check(self, current: CurrentSnapshot) -> None:
        expected = self.must - self.withdrawn
        with current.lease() as snapshot:
            assert answering(snapshot) == expected
            assert snapshot.references == len(expected)
            for card in snapshot.floras:
                assert card.references == len(expected)
        votes = read_manifest(self.root, read_current(self.root)).calibration.get("votes")
        assert votes in (None, *self.calibrated.values())


def run(root: Path, seed: int) -> Schedule:
    schedule = Schedule(root, random.Random(seed))
    schedule.begin()
    current = CurrentSnapshot(root)
    steps = [
        schedule.append,
        schedule.append,
        schedule.withdraw,
        schedule.withdraw,
        schedule.readmit,
        schedule.calibrate,
        schedule.publish,
        schedule.publish,
        schedule.roll_back,
        schedule.compact,
    ]
    for _ in range(STEPS):
        schedule.dice.choice(steps)()
        schedule.check(current)
    current.close()
    return schedule


@pytest.mark.slow
def test_nothing_withdrawn_answers_and_nothing_appended_is_lost_in_whatever_order(
    tmp_path: Path, rounds: Callable[..., int]
) -> None:
    count = rounds(30, exhaustively=200)

    done = [run(tmp_path / str(seed), seed) for seed in range(count)]

    assert sum(schedule.appended for schedule in done) > count
    assert sum(bool(schedule.refused) for schedule in done) < count / 5


def test_a_calibration_is_put_on_what_was_appended_while_it_was_learned(tmp_path: Path) -> None:
    schedule = Schedule(tmp_path, random.Random(1))
    schedule.begin()
    gone = min(schedule.must)
    schedule.calibrate()
    (calibrated,) = schedule.calibrated
    schedule.append()
    withdraw_photos(tmp_path, [gone])

    name = publish_snapshot(tmp_path, calibrated)

    with closing(open_snapshot(tmp_path)) as snapshot:
        assert snapshot.name == name != calibrated
        assert answering(snapshot) == schedule.must - {gone}
        assert snapshot.calibration.votes == schedule.calibrated[calibrated]
        assert snapshot.calibration.calibrated
    assert publish_snapshot(tmp_path, calibrated) == name  # as often as it is asked for
    assert publish_snapshot(tmp_path, calibrated, as_it_is=True) == calibrated


def test_a_build_that_lacks_what_was_appended_since_its_catalogue_was_read_is_refused(tmp_path: Path) -> None:
    schedule = Schedule(tmp_path, random.Random(1))
    schedule.begin()
    entries = make_references(species=SPECIES[:4], observations=3)
    before = read_current(tmp_path)
    built = build(tmp_path, tmp_path / "e", entries)
    schedule.append()
    published = read_current(tmp_path)

    with pytest.raises(BuildError, match="1 of its references would be lost"):
        publish_snapshot(tmp_path, built)

    assert read_current(tmp_path) == published
    assert publish_snapshot(tmp_path, before) == before  # which is to go back
    assert publish_snapshot(tmp_path, built) == built


def test_a_build_that_still_has_what_was_taken_out_meanwhile_is_refused(tmp_path: Path) -> None:
    schedule = Schedule(tmp_path, random.Random(1))
    schedule.begin()
    entries = make_references(species=SPECIES[:4], observations=2)
    built = build(tmp_path, tmp_path / "e", [*entries, make_reference(SPECIES[0], 7)])
    publish_snapshot(tmp_path, build(tmp_path, tmp_path / "e", entries[1:]))

    with pytest.raises(BuildError, match="1 that were taken out would come back"):
        publish_snapshot(tmp_path, built)


def test_a_calibration_for_another_model_is_refused(tmp_path: Path) -> None:
    from indexer.building.build import build_snapshot
    from tests.catalogues import make_catalogue

    schedule = Schedule(tmp_path, random.Random(1))
    schedule.begin()
    schedule.calibrate()
    entries = make_references(species=SPECIES[:4], observations=2)
    with EmbeddingStore(tmp_path / "other", "other@1") as store:
        store.add([entry.photo for entry in entries], unit_rows(np.stack([make_embedding(e) for e in entries])))
        other = build_snapshot(tmp_path, make_catalogue(entries), store, {**CARD, "model": "other@1"})
    publish_snapshot(tmp_path, other)

    with pytest.raises(BuildError, match="another model"):
        publish_snapshot(tmp_path, *schedule.calibrated)


def test_a_photo_on_the_list_is_not_appended_before_it_is_let_in_again(tmp_path: Path) -> None:
    schedule = Schedule(tmp_path, random.Random(1))
    schedule.begin()
    new = make_reference(SPECIES[0], 77)
    withdraw_photos(tmp_path, [new.photo])

    with pytest.raises(BuildError, match="--undo"):
        append_references(tmp_path, [new], unit_rows(make_embedding(new)[None]))
