"""One test suite for every implementation of VectorIndex, compared with brute force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.devices.accelerator import HotFloras
from retrieval.devices.device_lists import HotLists
from retrieval.domain import Taxon
from retrieval.errors import DamagedSnapshot
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.search.faiss_index import TOGETHER, FaissIndex, rank_candidates, write_index
from retrieval.search.filtered_index import FilteredIndex
from retrieval.search.index import ExactIndex, VectorIndex, best_rows
from retrieval.segments.store import SegmentPart, rank_chosen
from tests.cluster.shards import Routed, routed
from tests.retrieval.devices.devices import Devices, gpu_devices, numpy_devices
from tests.snapshots import make_entry, make_snapshot

Build: TypeAlias = Callable[[Embeddings, NDArray[np.int64]], VectorIndex]
CLOSE = 2e-6  # two sums of 256 products may differ by this much in float32


@contextmanager
def exact_index() -> Iterator[Build]:
    yield ExactIndex


@contextmanager
def faiss_index(together: int = TOGETHER) -> Iterator[Build]:
    with TemporaryDirectory() as folder:
        names = iter(range(1_000_000))

        def build(rows: Embeddings, lists: NDArray[np.int64]) -> VectorIndex:
            path = Path(folder) / f"{next(names)}.faiss"
            write_index(path, rows)
            return FaissIndex(path, offsets_of(lists), together)

        yield build


@contextmanager
def grouping_index() -> Iterator[Build]:
    """A row at a time is compared with all views, where there are more than a dozen."""
    with faiss_index(together=1) as build:
        yield build


@contextmanager
def hiding_index() -> Iterator[Build]:
    """Every other row of the index below is hidden, a copy of the row before it; numbers are brought back."""

    class EveryOther:
        def __init__(self, rows: Embeddings, lists: NDArray[np.int64], build: Build) -> None:
            below = build(np.repeat(rows, 2, axis=0), np.repeat(lists, 2))
            hidden = np.arange(2 * len(rows)) % 2 == 1
            self._index = FilteredIndex(below, hidden)  # type: ignore[arg-type] # it counts its rows

        def search(
            self, embeddings: Embeddings, k: int, lists: NDArray[np.int64]
        ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            similarities, rows = self._index.search(embeddings, k, lists)
            return similarities, np.where(rows < 0, -1, rows // 2)

        def embeddings(self, lists: NDArray[np.int64]) -> tuple[Embeddings, NDArray[np.int64]]:
            stored, rows = self._index.embeddings(lists)
            return stored, rows // 2

    with faiss_index() as build:
        yield lambda rows, lists: EveryOther(rows, lists, build)


@dataclass(frozen=True)
class Held:
    """As much of a segment as devices look at."""

    store: FaissIndex
    offsets: NDArray[np.int64]
    name: str
    base: int = 0

    @property
    def rows(self) -> int:
        return self.store.rows


class Accelerated:
    """Devices choose rows and the CPU compares them, or answers where they decline, as floras are searched."""

    def __init__(self, index: FaissIndex, segment: Held, accelerator: HotFloras | HotLists) -> None:
        self._index, self._segment, self._accelerator = index, segment, accelerator

    def search(
        self, embeddings: Embeddings, k: int, lists: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        part = SegmentPart(self._segment, np.sort(lists))  # type: ignore[arg-type] # all of a segment that is looked at
        flora = ",".join(map(str, np.sort(lists).tolist()))
        chosen = self._accelerator.choose(flora, [part], embeddings, k) if len(lists) else None
        assert "failed" not in self._accelerator.description
        return (
            self._index.search(embeddings, k, lists) if chosen is None else rank_chosen([part], embeddings, k, chosen)
        )

    def embeddings(self, lists: NDArray[np.int64]) -> tuple[Embeddings, NDArray[np.int64]]:
        return self._index.embeddings(lists)


def accelerated_index(
    devices: Devices, count: int, accelerate: type[HotFloras] | type[HotLists]
) -> Callable[[], AbstractContextManager[Build]]:
    """Indexes on so many devices, each with room for two hundred rows: some are dealt out, and some do not fit."""

    @contextmanager
    def accelerated() -> Iterator[Build]:
        made = devices(count, 200)
        with faiss_index() as build:

            def on_devices(rows: Embeddings, lists: NDArray[np.int64]) -> VectorIndex:
                index = build(rows, lists)
                assert isinstance(index, FaissIndex)
                return Accelerated(index, Held(index, offsets_of(lists), str(id(index))), accelerate(made))

            yield on_devices

    return accelerated


ON_DEVICES = {
    f"{name}-{accelerate.__name__}-{count}": accelerated_index(devices, count, accelerate)
    for name, devices in (("numpy", numpy_devices), ("gpu", gpu_devices))
    for accelerate in (HotFloras, HotLists)
    for count in (1, 2)
}


@contextmanager
def sharded_index() -> Iterator[Build]:
    """A snapshot whose lists lie on three shards, asked through a router; the shards are threads of this process."""

    class Sharded:
        def __init__(self, made: Routed) -> None:
            self._made = made

        def search(
            self, embeddings: Embeddings, k: int, lists: NDArray[np.int64]
        ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            snapshot = self._made.snapshot
            flora = snapshot.flora_of_bits(snapshot.shelf.bits_of((lists + 1_000).tolist()), "some lists")
            found = flora.search(embeddings, k)
            return found.similarities, found.rows

        def embeddings(self, lists: NDArray[np.int64]) -> tuple[Embeddings, NDArray[np.int64]]:
            (segment,) = self._made.snapshot.segments
            return segment.index.embeddings(segment.lists_of(np.sort(lists) + 1_000))

    with TemporaryDirectory() as folder, ExitStack() as opened:
        names = iter(range(1_000_000))

        def build(rows: Embeddings, lists: NDArray[np.int64]) -> VectorIndex:
            root = Path(folder) / f"{next(names)}"
            taxa = [(Taxon(1_000 + number, f"Genus species{number}", "species"), "") for number in set(lists.tolist())]
            entries = [make_entry(f"{row:064x}", row, 1_000 + number) for row, number in enumerate(lists.tolist())]
            snapshot = make_snapshot(root, entries, rows, taxa=taxa, floras={}).open()
            opened.callback(snapshot.close)
            return Sharded(opened.enter_context(routed(root, snapshot, snapshot)))

        yield build


BUILDS = {
    "exact": exact_index,
    "faiss": faiss_index,
    "faiss-in-groups": grouping_index,
    "hiding": hiding_index,
    "sharded": sharded_index,
    **ON_DEVICES,
}


def offsets_of(lists: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each list begins and ends, of rows that lie list by list."""
    return np.searchsorted(lists, np.arange(int(lists.max()) + 2)).astype(np.int64)


