"""Withdrawn photos are not found in any snapshot or running server until they are restored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from retrieval.answers.identify import identify_embeddings
from retrieval.answers.similar import find_similar_in
from retrieval.domain import WORLD
from retrieval.errors import BuildError, DamagedSnapshot, UnknownPhoto
from retrieval.snapshots.current import CurrentSnapshot
from retrieval.snapshots.publishing import publish_snapshot, roll_back, verify_snapshot
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from retrieval.snapshots.withdrawals import (
    FILE,
    read_withdrawals,
    readmit_photos,
    withdraw_photos,
    withdrawals_state,
)
from tests.catalogues import build, make_reference, make_references

QUERIES = np.random.default_rng(3).normal(size=(2, 256)).astype(np.float32)
QUERIES /= np.linalg.norm(QUERIES, axis=1, keepdims=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    publish_snapshot(tmp_path, build(tmp_path, tmp_path / "e", make_references(observations=2)))
    publish_snapshot(tmp_path, build(tmp_path, tmp_path / "e", make_references(observations=3)))
    return tmp_path


def answering(snapshot: Snapshot) -> set[str]:
    """The photos that a search of everything finds."""
    found = snapshot.flora(WORLD).search(QUERIES, 1_000).rows
    return {snapshot.reference(row).photo for row in found.ravel().tolist() if row >= 0}


def test_a_photo_answers_in_no_snapshot_once_it_is_withdrawn_and_in_all_that_hold_it_once_it_is_let_in(
    root: Path,
) -> None:
    gone = make_reference(10, 10_000).photo
    new = open_snapshot(root).name

    assert withdraw_photos(root, [gone]) == 1
    held = answering(open_snapshot(root)) | answering(open_snapshot(root, roll_back(root)))
    assert gone not in held
    assert len(held) == 10 * 3 * 2 - 1

    assert readmit_photos(root, [gone]) == 1
    assert gone in answering(open_snapshot(root))
    assert gone in answering(open_snapshot(root, new))


def test_whoever_withdraws_or_lets_in_twice_changes_nothing(root: Path) -> None:
    photo = make_reference(10, 10_000).photo
    withdraw_photos(root, [photo])
    state = withdrawals_state(root)

    assert withdraw_photos(root, [photo]) == 0
    assert readmit_photos(root, ["0" * 64]) == 0

    assert withdrawals_state(root) == state
    assert read_withdrawals(root) == {photo}


def test_a_photo_that_is_held_twice_is_withdrawn_in_every_segment(root: Path) -> None:
    """The evidence, the counts and the search for similar photos follow; the files of the snapshot do not change."""
    gone = {entry.photo for entry in make_references(species=(10,), observations=3)}
    withdraw_photos(root, gone)

    with closing(open_snapshot(root)) as snapshot:
        answer = identify_embeddings(QUERIES, snapshot, flora=WORLD, voting=snapshot.voting, candidates=20)
        similar = find_similar_in(QUERIES, snapshot, snapshot.flora(WORLD), 1_000)

        assert snapshot.references_of(10) == []
        assert snapshot.count_references(np.array([10, 11])).tolist() == [0, 6]
        assert snapshot.arrays.observations[np.searchsorted(snapshot.all_species, [10, 11])].tolist() == [0, 3]
        assert (snapshot.references, snapshot.observation_count) == (54, 27)
        assert snapshot.flora(WORLD).card.species == 9
        assert not gone & {one.reference.photo for one in similar}
        assert 10 not in {candidate.taxon.id for candidate in answer.species}
        with pytest.raises(UnknownPhoto):
            snapshot.reference_of_photo(min(gone))
    verify_snapshot(root, snapshot.name)


def test_a_snapshot_of_which_everything_is_withdrawn_opens_and_answers_that_it_knows_nothing(root: Path) -> None:
    withdraw_photos(root, [entry.photo for entry in make_references(observations=3)])

    with closing(open_snapshot(root)) as snapshot:
        answer = identify_embeddings(QUERIES, snapshot, flora=WORLD, voting=snapshot.voting, candidates=5)

        assert answering(snapshot) == set()
        assert (snapshot.references, snapshot.observation_count, snapshot.licences) == (0, 0, ())
        assert not answer.species
        assert answer.rejection is not None
        assert np.isfinite(snapshot.prototypes).all()
    assert roll_back(root) != snapshot.name


def test_a_running_server_obeys_the_list_from_its_next_answer_on(root: Path) -> None:
    gone = make_reference(10, 10_000).photo
    current = CurrentSnapshot(root)
    with current.lease() as before:
        assert gone in answering(before)

        withdraw_photos(root, [gone])
        with current.lease() as snapshot:
            assert gone not in answering(snapshot)
            assert snapshot.name == before.name
            assert snapshot.edition != before.edition
        assert gone in answering(before)  # who began with it ends with it

    readmit_photos(root, [gone])
    with current.lease() as snapshot:
        assert gone in answering(snapshot)
        assert snapshot.edition == snapshot.name


def test_withdrawing_what_the_open_snapshot_does_not_hold_opens_nothing_anew(root: Path) -> None:
    accepted: list[str] = []
    current = CurrentSnapshot(root, lambda snapshot: accepted.append(snapshot.edition))
    with current.lease() as before:
        withdraw_photos(root, ["0" * 64])
        with current.lease() as after:
            assert after is before

    assert accepted == [before.name]


def test_a_list_that_is_not_whole_is_refused_and_the_server_goes_on_with_what_it_obeyed(root: Path) -> None:
    gone = [entry.photo for entry in make_references(observations=1)]
    withdraw_photos(root, gone)
    current = CurrentSnapshot(root, patience=0.0)
    with current.lease():
        pass
    whole = (root / FILE).read_bytes()

    for content in (whole[:-1], whole[:-66], b"", whole + b"\n", whole.replace(b"-1 ", b"-2 ")):
        (root / FILE).write_bytes(content)
        with pytest.raises(DamagedSnapshot, match="withdrawn"):
            open_snapshot(root)
        with pytest.raises(DamagedSnapshot, match="withdrawn"):
            withdraw_photos(root, ["0" * 64])
        with current.lease() as snapshot:
            assert not set(gone) & answering(snapshot)
        assert "withdrawn" in current.state().problem

    (root / FILE).write_bytes(whole)
    with current.lease() as snapshot:
        assert not set(gone) & answering(snapshot)
    assert current.state().problem == ""


def test_what_many_withdraw_at_once_is_all_on_the_list(root: Path) -> None:
    photos = [entry.photo for entry in make_references(observations=3)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda photo: withdraw_photos(root, [photo]), photos))

    assert read_withdrawals(root) == set(photos)


@pytest.mark.parametrize("photo", ["", "two words", "a\nb"])
def test_what_cannot_be_a_line_of_the_list_is_not_put_on_it(root: Path, photo: str) -> None:
    with pytest.raises(BuildError):
        withdraw_photos(root, [photo])

    assert read_withdrawals(root) == frozenset()
