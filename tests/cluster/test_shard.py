"""A shard's open snapshots, and its replies while it opens one: queries of other snapshots do not wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster import shard as shards
from cluster.messages import Answer, ShardReply, ShardRequest
from cluster.placement_files import ensure_placement
from cluster.shard import KEPT, OpenVersion, Shard
from cluster.supervisor import pack, unpack
from retrieval.errors import DamagedSnapshot, ShardUnavailable
from retrieval.snapshots.snapshot import open_snapshot
from tests.floras import embed, make_entries, publish

ENTRIES = make_entries(2)
Until = Callable[[Callable[[], bool]], None]


class Held(Shard):
    """A shard that opens snapshots when a test lets it."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root), 0)
        self.let = threading.Event()
        self.trouble: DamagedSnapshot | None = None

    def _open_version(self, name: str, placement: str) -> OpenVersion:
        assert self.let.wait(60)
        if self.trouble is not None:
            raise self.trouble
        return super()._open_version(name, placement)


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    publish(tmp_path, ENTRIES)
    made = Held(tmp_path)
    yield made
    made.let.set()
    made.close()


@pytest.fixture
def ask(held: Held, tmp_path: Path) -> ShardRequest:
    snapshot = open_snapshot(tmp_path)
    everything = np.packbits(np.ones(len(snapshot.shelf.species), dtype=np.bool_)).tobytes()
    made = ShardRequest(
        snapshot.name, ensure_placement(tmp_path, snapshot, 1).id, everything, (), embed(ENTRIES)[:1], 5
    )
    snapshot.close()
    return made


def answer_to(shard: Shard, ask: ShardRequest) -> Answer:
    (answer,) = shard.answer([ask])
    return answer


def place_more(root: Path, ask: ShardRequest, count: int) -> list[str]:
    """Further placements of the same snapshot: to a shard each is a state of its own."""
    made = []
    for number in range(count):
        snapshot = open_snapshot(root)
        made.append(ensure_placement(root, snapshot, 2 + number).id)
        snapshot.close()
    return made


def open_now(shard: Shard) -> set[str]:
    return {placement for _, placement in shard._versions}


def test_a_question_is_refused_while_its_snapshot_is_opened_and_answered_after(
    held: Held, ask: ShardRequest, until: Until
) -> None:
    refused = answer_to(held, ask)
    again = answer_to(held, ask)
    held.let.set()
    until(lambda: ask.snapshot in held.state().snapshots)

    assert isinstance(refused, ShardUnavailable)
    assert "is opening snapshot" in str(refused)
    assert isinstance(again, ShardUnavailable)
    assert isinstance(answer_to(held, ask), ShardReply)


def test_a_question_is_told_what_keeps_its_snapshot_from_being_opened_and_the_next_one_tries_again(
    held: Held, ask: ShardRequest, until: Until
) -> None:
    held.trouble = DamagedSnapshot("a file has been changed")
    held.let.set()
    answers = [answer_to(held, ask)]
    until(lambda: answers.append(answer_to(held, ask)) or isinstance(answers[-1], DamagedSnapshot))  # type: ignore[func-returns-value]
    held.trouble = None

    until(lambda: isinstance(answer_to(held, ask), ShardReply))

    assert isinstance(answers[0], ShardUnavailable)


