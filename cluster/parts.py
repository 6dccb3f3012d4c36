"""What workers leave behind while a job runs: one file for each batch of photos, in storage that all machines reach.

A part is named by its own bytes, is there whole or not at all, and says what it is. When a worker or the driver dies,
the next run takes over the parts it finds; when the embedding store has them, they are removed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from database.errors import StoreFull, StoreUnavailable
from database.field.photo_files import PhotoFiles
from indexer.embedding.embeddings import STORED
from retrieval.errors import ClusterError, UnknownPhoto

FORMAT = "fungarium-part-1"


@dataclass(frozen=True, slots=True)
class ShardPart:
    """What became of a batch: the rows of the photos that were embedded, the reasons of those that cannot be."""

    made_with: str  # model and views, as the embedding store is named
    photos: tuple[str, ...]
    rows: NDArray[np.float16]  # (photos, width)
    failures: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """A line of JSON, then the rows: the same part is the same bytes."""
        head = {
            "format": FORMAT,
            "made_with": self.made_with,
            "width": int(self.rows.shape[1]),
            "photos": self.photos,
            "failures": dict(sorted(self.failures.items())),
        }
        return json.dumps(head, sort_keys=True).encode() + b"\n" + self.rows.astype(STORED).tobytes()


def decode_part(content: bytes) -> ShardPart:
    """Read a part; raises ValueError for what is none."""
    line, _, rest = content.partition(b"\n")
    head = json.loads(line)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise ValueError("this is no part of an embedding job")
    photos = tuple(head["photos"])
    rows = np.frombuffer(rest, dtype=STORED).reshape(len(photos), head["width"])
    return ShardPart(head["made_with"], photos, rows, head["failures"])


class PartFiles:
    """The parts at an address: a folder, or one of fsspec's such as `s3://BUCKET/PREFIX`.

    Raises ClusterError, with a sentence for whoever runs the job, where the storage is full or cannot be used.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        try:
            self._files = PhotoFiles(address)
        except StoreUnavailable as error:
            raise ClusterError(f"the cluster's results cannot be kept: {error}") from error

    def put(self, content: bytes) -> str:
        """Keep some bytes; return their name."""
        try:
            return self._files.put(content)
        except StoreFull as error:
            raise ClusterError(
                f"there is no room at {self.address} for what was embedded: make some and run the command again"
            ) from error
        except (StoreUnavailable, OSError) as error:
            raise self._unusable(error) from error

    def has(self, name: str) -> bool:
        """Whether this machine sees what another put there."""
        try:
            return self._files.has(name)
        except (StoreUnavailable, OSError) as error:
            raise self._unusable(error) from error

    def remove(self, name: str) -> None:
        """Remove one. Safe to do twice."""
        try:
            self._files.remove(name)
        except (StoreUnavailable, OSError) as error:
            raise self._unusable(error) from error

    def found(self, made_with: str) -> Iterator[tuple[str, ShardPart]]:
        """The whole parts there are of a model; what was damaged or is of another kind is passed over."""
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

    def _unusable(self, error: Exception) -> ClusterError:
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        reason = getattr(cause, "strerror", None) or type(cause).__name__
        return ClusterError(
            f"the cluster's results cannot be kept at {self.address} ({reason}):"
            " name storage that every machine may write, with FUNGARIUM_CLUSTER_STORAGE"
        )
