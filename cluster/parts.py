"""Checkpoints of an embedding job: one file for each batch of photos, in storage that all machines can reach.

A part is named after the digest of its content, is written atomically, and describes itself. If a worker or the driver
dies, the next run collects the parts it finds; once their rows are in the embedding store, parts are removed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from database.errors import StoreFull, StoreUnavailable
from database.field.photo_files import PhotoFiles
from indexer.embedding.embeddings import STORED
from retrieval.errors import ClusterError, UnknownPhoto

FORMAT = "fungarium-part-1"
STALE = 3600  # seconds after which nobody is still writing a file


@dataclass(frozen=True, slots=True)
class ShardPart:
    """The result of one batch: rows of the embedded photos, and reasons why others cannot be embedded."""

    made_with: str  # model and views, the name of the embedding store
    photos: tuple[str, ...]
    rows: NDArray[np.float16]  # (photos, width)
    failures: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Serialise as a line of JSON followed by the rows; equal parts give equal bytes."""
        head = {
            "format": FORMAT,
            "made_with": self.made_with,
            "width": int(self.rows.shape[1]),
            "photos": self.photos,
            "failures": dict(sorted(self.failures.items())),
        }
        return json.dumps(head, sort_keys=True).encode() + b"\n" + self.rows.astype(STORED).tobytes()


def decode_part(content: bytes) -> ShardPart:
    """Parse a part; raises ValueError if the content is not one."""
    line, _, rest = content.partition(b"\n")
    head = json.loads(line)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ValueError("this is not a part of an embedding job")
    photos = tuple(head["photos"])
    rows = np.frombuffer(rest, dtype=STORED).reshape(len(photos), head["width"])
    return ShardPart(head["made_with"], photos, rows, head["failures"])


class PartFiles:
    """Parts stored at an address: a folder, or an fsspec URL such as `s3://BUCKET/PREFIX`.

    Methods raise ClusterError if the storage is full or cannot be used.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            self._files = PhotoFiles(address)
        except StoreUnavailable as error:
            raise ClusterError(f"the cluster's results cannot be stored: {error}") from error

    def put(self, content: bytes) -> str:
        """Store some bytes and return their name."""
        try:
            return self._files.put(content)
        except StoreFull as error:
            raise ClusterError(
                f"the storage at {self.address} is full: free some space and run the command again"
            ) from error
        except (StoreUnavailable, OSError) as error:
            raise self._unusable(error) from error

    def has(self, name: str) -> bool:
        """Whether this machine sees a file that another one stored."""
        try:
            return self._files.has(name)
        except (StoreUnavailable, OSError) as error:
            raise self._unusable(error) from error

    def remove(self, name: str) -> None:
        """Remove a file. Idempotent."""
        try:
            self._files.remove(name)
        except (StoreUnavailable, OSError) as error:
            raise self._unusable(error) from error

    def found(self, made_with: str) -> Iterator[tuple[str, ShardPart]]:
        """Yield the intact parts of a model with their names; damaged and foreign files are skipped."""
        self._remove_unfinished()
        try:
            names = [name for name, _ in self._files.everything()]
        except OSError as error:
            raise self._unusable(error) from error
        for name in names:
            try:
                part = decode_part(self._files.get(name))
            except (UnknownPhoto, ValueError, KeyError):
                continue
            except StoreUnavailable as error:
                raise self._unusable(error) from error
            if part.made_with == made_with:
                yield name, part

    def _remove_unfinished(self) -> None:
        """Remove what workers left that were killed while they wrote, and nothing that may still be written."""
        for path in self._files.folder.rglob(".unfinished-*") if self._files.folder else ():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE:
                    path.unlink()

    def _unusable(self, error: Exception) -> ClusterError:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = getattr(cause, "strerror", None) or type(cause).__name__
        return ClusterError(
            f"the cluster's results cannot be stored at {self.address} ({reason}):"
            " set FUNGARIUM_CLUSTER_STORAGE to storage that every machine can write to"
        )
