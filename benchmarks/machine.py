"""What figures were taken on, and what a second thread was worth there."""

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
    """What the figures were taken on."""
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
    """What a second thread is worth on this machine while others use it, of 2.

    Hashing shares nothing but the processors; going through 400 MB shares the memory as well, as a search does.
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
