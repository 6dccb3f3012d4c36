"""Publishes a built snapshot, rolls back to an earlier one, verifies and lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.errors import BuildError, DamagedSnapshot, NoSnapshot, SnapshotError
from retrieval.progress import Progress, silent
from retrieval.search.index import ExactIndex
from retrieval.search.recipes import RECALL_BAR, TWO_STAGE, Recipe
from retrieval.segments.segment import Segment
from retrieval.segments.store import SegmentPart, choose_rows, rank_chosen
from retrieval.snapshots.history import log_event, read_history
from retrieval.snapshots.lineage import carry_over
from retrieval.snapshots.manifest import (
    STABLE,
    Manifest,
    current_or_none,
    pointer_path,
    read_current,
    read_manifest,
    switch_current,
    verify_files,
)
from retrieval.snapshots.snapshot import Snapshot
from retrieval.snapshots.staging import writing
from retrieval.snapshots.verified_files import read_verified_files, write_verified_files

PROBES = 64  # rows of a segment that verification searches for
PROBED_ROWS = 200_000  # of these species at most: 200 MB
CODES_DEPTH = 200  # rows among which a probed row must be by its code
CODES_FIND = 0.9  # of the probed rows must be found through their codes
SLACK = 2e-3  # how far float16 may move a length or a similarity


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A line of the list of snapshots."""

    name: str
    built: str
    published: str  # when it was last published; empty if never
    current: bool
    references: int
    species: int
    model: str
    state: str  # "whole" as far as its manifest tells, for nothing else is read here; or what is wrong with that


def publish_snapshot(
    root: Path,
    name: str | None = None,
    *,
    line: str = STABLE,
    recall_bar: float = RECALL_BAR,
    as_it_is: bool = False,
    progress: Progress = silent,
) -> str:
    """Verify a snapshot, the newest built where none is named, and point readers at it in one step; gives its name.

    `line` is the published line that it becomes the present snapshot of; without one, of what everybody is answered by.

    What was published since it was made is carried over, which makes another snapshot, or is the reason to refuse it
    (see `lineage.carry_over`), unless it is wanted `as_it_is`. Refuses one of whose floras two-stage search finds less
    than the bar of what exact search finds. `progress` is told the bytes as they are read, by two threads.
    """
    with writing(root):
        pointer_path(root, line)  # raises UnknownLine before anything is read
        chosen = name or newest_built(root)
        if not as_it_is:
            chosen = carry_over(root, chosen, line)
        verify_snapshot(root, chosen, progress)
        require_recall(read_manifest(root, chosen), recall_bar)
        point_line(root, chosen, line)
        return chosen


def point_line(root: Path, chosen: str, line: str) -> None:
    """Point a line at a verified snapshot, and log it. Needs the lock."""
    current, known = current_or_none(root, line), published_sequence(root, line)
    if current is not None and known[-1:] != [current]:  # whoever switched to it was killed before writing it down
        log_event(root, "rolled back" if current in known else "published", current, **named_line(line))
    if current != chosen:
        switch_current(root, chosen, line)
        log_event(root, "published", chosen, **named_line(line))


def named_line(line: str) -> dict[str, str]:
    """What an event of a line says besides; nothing for the stable one, which has always been there."""
    return {} if line == STABLE else {"line": line}


def agree_to_any(name: str) -> None:
    """Do nothing."""


def roll_back(root: Path, *, agree: Callable[[str], object] = agree_to_any, progress: Progress = silent) -> str:
    """Publish again what was published before the present snapshot; raises BuildError where nothing whole is left.

    `agree` is called with the verified name before readers are switched to it; an error it raises stops that.
    """
    with writing(root):
        current = read_current(root)
        for name in previous_published(root, current):
            try:
                verify_snapshot(root, name, progress)
            except SnapshotError:
                continue
            agree(name)
            switch_current(root, name)
            log_event(root, "rolled back", name)
            return name
    raise BuildError(f"there is no earlier whole snapshot to go back to; {current} stays published")


def previous_published(root: Path, current: str) -> list[str]:
    """Snapshots published before the present one, the latest first.

    The present one is not always the last: who is killed right after the switch has logged nothing.
    """
    known = published_sequence(root)
    if current in known:
        known = known[: len(known) - 1 - known[::-1].index(current)]
    return list(dict.fromkeys(reversed([name for name in known if name != current])))


def published_sequence(root: Path, line: str = STABLE) -> list[str]:
    """What a line published, oldest first, without what was gone back from: going back twice goes two steps back."""
    known: list[str] = []
    for event in read_history(root, line):
        if event["event"] == "published":
            known.append(event["snapshot"])
        elif event["event"] == "rolled back":
            while known and known[-1] != event["snapshot"]:
                known.pop()
    return known


