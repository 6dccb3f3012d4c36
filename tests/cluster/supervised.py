"""A model that records its progress in a folder and waits for permission to go on: jobs can be killed at any point."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embeddings, View

MODEL = Descriptor().model
PATIENCE = 60.0  # seconds until what does not come is given up


class Watched(Descriptor):
    """The descriptor; each batch waits until `allowed` in the folder is more than have begun."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def embed(self, views: Sequence[View]) -> Embeddings:
        wait_for(self._begin)
        return super().embed(views)

    def _begin(self) -> bool:
        with locked(self._folder):
            if len(begun(self._folder)) >= int((self._folder / "allowed").read_text()):
                return False
            note(self._folder / "begun")
            return True


def open_watched(folder: Path, *, threads: int = 0) -> Watched:
    return Watched(folder)


class OnCuda(Descriptor):
    """The descriptor, which claims a graphics card and notes in which process it infers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def card(self) -> Mapping[str, Any]:
        return {**super().card, "runtime": "onnxruntime cuda"}

    def embed(self, views: Sequence[View]) -> Embeddings:
        note(self._folder / "inferred")
        return super().embed(views)


def open_on_cuda(folder: Path, *, threads: int = 0) -> OnCuda:
    return OnCuda(folder)


def read_noted(path: Path, log: Path) -> bytes:
    """Read a photo and note in which process."""
    note(log)
    return path.read_bytes()


def note(log: Path) -> None:
    """Write down in which process this is."""
    with log.open("a") as lines:
        lines.write(f"{os.getpid()}\n")


def begun(folder: Path) -> list[int]:
    """The process of each batch that has begun."""
    log = folder / "begun"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def allow(folder: Path, batches: int) -> None:
    """Let so many batches begin."""
    folder.mkdir(exist_ok=True)
    with locked(folder):
        (folder / "allowed").write_text(str(batches))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Alone with the folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wait_for(condition: Callable[[], object]) -> None:
    """Ask until it is so."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("what was waited for did not come")
        time.sleep(0.01)


def main(address: str, folder: Path) -> None:
    """Be the driver of a job over the photos below `folder`."""
    from cluster.connection import connect
    from cluster.embedding import BulkRun, embed_on_cluster
    from indexer.embedding.embeddings import EmbeddingStore
    from tests.cluster.test_embedding import photos_below

    connect(address, timeout=PATIENCE)
    with EmbeddingStore(folder / "there", MODEL) as store:
        opener = partial(open_watched, folder / "watch")
        embed_on_cluster(photos_below(folder / "photos"), store, Descriptor(), opener, BulkRun(str(folder / "parts")))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
