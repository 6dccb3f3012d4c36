"""Describes the machine of a benchmark, and measures the speed-up of a second thread on it."""

from __future__ import annotations

import hashlib
import os
import platform
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import faiss
import numpy as np

OFTEN = 0.01  # seconds between two samples of memory


def describe_machine() -> dict[str, str]:
    """Describe the machine and the versions of packages."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    packages = {}
    for package in ("faiss-cpu", "numpy", "scann", "usearch", "hnswlib", "milvus-lite"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "cpu": cpus[0].split(":")[1].strip(),
        "cores": str(len(cpus)),
        "load": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "python": platform.python_version(),
        "faiss": faiss.get_compile_options().strip(),
        **packages,
    }


def second_thread() -> dict[str, float]:
    """Measure the speed-up of a second thread under the present load, at most 2.

    Hashing only shares the processors; reading 400 MB also shares memory bandwidth, as a search does.
    """
    block, rows = bytes(40_000_000), np.ones(50_000_000)

    def gain(work: Callable[[], object]) -> float:
        gains = []
        for _ in range(7):
            started = time.perf_counter()
            work()
            between = time.perf_counter()
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda _: work(), range(2)))
            gains.append(2 * (between - started) / (time.perf_counter() - between))
        return float(np.median(gains))

    return {"hashing": gain(lambda: hashlib.sha256(block).digest()), "reading": gain(rows.max)}


def memory_of(process: int) -> tuple[int, int]:
    """Return a process's current private memory and its peak resident memory, in bytes."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    held = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("RssAnon", "VmHWM"))}
    return 1024 * int(held.get("RssAnon", 0)), 1024 * int(held.get("VmHWM", 0))


class PeakMemory:
    """Samples the private memory of this process (RssAnon) while a block runs.

    Pages of mapped files, which the system can reclaim, are in `resident` only.
    """

    def __init__(self) -> None:
        self.private, self.resident = 0, 0  # bytes, at most
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> PeakMemory:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(OFTEN):
            private, self.resident = memory_of(os.getpid())
            self.private = max(self.private, private)