@pytest.fixture(scope="module", params=list(BUILDS.values()), ids=list(BUILDS))
def build(request: pytest.FixtureRequest) -> Iterator[Build]:
    with request.param() as builder:
        yield builder


def numbers(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def make_rows(seed: int, rows: int, lists: int) -> tuple[Embeddings, NDArray[np.int64]]:
    """Clustered rows over lists that all have at least one."""
    noise = np.random.default_rng(seed)
    centres = noise.normal(size=(lists, DIM))
    of_list = np.sort(np.concatenate([np.arange(lists), noise.integers(0, lists, max(0, rows - lists))]))
    return unit_rows(centres[of_list] + 0.7 * noise.normal(size=(len(of_list), DIM))), of_list.astype(np.int64)


def brute_force(
    index: VectorIndex, of_list: NDArray[np.int64], query: Embeddings, lists: NDArray[np.int64]
) -> dict[int, float]:
    """Similarity of one query to every stored row of the lists, in float64."""
    stored, rows = index.embeddings(np.unique(of_list))
    assert np.array_equal(rows, np.arange(len(of_list)))
    wanted = set(lists.tolist())
    return {
        row: float(stored[row].astype(np.float64) @ query.astype(np.float64))
        for row in range(len(of_list))
        if int(of_list[row]) in wanted
    }


@given(seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=40, deadline=None)
def test_search_agrees_with_brute_force_to_the_last_neighbour(build: Build, seed: int, data: st.DataObject) -> None:
    lists = data.draw(st.integers(1, 30))
    rows, of_list = make_rows(seed, data.draw(st.integers(1, 150)), lists)
    searched = numbers(*sorted(data.draw(st.sets(st.integers(0, lists - 1), min_size=1))))
    k = data.draw(st.integers(1, 60))
    queries = make_rows(seed + 1, 3, 2)[0]
    index = build(rows, of_list)

    similarities, found = index.search(queries, k, searched)

    assert similarities.shape == found.shape == (3, k)
    for query, near, at in zip(queries, similarities, found, strict=True):
        truth = brute_force(index, of_list, query, searched)
        best = sorted(truth.values(), reverse=True)[:k]
        kept = at[: len(best)].tolist()
        assert len(set(kept)) == len(best)
        assert np.allclose(near[: len(best)], best, atol=CLOSE)
        assert np.allclose([truth[row] for row in kept], best, atol=CLOSE)
        assert np.all(at[len(best) :] == -1)
        assert np.all(np.isneginf(near[len(best) :]))


def test_the_same_picture_has_similarity_1_and_comes_first(build: Build) -> None:
    rows, of_list = make_rows(1, 200, 20)

    similarities, found = build(rows, of_list).search(rows, 1, np.arange(20))

    assert np.array_equal(found[:, 0], np.arange(200))
    assert np.allclose(similarities, 1, atol=1e-3)


def test_similarities_fall_from_left_to_right(build: Build) -> None:
    rows, of_list = make_rows(2, 300, 9)

    similarities, _ = build(rows, of_list).search(rows[:20], 50, np.arange(9))

    assert np.all(np.diff(similarities, axis=1) <= 0)


def test_only_the_given_lists_are_searched(build: Build) -> None:
    rows, of_list = make_rows(3, 120, 12)
    index = build(rows, of_list)

    _, found = index.search(rows[:10], 100, numbers(2, 7))

    assert set(of_list[found[found >= 0]].tolist()) == {2, 7}


def test_the_order_of_the_lists_does_not_matter(build: Build) -> None:
    rows, of_list = make_rows(4, 120, 12)
    index = build(rows, of_list)

    one, other = index.search(rows[:5], 30, numbers(2, 7, 9)), index.search(rows[:5], 30, numbers(9, 2, 7))

    assert np.array_equal(one[1], other[1])


def test_asking_for_more_than_there_is_returns_what_there_is(build: Build) -> None:
    rows, of_list = make_rows(5, 6, 3)

    similarities, found = build(rows, of_list).search(rows[:2], 100, numbers(0, 1, 2))

    assert found.shape == similarities.shape == (2, 100)
    assert [sorted(line[:6]) for line in found.tolist()] == [list(range(6))] * 2
    assert np.all(found[:, 6:] == -1)
    assert np.all(np.isneginf(similarities[:, 6:]))


def test_no_lists_give_no_neighbours(build: Build) -> None:
    rows, of_list = make_rows(6, 10, 2)

    similarities, found = build(rows, of_list).search(rows[:3], 4, numbers())

    assert found.tolist() == [[-1] * 4] * 3
    assert np.all(np.isneginf(similarities))


def test_no_views_give_no_lines(build: Build) -> None:
    rows, of_list = make_rows(6, 10, 2)

    similarities, found = build(rows, of_list).search(rows[:0], 4, numbers(0, 1))

    assert similarities.shape == found.shape == (0, 4)


def test_a_single_row_is_found(build: Build) -> None:
    rows = unit_rows(np.ones((1, DIM)))

    similarities, found = build(rows, numbers(0)).search(rows, 3, numbers(0))

    assert found.tolist() == [[0, -1, -1]]
    assert np.isclose(similarities[0, 0], 1, atol=1e-3)


@pytest.mark.parametrize("k", [1, 5, 12, 59])
def test_ties_are_settled_by_row_however_many_there_are(build: Build, k: int) -> None:
    """Sixty times the same picture, in three lists that are searched in any order."""
    rows = np.repeat(np.eye(1, DIM, dtype=np.float32), 60, axis=0)
    index = build(rows, np.sort(np.arange(60) % 3).astype(np.int64))

    _, found = index.search(rows[:2], k, numbers(2, 0, 1))

    assert found.tolist() == [list(range(k))] * 2


def test_ties_at_the_last_place_are_settled_by_row(build: Build) -> None:
    """Three better rows stand behind forty equal ones."""
    better, equal = np.eye(2, DIM, dtype=np.float32)
    query = unit_rows((2 * better + equal)[None])
    rows = np.concatenate([np.tile(equal, (40, 1)), np.tile(better, (3, 1))])
    index = build(rows, (np.arange(43) // 5).astype(np.int64))

    _, found = index.search(query, 7, np.arange(9))

    assert found.tolist() == [[40, 41, 42, 0, 1, 2, 3]]


def test_stored_rows_come_back_in_the_order_of_their_numbers(build: Build) -> None:
    rows, of_list = make_rows(7, 80, 8)
    index = build(rows, of_list)

    stored, found = index.embeddings(numbers(6, 1))

    assert found.tolist() == [row for row in range(80) if of_list[row] in (1, 6)]
    assert np.allclose(stored, rows[found], atol=5e-4)
    assert np.allclose(np.linalg.norm(stored, axis=1), 1, atol=1e-3)
    nothing, none = index.embeddings(numbers())
    assert nothing.shape == (0, DIM)
    assert none.shape == (0,)


def test_searching_changes_neither_the_queries_nor_the_lists(build: Build) -> None:
    rows, of_list = make_rows(8, 50, 5)
    queries, searched = rows[:4].copy(), numbers(4, 0, 2)

    build(rows, of_list).search(queries, 9, searched)

    assert np.array_equal(queries, rows[:4])
    assert searched.tolist() == [4, 0, 2]


def test_many_threads_with_different_lists_get_what_one_gets(build: Build) -> None:
    rows, of_list = make_rows(9, 600, 40)
    index = build(rows, of_list)
    noise = np.random.default_rng(10)
    asked = [
        (rows[noise.integers(0, 600, 2)], int(noise.integers(1, 40)), noise.permutation(40)[: noise.integers(1, 40)])
        for _ in range(60)
    ]
    expected = [index.search(*question) for question in asked]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda question: index.search(*question), asked))

    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one[1], other[1])
        assert np.allclose(one[0], other[0], atol=CLOSE)


