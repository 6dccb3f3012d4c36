"""Describes the machine of a benchmark, and measures the speed-up of a second thread on it."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import faiss
import numpy as np


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
