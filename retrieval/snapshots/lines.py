"""Published lines: several snapshots served at once, of different models or settings, each under a name.

`stable` is the line that CURRENT points at and that everybody is answered by; a request may name another one. The file
`lines/<name>` names the snapshot of each further line, and changes by one rename, as CURRENT does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import BuildError, SnapshotError
from retrieval.progress import Progress, silent
from retrieval.snapshots.history import log_event, read_history
from retrieval.snapshots.lineage import Lineage, refuse_losses
from retrieval.snapshots.manifest import (
    LINE,
    LINES,
    STABLE,
    current_or_none,
    pointer_path,
    read_current,
    read_manifest,
    sync_folder,
)
from retrieval.snapshots.publishing import named_line, point_line, verify_snapshot
from retrieval.snapshots.staging import writing


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line of the list of published lines."""

    line: str
    snapshot: str
    published: str  # when its snapshot became that
    references: int
    model: str
    state: str  # "whole" as far as the manifest tells, or what is wrong with it


def line_names(root: Path) -> tuple[str, ...]:
    """The published lines besides the stable one, by name."""
    return tuple(sorted(path.name for path in (root / LINES).glob("*") if LINE.fullmatch(path.name)))


def list_lines(root: Path) -> list[LineRow]:
    """All published lines, the stable one first."""
    found = []
    for line in (STABLE, *line_names(root)):
        name = current_or_none(root, line)
        if name is None:  # nothing has been published, or it was retired this moment
            continue
        events = [event for event in read_history(root, line) if event["event"] in {"published", "rolled back"}]
        published = next((event["time"] for event in reversed(events) if event["snapshot"] == name), "")
        try:
            manifest = read_manifest(root, name)
            row = LineRow(line, name, published, manifest.references, str(manifest.model.get("model", "")), "whole")
        except SnapshotError as error:
            row = LineRow(line, name, published, 0, "", str(error))
        found.append(row)
    return found


def promote_line(root: Path, line: str, *, as_it_is: bool = False, progress: Progress = silent) -> str:
    """Make a line's snapshot the stable one, in one step; returns its name. The line stays until it is retired.

    Raises UnknownLine; BuildError where references that were published as stable since the snapshot was made would be
    lost, or removed ones come back, unless it is wanted `as_it_is`.
    """
    with writing(root):
        if line == STABLE:
            raise BuildError(f"{STABLE} is what is published already: name the line to promote")
        chosen, current = read_current(root, line), current_or_none(root)
        if current is not None and current != chosen and not as_it_is:
            base = Lineage(read_history(root)).nearest_common(chosen, current)
            if base is not None:
                refuse_losses(root, chosen, current, base)
        verify_snapshot(root, chosen, progress)
        point_line(root, chosen, STABLE)
        return chosen


def retire_line(root: Path, line: str) -> str:
    """Remove a line, whose snapshot stays on disk; returns the snapshot's name. Raises UnknownLine."""
    with writing(root):
        if line == STABLE:
            raise BuildError(f"{STABLE} cannot be retired: promote another line, or publish another snapshot")
        name = read_current(root, line)
        path = pointer_path(root, line)
        path.unlink()
        sync_folder(path.parent)
        log_event(root, "retired", name, **named_line(line))
        return name