def test_a_file_is_the_same_byte_for_byte_for_the_same_rows(tmp_path: Path) -> None:
    rows, _ = make_rows(13, 90, 7)

    write_index(tmp_path / "a", rows)
    write_index(tmp_path / "b", rows.copy())

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_opened_twice_answers_twice_even_after_it_was_unlinked(tmp_path: Path) -> None:
    rows, of_list = make_rows(14, 90, 7)
    write_index(tmp_path / "a", rows)
    one, other = FaissIndex(tmp_path / "a", offsets_of(of_list)), FaissIndex(tmp_path / "a", offsets_of(of_list))
    (tmp_path / "a").unlink()

    first, second = one.search(rows[:5], 10, np.arange(7)), other.search(rows[:5], 10, np.arange(7))

    assert np.array_equal(first[1], second[1])
    assert first[1][:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("body", [b"", b"nonsense", b"Ix" + bytes(100)])
def test_a_file_that_is_no_index_is_refused(tmp_path: Path, body: bytes) -> None:
    (tmp_path / "a").write_bytes(body)

    with pytest.raises(DamagedSnapshot, match="no array of embeddings"):
        FaissIndex(tmp_path / "a", numbers(0, 90))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedSnapshot):
        FaissIndex(tmp_path / "gone", numbers(0, 90))


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    rows, _ = make_rows(15, 90, 7)
    write_index(tmp_path / "a", rows)
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(DamagedSnapshot):
        FaissIndex(tmp_path / "a", numbers(0, 90))


