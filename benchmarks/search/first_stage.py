"""Compares alternative first stages, and splitting of large species, with the current search on a published collection.

    python -m benchmarks.search.first_stage --indexes /tmp/flora_search/flora_indexes --work /tmp/first_stage

Queries are references of the world, searched without their own observation. *Codes*: in the species nearest to a
view, our 4-bit PQ, SQ8 and RaBitQ each choose the same number of rows, which are compared at float16. *Parts*: species
with many references are split by k-means into parts with their own means in the coarse quantiser; measures the
references scanned for the same recall, and the time. *Stops*: measures the references scanned if, after the
nearest species, only those are searched whose mean is nearly as similar as the 50th neighbour so far. One thread,
interleaved, medians.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import describe_machine
from indexer.building.recall import draw_queries
from retrieval.domain import WORLD
from retrieval.models.embedder import DIM, Embeddings, unit_rows
from retrieval.search.faiss_coarse import CoarseQuantiser, write_coarse_quantiser
from retrieval.search.faiss_codes import FaissCodes
from retrieval.search.faiss_index import FaissIndex, rank_candidates, write_index
from retrieval.search.index import Lists, Rows
from retrieval.search.recipes import AIM_AT_10, PROBING_AT_50, Recipe
from retrieval.segments.store import search_parts
from retrieval.snapshots.snapshot import open_snapshot

DEPTHS = (200, 400, 800, 1_600)
PARTS = ((4_096, 1_024), (4_096, 256), (1_024, 256))  # split species with more references into parts of this size
MOST = 1_024  # largest number of parts or species considered
IP = faiss.METRIC_INNER_PRODUCT
First = Callable[[Embeddings, int], Rows]  # rows most similar to one view


def main() -> None:
    """Run, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--indexes", type=Path, required=True, help="folder of a published collection")
    parser.add_argument("--queries", type=int, default=64)
    parser.add_argument("--probes", type=int, default=64, help="species that codes are compared in")
    parser.add_argument("--work", type=Path, required=True, help="folder for a copy of the rows in another order")
    parser.add_argument("--trials", nargs="+", default=["codes", "parts", "stops"], choices=["codes", "parts", "stops"])
    parser.add_argument("--results", type=Path, help="folder to write first_stage-ROWS.txt to")
    options = parser.parse_args()
    if options.results:
        options.results.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    options.work.mkdir(parents=True, exist_ok=True)
    lines = []
    for line in measure(options):
        print(line, flush=True)
        lines.append(line)
    if options.results:
        rows = open_snapshot(options.indexes).manifest.references
        (options.results / f"first_stage-{rows}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Asked:
    """Queries on the largest segment of a snapshot, with the results of exact search."""

    def __init__(self, indexes: Path, queries: int) -> None:
        self.snapshot = open_snapshot(indexes)
        world = self.snapshot.flora(WORLD)
        part = max(world.parts(), key=lambda part: part.segment.rows)
        self.segment = part.segment
        self.store: FaissIndex = self.segment.store
        self.sizes = np.diff(self.segment.offsets)
        drawn, observations = draw_queries([part])
        self.views, own = drawn[:queries], observations[:queries]
        truth = search_parts([part], self.views, 64, Recipe(), threads=2)
        base = self.segment.base
        self.targets = [
            rows[(seen != mine) & (rows >= 0)][:50] - base
            for rows, seen, mine in zip(truth.rows, truth.observations, own.tolist(), strict=True)
        ]
        coarse = world.prepared.coarse
        if coarse is None or self.segment.codes is None:
            raise SystemExit("this collection has no codes: build a larger one")
        self.codes: FaissCodes = self.segment.codes
        self.coarse, self.part = coarse, part

    def recalls(self, found: Sequence[Rows]) -> tuple[float, float]:
        """Return recall@10 and @50 of the rows found for each query."""
        at_10, at_50 = (
            float(np.mean([np.isin(target[:k], rows).mean() for target, rows in zip(self.targets, found, strict=True)]))
            for k in (10, 50)
        )
        return at_10, at_50


def measure(options: argparse.Namespace) -> Iterator[str]:
    """Return the lines of the report."""
    asked = Asked(options.indexes, options.queries)
    yield (
        f"{asked.segment.rows:,} references, {len(asked.sizes):,} species, the largest of {asked.sizes.max():,}; "
        f"{len(asked.views)} queries, one thread, ms a view"
    )
    yield json.dumps(describe_machine())
    if "stops" in options.trials:
        yield (
            "\nafter the nearest species only those whose mean is as similar as the 50th neighbour so far, less a slack"
        )
        yield from compare_stops(asked)
    if "parts" in options.trials:
        yield "\nspecies cut into parts: what reaches the recall that a build aims at"
        yield from compare_parts(asked, options.work)
    if "codes" in options.trials:
        yield (
            f"\ncodes in the {options.probes} species nearest to a view, then so many rows at float16: recall@50, ms\n"
            f"{'first stage':34} {'bytes':>5} " + " ".join(f"{depth:>14,}" for depth in DEPTHS)
        )
        yield from compare_codes(asked, options.probes)


def compare_stops(asked: Asked) -> list[str]:
    """Return a line for each fixed number of species, and one for each minimum number before the stopping rule."""
    quantiser, cut = asked.coarse.quantiser, asked.coarse.cut
    listed = quantiser.nearest(asked.views, MOST, cut)
    lists = asked.part.lists_at(listed)
    sizes = np.where(lists >= 0, asked.sizes[lists], 0)
    means = quantiser.means[listed.ravel()].astype(np.float32).reshape(*listed.shape, DIM)
    near = np.einsum("qld,qd->ql", means, asked.views)
    ranks = []
    for own, target in zip(lists, asked.targets, strict=True):
        rank = np.full(len(asked.sizes), MOST, dtype=np.int64)
        rank[own[own >= 0]] = np.flatnonzero(own >= 0)
        ranks.append(rank[np.searchsorted(asked.segment.offsets, target, side="right") - 1])

    def suffices(looked_at: NDArray[np.bool_]) -> bool:
        both = np.concatenate([looked_at, np.zeros((len(looked_at), 1), np.bool_)], axis=1)  # species not probed
        hits = [own[rank] for own, rank in zip(both, ranks, strict=True)]
        at_10, at_50 = (float(np.mean([hit[:k].mean() for hit in hits])) for k in (10, 50))
        return at_10 >= AIM_AT_10 and at_50 >= PROBING_AT_50

    def describe(name: str, looked_at: NDArray[np.bool_]) -> str:
        rows = float((looked_at * sizes).sum(axis=1).mean())
        species = looked_at.sum(axis=1)
        return f"{name:36} {species.mean():7.1f} species, at most {species.max()}, {rows:9,.0f} references"

    place = np.broadcast_to(np.arange(MOST), near.shape)
    fixed = next((n for n in range(1, MOST) if suffices(place < n)), MOST)
    lines = [describe("the same number for all", place < fixed)]
    for sure in (2, 3, 4):
        found, _ = asked.store.search(asked.views, 51, lists[:, :sure])  # the view itself is among them
        for slack in np.arange(0, 1, 0.01).tolist():
            looked_at = (place < sure) | (near >= found[:, 50:] - slack)
            if suffices(looked_at):
                lines.append(describe(f"{sure} in any case, slack {slack:.2f}", looked_at))
                break
    return lines


def compare_codes(asked: Asked, probes: int) -> Iterator[str]:
    """Return a line for each first stage."""
    coarse = asked.coarse
    lists = asked.part.lists_at(coarse.quantiser.nearest(asked.views, probes, coarse.cut))
    stages: Mapping[str, tuple[int, Callable[[int], First]]] = make_stages(asked, lists)
    for name, (size, of_view) in stages.items():
        cells = []
        for depth in DEPTHS:
            found, spent = list[Rows](), list[float]()
            for turn in range(3):
                found = []
                started = time.perf_counter()
                for number in range(len(asked.views)):
                    view = asked.views[number : number + 1]
                    rows = of_view(number)(view, depth)
                    rows = np.sort(rows[rows >= 0])
                    stored = asked.store.take(rows)
                    _, places = rank_candidates(view, stored, np.array([len(rows)]), 64)
                    found.append(rows[places[0][places[0] >= 0]])
                if turn:
                    spent.append(1e3 * (time.perf_counter() - started) / len(asked.views))
            cells.append(f"{asked.recalls(found)[1]:.4f} {np.median(spent):6.3f}")
        yield f"{name:34} {size:5} " + " ".join(f"{cell:>14}" for cell in cells)


def make_stages(asked: Asked, lists: Lists) -> dict[str, tuple[int, Callable[[int], First]]]:
    """Return for each first stage the bytes per reference, and the function that searches one query's lists."""
    used = np.unique(lists)
    place = np.full(len(asked.sizes), -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    offsets = asked.segment.offsets
    rotation = asked.codes.codebook.rotation
    means = unit_rows(
        np.stack(
            [
                asked.store.take(np.arange(offsets[n], offsets[n + 1])).astype(np.float32).mean(axis=0)
                for n in used.tolist()
            ]
        )
    )
    centres = np.ascontiguousarray(means @ rotation)
    quantiser = faiss.IndexFlatIP(DIM)
    quantiser.add(centres)
    kept: list[Any] = [quantiser]

    def filled(index: Any) -> Any:
        """Return the index filled with all rows of the lists, rotated as in segments."""
        for number, listed in enumerate(used.tolist()):
            rows = np.arange(offsets[listed], offsets[listed + 1])
            turned = np.ascontiguousarray(asked.store.take(rows).astype(np.float32) @ rotation)
            own = np.full(len(rows), number, dtype=np.int64)
            index.add_core(len(rows), faiss.swig_ptr(turned), faiss.swig_ptr(rows), faiss.swig_ptr(own))
        kept.append(index)
        return index

    def searching(index: Any, parameters: Any) -> Callable[[int], First]:
        def of_view(number: int) -> First:
            own = place[lists[number : number + 1]]

            def first(view: Embeddings, depth: int) -> Rows:
                turned = np.ascontiguousarray(view @ rotation)
                near = turned @ centres[own[0]].T  # required by residual codes
                return search_given(index, turned, depth, own, near, parameters)

            return first

        return of_view

    def ours(number: int) -> First:
        return lambda view, depth: asked.codes.probe(
            asked.codes.codebook.rotate_views(view), depth, lists[number : number + 1]
        )[1][0]

    sample = np.random.default_rng(3).choice(asked.segment.rows, min(asked.segment.rows, 50_000), replace=False)
    trained = np.ascontiguousarray(asked.store.take(np.sort(sample)).astype(np.float32) @ rotation)
    eight = faiss.IndexIVFScalarQuantizer(quantiser, DIM, len(used), faiss.ScalarQuantizer.QT_8bit, IP, False)
    eight.sq.train(trained)
    eight.is_trained = True
    stages: dict[str, tuple[int, Callable[[int], First]]] = {
        "4-bit PQ, fast-scan (used)": (40, ours),
        "SQ8": (DIM + 8, searching(filled(eight), None)),
    }
    rabitq = faiss.IndexIVFRaBitQ(quantiser, DIM, len(used), IP)
    rabitq.is_trained = True
    filled(rabitq)
    asked_at = faiss.IVFRaBitQSearchParameters(nprobe=lists.shape[1], qb=8)
    stages["RaBitQ, residual, 8 bits of a view"] = (int(rabitq.code_size) + 8, searching(rabitq, asked_at))
    fast = faiss.IndexIVFRaBitQFastScan(rabitq)
    kept.append(fast)
    stages["RaBitQ, residual, fast-scan"] = (int(rabitq.code_size) + 8, searching(fast, None))
    stages["RaBitQ, residual, fast-scan"][1].kept = kept  # type: ignore[attr-defined] # must outlive the searches
    return stages


def search_given(
    index: Any, views: Embeddings, depth: int, lists: Lists, near: NDArray[np.float32], parameters: Any
) -> Rows:
    """Return the rows of given lists whose codes are most similar to one view."""
    faiss.omp_set_num_threads(1)
    own, coarse = np.ascontiguousarray(lists), np.ascontiguousarray(near.reshape(1, -1), dtype=np.float32)
    similarities = np.empty((1, depth), dtype=np.float32)
    rows: Rows = np.empty((1, depth), dtype=np.int64)
    index.search_preassigned_c(
        1,
        faiss.swig_ptr(views),
        depth,
        faiss.swig_ptr(own),
        faiss.swig_ptr(coarse),
        faiss.swig_ptr(similarities),
        faiss.swig_ptr(rows),
        False,
        parameters or faiss.IVFSearchParameters(nprobe=own.shape[1]),
    )
    return rows.reshape(-1)


def compare_parts(asked: Asked, work: Path) -> Iterator[str]:
    """Return a line for unsplit species, and one for each way to split them."""
    every = np.arange(asked.segment.rows)
    whole = np.repeat(np.arange(len(asked.sizes)), asked.sizes)
    yield describe_parts("species", asked, asked.store, asked.coarse.quantiser, every, whole, len(asked.sizes))
    for least, size in PARTS:
        started = time.perf_counter()
        of_row, means = cut_species(asked, least, size)
        order = np.argsort(of_row, kind="stable")
        folder = work / f"parts-{least}-{size}"
        folder.mkdir(exist_ok=True)
        write_coarse_quantiser(folder, np.arange(len(means)), means, np.arange(len(means)))
        write_index(folder / "embeddings.npy", Reordered(asked.store, order))
        offsets = np.searchsorted(of_row[order], np.arange(len(means) + 1)).astype(np.int64)
        index = FaissIndex(folder / "embeddings.npy", offsets)
        name = f"of more than {least:,} in parts of {size:,}"
        built = time.perf_counter() - started
        place = np.empty_like(order)
        place[order] = every
        line = describe_parts(name, asked, index, CoarseQuantiser(folder), place, of_row, len(means))
        yield f"{line}; cut and written in {built:.0f} s"
        (folder / "embeddings.npy").unlink()


class Reordered:
    """Stored rows in another order, read by slices."""

    def __init__(self, store: FaissIndex, order: Rows) -> None:
        self._store, self._order = store, order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, rows: slice) -> NDArray[np.float16]:
        return self._store.take(self._order[rows])


def cut_species(asked: Asked, least: int, size: int) -> tuple[NDArray[np.int64], Embeddings]:
    """Return the part of each row, ascending by species, and the mean of each part."""
    of_row, means, first = np.empty(asked.segment.rows, dtype=np.int64), [], 0
    faiss.omp_set_num_threads(2)
    for start, end in zip(asked.segment.offsets[:-1].tolist(), asked.segment.offsets[1:].tolist(), strict=True):
        rows = asked.store.take(np.arange(start, end)).astype(np.float32)
        own = np.zeros(len(rows), dtype=np.int64)
        if len(rows) > least:
            kmeans = faiss.Kmeans(DIM, round(len(rows) / size), niter=8, spherical=True, seed=5, verbose=False)
            kmeans.cp.min_points_per_centroid = 1
            kmeans.train(rows)
            own = np.unique(kmeans.index.search(rows, 1)[1][:, 0], return_inverse=True)[1].astype(np.int64)
        of_row[start:end] = first + own
        counts = np.bincount(own)
        sums = np.zeros((len(counts), DIM), dtype=np.float64)
        np.add.at(sums, own, rows)
        means.append(sums / counts[:, None])
        first += len(counts)
    return of_row, np.concatenate(means).astype(np.float32)


def describe_parts(
    name: str, asked: Asked, index: FaissIndex, quantiser: CoarseQuantiser, place: Rows, of_row: Lists, parts: int
) -> str:
    """Return how many parts must be searched for the target recalls, with their references and the time.

    `place` is the row in `index` of each row of the segment, `of_row` its part. Lists of `index` are the parts.
    """
    line_of = np.empty(parts, dtype=np.int64)
    if parts == len(asked.sizes):
        order = np.argsort(quantiser.species)
        line_of[:] = order[np.searchsorted(quantiser.species, asked.segment.species, sorter=order)]
    else:
        line_of[:] = np.arange(parts)
    list_of = np.empty(len(quantiser.species), dtype=np.int64)
    list_of[line_of] = np.arange(parts)
    cut = quantiser.cut(np.sort(line_of))
    lines = quantiser.nearest(asked.views, MOST, cut)
    ranks = []
    for listed, target in zip(lines, asked.targets, strict=True):
        rank = np.full(len(quantiser.species), MOST, dtype=np.int64)
        rank[listed] = np.arange(len(listed))
        ranks.append(rank[line_of[of_row[target]]])
    sizes = np.bincount(of_row, minlength=parts)
    recalls = [
        (float(np.mean([np.mean(r[:10] < n) for r in ranks])), float(np.mean([np.mean(r < n) for r in ranks])))
        for n in range(1, MOST + 1)
    ]
    enough = next((n for n, (a, b) in enumerate(recalls, 1) if a >= AIM_AT_10 and b >= PROBING_AT_50), MOST)
    lists = list_of[lines[:, :enough]]
    looked_at = float(sizes[lists].sum(axis=1).mean())
    spent: list[tuple[float, float]] = []
    found: list[Rows] = []
    for _ in range(4):
        found, coarse = [], 0.0
        started = time.perf_counter()
        for view in np.split(asked.views, len(asked.views)):
            before = time.perf_counter()
            own = quantiser.nearest(view, enough, cut)
            coarse += time.perf_counter() - before
            found.append(index.search(view, 64, list_of[own])[1][0])
        spent.append((time.perf_counter() - started, coarse))
    total, coarse = (1e3 * float(np.median(values)) / len(asked.views) for values in zip(*spent[1:], strict=True))
    back = np.empty_like(place)
    back[place] = np.arange(len(place))
    at_10, at_50 = asked.recalls([back[rows[rows >= 0]] for rows in found])
    return (
        f"{name:36} {parts:7,} means, {enough:5,} looked at, {looked_at:9,.0f} references, "
        f"recalls {at_10:.4f} {at_50:.4f}, {total:7.3f} ms, of which the guide {coarse:.3f}"
    )


if __name__ == "__main__":
    main()
