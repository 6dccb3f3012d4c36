"""Serving while publishing: every answer comes from one snapshot, none fails, and old snapshots are closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.domain import WORLD
from retrieval.errors import DamagedSnapshot, NoSnapshot, SnapshotMismatch
from retrieval.snapshots.current import CurrentSnapshot
from retrieval.snapshots.manifest import read_manifest, switch_current
from retrieval.snapshots.publishing import publish_snapshot, roll_back
from retrieval.snapshots.snapshot import Snapshot
from tests.catalogues import build, make_references


def build_many(root: Path, count: int) -> list[str]:
    """Build, but do not publish, small snapshots, each with one observation more."""
    return [build(root, root / "store", make_references(observations=2 + n)) for n in range(count)]


def ask(snapshot: Snapshot) -> tuple[str, int]:
    """An answer that says which snapshot it came from, by its name and by what it holds."""
    found = snapshot.flora(WORLD).search(np.eye(2, 256, dtype=np.float32), 1_000)
    return snapshot.name, int(np.count_nonzero(found.rows[0] >= 0))


@pytest.mark.slow
def test_publishes_and_rollbacks_under_load_fail_and_mix_no_answer(tmp_path: Path, rounds: Callable[..., int]) -> None:
    names = build_many(tmp_path, 4)
    holds = {name: read_manifest(tmp_path, name).references for name in names}
    publish_snapshot(tmp_path, names[0])
    current, ended = CurrentSnapshot(tmp_path), threading.Event()
    answers: list[set[tuple[str, int]]] = [set() for _ in range(3)]
    counts, failures = [0] * 3, list[BaseException]()

    def keep_asking(number: int) -> None:
        while not ended.is_set():
            try:
                with current.lease() as snapshot:
                    first, second = ask(snapshot), ask(snapshot)
                assert first == second
                answers[number].add(first)
                counts[number] += 1
                ended.wait(0.005)  # a steady load, not as much as the machine can bear
            except BaseException as error:
                failures.append(error)

    askers = [threading.Thread(target=keep_asking, args=(number,)) for number in range(3)]
    for asker in askers:
        asker.start()
    try:
        for turn in range(rounds(80, exhaustively=334)):  # three changes each with all checks, as an operator does
            publish_snapshot(tmp_path, names[turn % 4])
            publish_snapshot(tmp_path, names[(turn + 1) % 4])
            assert roll_back(tmp_path) == names[turn % 4]
    finally:
        ended.set()
        for asker in askers:
            asker.join()

    assert failures == []
    seen = set[tuple[str, int]]().union(*answers)
    assert {name for name, _ in seen} == set(names)
    assert all(held == holds[name] for name, held in seen)
    assert min(counts) > 50


def test_a_lease_keeps_the_snapshot_it_began_with(tmp_path: Path) -> None:
    names = build_many(tmp_path, 2)
    switch_current(tmp_path, names[0])
    current = CurrentSnapshot(tmp_path)

    with current.lease() as before:
        switch_current(tmp_path, names[1])
        with current.lease() as after:
            answered = ask(before), ask(after)

    assert [name for name, _ in answered] == names
    assert before.taxonomy._table is not after.taxonomy._table


def test_an_old_snapshot_is_closed_when_its_last_lease_ends(tmp_path: Path) -> None:
    names = build_many(tmp_path, 2)
    switch_current(tmp_path, names[0])
    current = CurrentSnapshot(tmp_path)

    with current.lease() as old:
        with current.lease() as same:
            assert same is old
        switch_current(tmp_path, names[1])
        with current.lease():
            assert old.taxonomy.find("Alpha species0") is not None

    with pytest.raises(Exception, match="closed"):
        old.taxonomy.find("Alpha species1")


def test_a_damaged_snapshot_is_not_gone_over_to(tmp_path: Path) -> None:
    names = build_many(tmp_path, 2)
    switch_current(tmp_path, names[0])
    current = CurrentSnapshot(tmp_path)
    with current.lease():
        pass
    (tmp_path / "snapshots" / names[1] / "species.npy").write_bytes(b"nonsense")
    switch_current(tmp_path, names[1])

    with current.lease() as snapshot:
        assert snapshot.name == names[0]

    assert "species.npy" in current.state().problem
    switch_current(tmp_path, names[0])
    assert current.state().problem == ""


def test_a_snapshot_that_is_not_accepted_is_not_gone_over_to(tmp_path: Path) -> None:
    names = build_many(tmp_path, 2)
    switch_current(tmp_path, names[0])

    def accept(snapshot: Snapshot) -> None:
        if snapshot.name != names[0]:
            raise SnapshotMismatch("made with another model")

    current = CurrentSnapshot(tmp_path, accept)
    with current.lease():
        switch_current(tmp_path, names[1])
    with current.lease() as snapshot:
        assert snapshot.name == names[0]
    assert current.state().problem == "made with another model"


def test_with_nothing_to_give_the_reason_is_given_each_time(tmp_path: Path) -> None:
    current = CurrentSnapshot(tmp_path)

    for _ in range(2):
        with pytest.raises(NoSnapshot, match="nothing has been published"), current.lease():
            pass
    assert current.state().snapshot is None


def test_a_snapshot_repaired_is_opened_after_patience(tmp_path: Path) -> None:
    (name,) = build_many(tmp_path, 1)
    switch_current(tmp_path, name)
    species = tmp_path / "snapshots" / name / "species.npy"
    whole = species.read_bytes()
    species.write_bytes(whole[:-1])
    current = CurrentSnapshot(tmp_path, patience=0.0)
    with pytest.raises(DamagedSnapshot), current.lease():
        pass

    species.write_bytes(whole)

    with current.lease() as snapshot:
        assert snapshot.name == name


def test_closing_lets_go_once_nobody_reads(tmp_path: Path) -> None:
    (name,) = build_many(tmp_path, 1)
    switch_current(tmp_path, name)
    current = CurrentSnapshot(tmp_path)

    with current.lease() as snapshot:
        current.close()
        assert ask(snapshot)[0] == name

    with pytest.raises(Exception, match="closed"):
        snapshot.taxonomy.find("Alpha species0")


def test_floras_of_a_lease_are_those_of_its_snapshot(tmp_path: Path) -> None:
    names = build_many(tmp_path, 2)
    switch_current(tmp_path, names[1])

    with CurrentSnapshot(tmp_path).lease() as snapshot:
        flora = replace(snapshot.flora(WORLD))

    assert flora.shelf is snapshot.shelf