def test_what_nobody_asks_for_any_more_is_closed_when_somebody_looks(
    held: Held, ask: ShardRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.let.set()
    held.open(ask.snapshot, ask.placement)
    answer_to(held, ask)
    (newer,) = place_more(tmp_path, ask, 1)
    held.open(ask.snapshot, newer)
    held.release(ask.snapshot)  # too early
    before = open_now(held)
    monkeypatch.setattr(shards, "IDLE", -1.0)

    held.state()

    assert before == {ask.placement, newer}
    assert open_now(held) == {newer}


def test_what_was_opened_ahead_stays_until_every_shard_may_have_opened_it(
    held: Held, ask: ShardRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.let.set()
    (newer,) = place_more(tmp_path, ask, 1)
    held.open(ask.snapshot, newer)
    held.open(ask.snapshot, ask.placement)
    answer_to(held, ask)  # the present one is used all the time
    monkeypatch.setattr(shards, "IDLE", -1.0)

    held.release("an older one")
    ahead = open_now(held)
    monkeypatch.setattr(shards, "OPENING", -1.0)
    held.state()

    assert ahead == {ask.placement, newer}
    assert open_now(held) == {ask.placement}


def test_of_more_than_a_few_those_that_were_asked_for_longest_ago_are_closed(
    held: Held, ask: ShardRequest, tmp_path: Path
) -> None:
    held.let.set()
    placements = [ask.placement, *place_more(tmp_path, ask, KEPT + 1)]
    for placement in placements:
        held.open(ask.snapshot, placement)
        held._versions[ask.snapshot, placement].asked = True

    held.state()

    assert open_now(held) == set(placements[-KEPT:])


def test_the_more_there_is_to_read_the_longer_shards_may_take_to_open_it(
    held: Held, ask: ShardRequest, tmp_path: Path
) -> None:
    snapshot = open_snapshot(tmp_path)
    small = snapshot.manifest
    large = replace(small, files=tuple(replace(seal, bytes=10**12) for seal in small.files[:1]))

    assert shards.OPENING < shards.opening_seconds(small) < shards.OPENING + 1
    assert shards.opening_seconds(large) > shards.OPENING + 3600  # at a network's speed, not at a disk's
    snapshot.close()


@pytest.mark.parametrize("lines", [None, np.array([[4, -1, 70_000], [-1, -1, 2]]), np.zeros((2, 0), np.int64)])
def test_an_ask_arrives_as_it_was_sent(lines: np.ndarray | None) -> None:
    views = np.asfortranarray(embed(ENTRIES)[:2])
    sent = ShardRequest("snapshot", "placement", b"\x00\xff", ("CC0-1.0",), views, 50, 7, lines)

    arrived = unpack(pack([sent]))[0]

    assert (arrived.kind, arrived.k, arrived.candidates) == (sent.kind, 50, 7)
    assert np.array_equal(arrived.views, views)
    assert arrived.views.dtype == np.float32
    assert (arrived.lists is None) == (lines is None)
    assert lines is None or (arrived.lists.shape == lines.shape and np.array_equal(arrived.lists, lines))


def test_a_flora_is_asked_for_by_its_name_and_a_list_of_species_by_few_bytes() -> None:
    bits = np.packbits(np.random.default_rng(1).random(300_000) < 0.02).tobytes()
    view = np.zeros((1, 256), np.float32)

    by_name = pack([ShardRequest("snapshot", "placement", "north", (), view, 50)])
    by_list = pack([ShardRequest("snapshot", "placement", bits, (), view, 50)])

    assert unpack(by_name)[0].species == "north"
    assert unpack(by_list)[0].species == bits
    assert len(by_name) < 2_000
    assert len(by_list) < 16_000


def test_a_published_flora_is_searched_alike_by_name_and_by_its_species(
    held: Held, ask: ShardRequest, tmp_path: Path
) -> None:
    held.let.set()
    held.open(ask.snapshot, ask.placement)
    snapshot = open_snapshot(tmp_path)
    for card in snapshot.floras:
        by_name, by_list = (
            answer_to(held, replace(ask, species=species))
            for species in (card.id, snapshot.flora(card.id).packed.tobytes())
        )

        assert isinstance(by_name, ShardReply)
        assert isinstance(by_list, ShardReply)
        assert np.array_equal(by_name.rows, by_list.rows)
        assert np.array_equal(by_name.similarities, by_list.similarities)
    assert held.answer([replace(ask, species="north"), replace(ask, species="few")])[0] is not None
    snapshot.close()


@pytest.mark.parametrize("codes", [None, np.array([[0.5, -np.inf, 0.25]], np.float32)])
def test_answers_arrive_as_they_were_given(codes: np.ndarray | None) -> None:
    reply = ShardReply(np.array([[0.75, 0.5, -np.inf]], np.float32), np.array([[2**40, 1, -1]]), codes)

    arrived, error = unpack(pack([reply, ShardUnavailable("it is opening")]))

    assert np.array_equal(arrived.similarities, reply.similarities)
    assert np.array_equal(arrived.rows, reply.rows)
    assert (arrived.codes is None) if codes is None else np.array_equal(arrived.codes, codes)
    assert (type(error), str(error)) == (ShardUnavailable, "it is opening")
