"""The log of built, published and rolled-back snapshots."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from retrieval.snapshots.manifest import STABLE

HISTORY = "HISTORY.jsonl"
BUILT, GROWN, CALIBRATED = "built", "grown", "calibrated"  # how a snapshot was made from the one published then


def log_event(root: Path, event: str, snapshot: str, **more: str) -> None:
    """Append a line to the history atomically."""
    time = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps({"time": time, "event": event, "snapshot": snapshot, **more})
    path = root / HISTORY
    cut_off = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
    with path.open("a", encoding="utf-8") as history:
        history.write("\n" * cut_off + line + "\n")  # not behind half a line, with which it would be passed over
        history.flush()
        os.fsync(history.fileno())


def log_built(root: Path, snapshot: str, parent: str | None, change: str) -> None:
    """Record that a snapshot was built, and how it was made from another one, if any."""
    log_event(root, "built", snapshot, **({"parent": parent, "change": change} if parent else {}))


def read_history(root: Path, line: str = "") -> list[dict[str, str]]:
    """Return all events, oldest first; a line of the file that a power failure cut off is ignored.

    With the name of a published line, only what was built, and what was published as that line.
    """
    try:
        rows = (root / HISTORY).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    events = []
    for row in rows:
        try:
            events.append(json.loads(row))
        except ValueError:
            continue
    if line:
        return [event for event in events if event["event"] == "built" or event.get("line", STABLE) == line]
    return events
