"""PQ codes: blocks find what single lists find, and masked rows and padding are never returned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from indexer.building.codes import order_lists
from indexer.building.shelving import order_species
from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM, unit_rows
from retrieval.search.faiss_codes import (
    BLOCK,
    CHUNK,
    CODE_BYTES,
    FaissCodes,
    gather_pieces,
    place_lists,
    train_codebook,
    write_codes,
)
from tests.progress import Recorder

SIZES = np.array([1, 40, 32, 3, 700, 33, 64, 5, 31, 2])
OFFSETS = np.concatenate([[0], np.cumsum(SIZES)]).astype(np.int64)
NOISE = np.random.default_rng(8)
ROWS = unit_rows(np.repeat(NOISE.normal(size=(10, DIM)), SIZES, axis=0) + NOISE.normal(size=(SIZES.sum(), DIM))).astype(
    np.float16
)
CODEBOOK = train_codebook(ROWS)
TURNED = CODEBOOK.rotate_views(ROWS[::90].astype(np.float32))


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> FaissCodes:
    path = tmp_path_factory.mktemp("codes") / "a.codes"
    write_codes(path, ROWS, OFFSETS, CODEBOOK, np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7]))
    return FaissCodes(path, OFFSETS, CODEBOOK)


def one_by_one(codes: FaissCodes, lists: NDArray[np.int64], hidden: NDArray[np.bool_]) -> list[list[tuple[int, float]]]:
    """Every row of the lists that is not hidden with its similarity by codes, each list searched alone."""
    lines: list[list[tuple[int, float]]] = [[] for _ in TURNED]
    for number in lists.tolist():
        near, rows = codes.probe(TURNED, int(SIZES[number]), np.full((len(TURNED), 1), number))
        for line, sims, found in zip(lines, near.tolist(), rows.tolist(), strict=True):
            line += [(row, sim) for row, sim in zip(found, sims, strict=True) if row >= 0 and not hidden[row]]
    return [sorted(line) for line in lines]


@given(st.sets(st.integers(0, 9), min_size=1), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_stretches_hold_the_rows_of_their_lists_that_are_not_hidden_and_nothing_else(
    codes: FaissCodes, chosen: set[int], seed: int
) -> None:
    lists = np.array(sorted(chosen), dtype=np.int64)
    hidden = np.random.default_rng(seed).random(len(ROWS)) < 0.2
    cut = codes.cut(lists, hidden)

    near, rows = codes.search(TURNED, len(ROWS), cut)

    expected = one_by_one(codes, lists, hidden)
    found = [
        sorted((row, sim) for row, sim in zip(*line, strict=True) if row >= 0)
        for line in zip(rows.tolist(), near.tolist(), strict=True)
    ]
    assert found == expected
    assert cut.blocks <= len(lists)


def test_lists_that_lie_side_by_side_are_one_stretch(codes: FaissCodes) -> None:
    assert codes.cut(np.array([1, 3, 4]), None).blocks == 1  # first in the file's order
    assert codes.cut(np.array([1, 2, 4]), None).blocks == 2
    assert codes.cut(np.arange(10), None).blocks == 1


def test_a_row_is_found_by_its_own_code_wherever_its_list_lies(codes: FaissCodes) -> None:
    queries = CODEBOOK.rotate_views(ROWS.astype(np.float32))

    _, rows = codes.search(queries, 10, codes.cut(np.arange(10), None))

    assert np.mean([row in found for row, found in enumerate(rows.tolist())]) > 0.99


def test_the_similarities_of_codes_are_about_those_of_the_rows(codes: FaissCodes) -> None:
    near, rows = codes.search(TURNED, 50, codes.cut(np.arange(10), None))

    true = np.einsum("vkd,vd->vk", ROWS[rows].astype(np.float32), ROWS[::90].astype(np.float32))
    assert np.median(np.abs(near - true)) < 0.05
    assert np.corrcoef(near.ravel(), true.ravel())[0, 1] > 0.9


def test_several_views_together_find_what_each_finds_alone(codes: FaissCodes) -> None:
    cut = codes.cut(np.arange(10), None)

    together = codes.search(TURNED, 900, cut)

    for view in range(len(TURNED)):
        near, rows = codes.search(TURNED[view : view + 1], 900, cut)
        assert np.array_equal(near[0], together[0][view])
        assert sorted(rows[0].tolist()) == sorted(together[1][view].tolist())


def test_views_turn_as_rows_do() -> None:
    assert np.allclose(CODEBOOK.rotate_views(ROWS[:9].astype(np.float32)), CODEBOOK.rotate(ROWS[:9]), atol=1e-6)


def test_a_file_of_other_lists_or_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.codes"
    write_codes(path, ROWS, OFFSETS, CODEBOOK, np.arange(10))
    whole = path.read_bytes()

    with pytest.raises(DamagedSnapshot, match="does not match"):
        FaissCodes(path, OFFSETS[:-1], CODEBOOK)
    path.write_bytes(whole[:-8] + (3).to_bytes(8, "little"))
    with pytest.raises(DamagedSnapshot, match="each list of its segment once"):
        FaissCodes(path, OFFSETS, CODEBOOK)
    path.unlink()
    with pytest.raises(DamagedSnapshot, match="cannot be read"):
        FaissCodes(path, OFFSETS, CODEBOOK)


def test_lists_begin_at_whole_blocks_in_any_order() -> None:
    places, end = place_lists(OFFSETS, np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7]))

    assert np.all(places % BLOCK == 0)
    assert sorted(places.tolist()) == [0, 32, 96, 800, 832, 896, 928, 960, 1024, 1056]
    assert end == 1088


def test_species_of_the_same_floras_come_together_and_like_sets_follow_each_other() -> None:
    floras = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]], dtype=np.bool_)

    order = order_species(floras)

    blocks = [np.count_nonzero(np.diff(np.concatenate([[0], floras[order, f], [0]])) == 1) for f in range(3)]
    assert sorted(order.tolist()) == list(range(6))
    assert blocks == [1, 1, 1]
    assert order_species(np.zeros((4, 0), np.bool_)).tolist() == [0, 1, 2, 3]
    assert order_species(np.zeros((0, 3), np.bool_)).tolist() == []


def test_lists_lie_as_the_species_do_and_unknown_ones_at_the_end() -> None:
    assert order_lists(np.array([10, 20, 30, 40]), np.array([40, 99, 10, 30])).tolist() == [3, 0, 2, 1]


def test_large_lists_are_encoded_in_pieces_with_the_bytes_of_a_whole(tmp_path: Path) -> None:
    pattern, few = ROWS[:BLOCK], ROWS[40:45]
    sizes = [5, 1_100 * BLOCK, 7, 300 * BLOCK + 3]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows = np.concatenate([few, np.tile(pattern, (1_100, 1)), few, few[:2], np.tile(pattern, (300, 1)), pattern[:3]])
    order = np.array([2, 1, 0, 3])
    told = Recorder()

    write_codes(tmp_path / "a.codes", rows, offsets, CODEBOOK, order, told)

    def alone(stored: NDArray[np.float16]) -> bytes:
        path = tmp_path / "alone.codes"
        write_codes(path, stored, np.array([0, len(stored)]), CODEBOOK, np.array([0]))
        return path.read_bytes()[: CODE_BYTES * BLOCK]

    whole, written = alone(pattern), (tmp_path / "a.codes").read_bytes()
    codes = [alone(np.concatenate([few, few[:2]])), whole * 1_100, alone(few), whole * 300, alone(pattern[:3])]
    assert written[: len(b"".join(codes))] == b"".join(codes)
    numbers = np.frombuffer(written[len(b"".join(codes)) :], dtype=np.int64)
    expected = [
        np.pad(np.arange(offsets[n], offsets[n + 1]), (0, -sizes[n] % BLOCK), constant_values=-1) for n in order
    ]
    assert numbers.tolist() == [*np.concatenate(expected).tolist(), *order.tolist()]
    assert sum(told.done) == len(rows)
    assert len(told.done) == 3  # the large list is cut


def test_pieces_are_whole_blocks_but_for_the_last_of_a_list_and_few_enough_rows_together() -> None:
    draw = np.random.default_rng(5)
    for _ in range(50):
        sizes = draw.choice([0, 1, 31, 32, 33, CHUNK - 5, CHUNK, CHUNK + 1, 3 * CHUNK + 17], 12)
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        order = draw.permutation(len(sizes))

        groups = list(gather_pieces(offsets, order))

        assert max((sum(last - first for first, last in pieces) for pieces in groups), default=0) <= CHUNK
        ends = set(offsets.tolist())
        assert all((last - first) % BLOCK == 0 or last in ends for pieces in groups for first, last in pieces)
        covered = [(first, last) for pieces in groups for first, last in pieces]
        assert np.array_equal(
            np.concatenate([np.zeros(0, np.int64), *(np.arange(*piece) for piece in covered)]),
            np.concatenate([np.zeros(0, np.int64), *(np.arange(offsets[n], offsets[n + 1]) for n in order)]),
        )
