"""Memory and answers of a server while clients send photos made to cost time and memory.

    python -m benchmarks.server.hostile_photos [--seconds 60] [--clients 8] [--json FILE]

One worker with its default settings. Each bomb of `benchmarks.server.bombs` is sent by all clients for a while, as an
identification; meanwhile an ordinary find is identified once a second. Targets: the worker with its decoders stays
below 600 MB, and every ordinary answer comes within its deadline of 30 s.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.server.bombs import BOMBS
from benchmarks.server.load import ask, serving
from tests.ports import free_port
from tests.snapshots import MUSCARIA, draw_photo, make_snapshot

MOST_BYTES = 600_000_000  # of a worker
DEADLINE = 30.0  # seconds
EVERY = 0.1  # seconds between two looks at memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.server.hostile_photos",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=60, help="for each bomb (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="at once (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write the report to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        make_snapshot(Path(folder) / "flora_indexes")
        rows = [attack(Path(folder), name, options) for name in BOMBS]
    kept = all(
        row["with_decoders"] < MOST_BYTES and row["slowest_answer"] < DEADLINE and not row["ordinary_refused"]
        for row in rows
    )
    report = {"machine": describe_machine(), "clients": options.clients, "seconds": options.seconds, "bombs": rows}
    if options.json:
        options.json.write_text(json.dumps(report | {"kept": kept}, indent=1) + "\n", encoding="utf-8")
    return 0 if kept else 1


def attack(folder: Path, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Send one bomb to a fresh server; returns memory (bytes), statuses, and the slowest ordinary answer (s)."""
    settings = {"FUNGARIUM_WORKERS": "1", "FUNGARIUM_DATA": str(folder / "data")}
    plain = argparse.Namespace(model="descriptor", card=None, apart=False)
    with serving(folder / "flora_indexes", plain, free_port(), settings) as server:
        ask(server, draw_photo(MUSCARIA, 7), 1, requests=2)
        (worker,) = children(server[1])
        stop = threading.Event()
        seen: list[tuple[int, int]] = []
        watcher = threading.Thread(target=watch, args=(worker, seen, stop))
        watcher.start()
        before = memory(worker)
        with ThreadPoolExecutor(2) as pool:
            attacks = pool.submit(ask, server, BOMBS[name](), options.clients, seconds=options.seconds)
            slowest, refused = 0.0, 0
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                find = ask(server, draw_photo(MUSCARIA, 8), 1, requests=1)
                slowest = max([slowest, *find.seconds])
                refused += find.statuses.total() - find.statuses[200] + find.broken
                time.sleep(1)
            answers = attacks.result()
        stop.set()
        watcher.join()
        after = memory(worker)
    row = {
        "bomb": name,
        "worker_before": before,
        "worker_bytes": max(one for one, _ in seen),
        "with_decoders": max(both for _, both in seen),
        "worker_after": after,
        "statuses": dict(answers.statuses),
        "broken": answers.broken,
        "slowest_answer": round(slowest, 2),
        "ordinary_refused": refused,
    }
    print(json.dumps(row), flush=True)
    return row


def watch(worker: int, seen: list[tuple[int, int]], stop: threading.Event) -> None:
    """Note memory of the worker, and of it with its decoders, until `stop`."""
    while not stop.wait(EVERY):
        own = memory(worker)
        seen.append((own, own + sum(map(memory, children(worker)))))


def memory(process: int) -> int:
    """Return the resident memory of a process, in bytes; 0 where it has ended."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def children(process: int) -> list[int]:
    """Return the processes that a process has started, by any of its threads."""
    found: list[int] = []
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, file.read_text(encoding="ascii").split())
    return found


if __name__ == "__main__":
    sys.exit(main())