def newest_built(root: Path) -> str:
    """The snapshot that was built last."""
    built = [event["snapshot"] for event in read_history(root) if event["event"] == "built"]
    if not built:
        raise NoSnapshot(f"nothing has been built under {root}: run `fungarium index build`")
    return built[-1]


def require_recall(manifest: Manifest, bar: float) -> None:
    """Raise BuildError if a flora's measured recall@10 is below the bar."""
    for flora, recipe in manifest.recipes.items():
        if float(recipe["recall_at_10"]) < bar:
            raise BuildError(
                f"flora {flora} finds {recipe['recall_at_10']:.3f} of the ten nearest references, "
                f"and {bar} is asked for: lower the bar, or build with a new codebook"
            )


def verify_snapshot(root: Path, name: str, progress: Progress = silent) -> None:
    """Compare every byte with its checksum, then the answers of each index with exact search; raises SnapshotError."""
    manifest = read_manifest(root, name)
    verified = read_verified_files(root)
    write_verified_files(root, {**verified, **verify_files(root, manifest, progress=progress)})
    snapshot = Snapshot(root, manifest)
    try:
        snapshot.contexts  # noqa: B018 - reading them checks them: no place finer than a cell
        for segment in snapshot.segments:
            probe_segment(segment, name)
            if segment.codes is not None:
                probe_codes(segment, name)
    finally:
        snapshot.close()


def probe_codes(segment: Segment, name: str) -> None:
    """See that the codes of rows spread over the segment lead to those rows: codes of other rows would not.

    A row that is the same picture as another may be found as that one.
    """
    rows = np.unique(np.linspace(0, segment.rows - 1, PROBES).astype(np.int64))
    lists = np.arange(len(segment.species), dtype=np.int64)
    queries = segment.store.take(rows).astype(np.float32)
    part = SegmentPart(segment, lists)
    chosen = choose_rows([part], queries, 1, Recipe(TWO_STAGE, CODES_DEPTH))
    nearest, _ = rank_chosen([part], queries, 1, chosen)
    own = np.einsum("rd,rd->r", queries, queries)
    found = np.mean(nearest[:, 0] >= own - SLACK)
    if found < CODES_FIND:
        raise DamagedSnapshot(f"the codes of snapshot {name} lead to {found:.0%} of the rows that they stand for")


def probe_segment(segment: Segment, name: str) -> None:
    """Search for stored rows, spread over the segment, among up to 64 species, and compare with brute force.

    Of species with many references fewer are looked at, so that memory stays small; one at least.
    """
    lists = np.unique(np.linspace(0, len(segment.species) - 1, PROBES).astype(np.int64))
    sizes = segment.offsets[lists + 1] - segment.offsets[lists]
    small = np.sort(np.argsort(sizes, kind="stable")[: max(1, int(np.sum(np.cumsum(np.sort(sizes)) <= PROBED_ROWS)))])
    lists = lists[small]
    rows, numbers = segment.store.embeddings(lists)
    if np.abs(np.linalg.norm(rows, axis=1) - 1).max(initial=0) > SLACK:
        raise DamagedSnapshot(f"snapshot {name} holds embeddings that are not of length 1")
    queries = rows[np.linspace(0, len(rows) - 1, PROBES).astype(np.int64)]
    places = np.repeat(lists, segment.offsets[lists + 1] - segment.offsets[lists])
    expected, _ = ExactIndex(rows, places).search(queries, 10, lists)
    found, at = segment.store.search(queries, 10, lists)
    known = np.isin(at[at >= 0], numbers).all()
    if not known or not np.allclose(np.maximum(found, -2), np.maximum(expected, -2), atol=SLACK):
        raise DamagedSnapshot(f"the index of snapshot {name} does not answer as exact search does")


def list_snapshots(root: Path) -> list[SnapshotRow]:
    """All snapshots under the folder, the newest first, with their state."""
    times: dict[tuple[str, str], str] = {}
    for event in read_history(root, STABLE):
        if event["event"] == "built":  # built again, it is the same: its first time counts
            times.setdefault((event["snapshot"], "built"), event["time"])
        else:
            times[event["snapshot"], "published"] = event["time"]
    current = current_or_none(root)
    rows = []
    for folder in sorted((root / "snapshots").glob("*")):
        name = folder.name
        built, published = times.get((name, "built"), ""), times.get((name, "published"), "")
        try:
            manifest = read_manifest(root, name)
            model = str(manifest.model.get("model", ""))
            row = SnapshotRow(
                name, built, published, name == current, manifest.references, manifest.species, model, "whole"
            )
        except SnapshotError as error:
            row = SnapshotRow(name, built, published, name == current, 0, 0, "", str(error))
        rows.append(row)
    return sorted(rows, key=lambda row: (row.built, row.name), reverse=True)