@pytest.mark.parametrize("offsets", [(), (1, 90), (0, 40, 30, 90), (0, 91), (0, 89)])
def test_offsets_of_other_rows_are_refused(tmp_path: Path, offsets: tuple[int, ...]) -> None:
    write_index(tmp_path / "a", make_rows(16, 90, 7)[0])

    with pytest.raises(DamagedSnapshot, match="belong together"):
        FaissIndex(tmp_path / "a", numbers(*offsets))


def test_anybody_can_read_the_file_with_numpy(tmp_path: Path) -> None:
    rows, _ = make_rows(17, 20, 3)
    write_index(tmp_path / "a", rows)

    assert np.array_equal(np.load(tmp_path / "a"), rows.astype(np.float16))


@pytest.mark.parametrize("k", [1, 7, 30])
def test_gathered_rows_get_the_similarities_of_the_exact_search_to_the_last_bit(tmp_path: Path, k: int) -> None:
    rows, of_list = make_rows(18, 200, 9)
    write_index(tmp_path / "a", rows)
    index = FaissIndex(tmp_path / "a", offsets_of(of_list))
    queries = make_rows(19, 3, 2)[0]
    near, found = index.search(queries, k, np.arange(9))
    chosen = [np.random.default_rng(view).permutation(200) for view in range(3)]

    counts = np.array([len(own) for own in chosen])
    similarities, places = rank_candidates(queries, index.take(np.concatenate(chosen)), counts, k)

    assert np.array_equal(similarities, near)
    assert [own[place].tolist() for own, place in zip(chosen, places, strict=True)] == found.tolist()


def test_the_best_of_a_line_by_a_table() -> None:
    similarities = np.array([[0.1, 0.9, 0.9, 0.5], [0.2, 0.2, 0.2, 0.2]], dtype=np.float32)
    rows = np.array([[4, 9, 3, 1], [7, 5, 6, 8]], dtype=np.int64)

    best, found = best_rows(similarities, rows, 3)

    assert found.tolist() == [[3, 9, 1], [5, 6, 7]]
    assert np.allclose(best, [[0.9, 0.9, 0.5], [0.2, 0.2, 0.2]])


def test_a_line_too_short_is_filled_up_with_nothing() -> None:
    best, found = best_rows(np.array([[0.5, -np.inf]], dtype=np.float32), np.array([[3, 8]]), 4)

    assert found.tolist() == [[3, -1, -1, -1]]
    assert best.tolist() == [[0.5, -np.inf, -np.inf, -np.inf]]
