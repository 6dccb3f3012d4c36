"""The search backend: this machine's CPU or GPUs, or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from retrieval.devices.accelerator import Accelerator
from retrieval.devices.faiss_gpu import open_accelerator
from retrieval.snapshots.snapshot import Snapshot
from web.inference.cluster import ClusterSearch


def no_accelerator() -> Accelerator | None:
    """Use no GPUs."""
    return None


class SearchBackend:
    """Takes over a snapshot when it is opened, and describes what searches it."""

    def __init__(
        self, cluster: ClusterSearch | None = None, accelerator: Callable[[], Accelerator | None] = no_accelerator
    ) -> None:
        """`accelerator` detects GPUs when the first snapshot is opened, in the worker."""
        self.cluster = cluster
        self._open_accelerator = accelerator

    @cached_property
    def _accelerator(self) -> Accelerator | None:
        return self._open_accelerator()

    def adopt(self, snapshot: Snapshot) -> None:
        """Search a snapshot on this backend; raises ClusterError if the cluster fails."""
        if self.cluster is not None:
            self.cluster.adopt(snapshot)
        else:
            snapshot.shelf.accelerator = self._accelerator

    @property
    def description(self) -> str:
        """A description for people and `/healthz`: what floras are searched on, and why if not on a GPU."""
        if self.cluster is not None:
            return self.cluster.description
        return "cpu" if self._accelerator is None else self._accelerator.description


def use_gpus(keeps: str, megabytes: int) -> Callable[[], Accelerator | None]:
    """Return the function that opens the GPUs with a memory budget; `keeps` is the setting, floras or lists."""
    return lambda: open_accelerator(keeps, 1_000_000 * megabytes)
