"""Checks of what a server needs to do its work, for `/readyz`, `/healthz` and the metrics, which so agree.

A check is `unavailable` if requests fail, and `degraded` if they are answered while something needs attention.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from database.errors import NoDatabase
from retrieval.errors import FungariumError
from web.http.errors import public_message
from web.services import Services, no_database

if TYPE_CHECKING:
    from web.inference.cluster import ClusterSearch

OK: Final = "ok"
DEGRADED: Final = "degraded"
UNAVAILABLE: Final = "unavailable"
NEARLY_FULL: Final = 200_000_000  # bytes left on a disk, below which uploads, exports and publications fail soon


@dataclass(frozen=True, slots=True)
class Check:
    """The state of one thing that the server needs, and why it is not `ok`."""

    name: str
    state: str = OK
    detail: str = ""


def run_checks(services: Services) -> list[Check]:
    """Check everything that the server is set up to use; takes milliseconds."""
    checks = [check_snapshot(services), check_model(services)]
    if services.database is not no_database:
        checks += [check_database(services), check_counts(services)]
    if services.flora_indexes is not None:
        checks.append(check_disk(services))
    if services.backend.cluster is not None:
        checks += check_shards(services.backend.cluster, current_name(services))
    return checks


def is_ready(checks: Sequence[Check]) -> bool:
    """Return whether requests can be answered."""
    return all(check.state != UNAVAILABLE for check in checks)


def check_snapshot(services: Services) -> Check:
    """Check that the published snapshot is open."""
    health = services.published.health()
    return Check("snapshot", OK if health.status == OK else worst(health.status), health.detail)


def worst(status: str) -> str:
    """Return the state for a status of a snapshot: one that is still being opened answers nobody."""
    return DEGRADED if status == DEGRADED else UNAVAILABLE


def check_model(services: Services) -> Check:
    """Check that the model can be opened."""
    return attempt("model", services.embedder)


def check_database(services: Services) -> Check:
    """Check that the database can be read and has this version's tables; before the first import there is none."""
    return attempt("database", lambda: services.database().check(), missing=NoDatabase)


def check_counts(services: Services) -> Check:
    """Check that usage is counted for all servers together, if it is meant to be."""
    if services.counts.is_shared():
        return Check("counts")
    return Check("counts", DEGRADED, "Redis does not respond; each process counts quotas by itself until it does")


def check_disk(services: Services) -> Check:
    """Check that there is room for uploads, exports and the next snapshot."""
    if services.flora_indexes is None or not services.flora_indexes.exists():
        return Check("disk")
    free = shutil.disk_usage(services.flora_indexes).free
    if free >= NEARLY_FULL:
        return Check("disk")
    return Check("disk", DEGRADED, f"{free // 1_000_000} MB are left on the disk of the snapshots; make room")


def check_shards(cluster: ClusterSearch, snapshot: str) -> Iterator[Check]:
    """Check each shard: a replica of it has the snapshot open, all respond, and not all on one machine."""
    status = cluster.status()
    for shard in sorted({replica.shard for replica in status}):
        own = [replica for replica in status if replica.shard == shard]
        opened = [
            replica
            for replica in own
            if replica.state is not None and any(name.startswith(snapshot) for name in replica.state.snapshots)
        ]
        nodes = {replica.state.node for replica in opened if replica.state is not None}
        name = f"shard {shard}"
        if not opened:
            answering = sum(replica.alive for replica in own)
            detail = f"{answering} of {len(own)} replicas respond, and none has opened the published snapshot"
            yield Check(name, UNAVAILABLE, detail)
        elif len(opened) < len(own):
            yield Check(name, DEGRADED, f"{len(opened)} of {len(own)} replicas have the published snapshot open")
        elif len(own) > 1 and len(nodes) == 1:
            detail = f"all replicas run on {nodes.pop()}; add a machine, and run `fungarium cluster start`"
            yield Check(name, DEGRADED, detail)
        else:
            yield Check(name)


def current_name(services: Services) -> str:
    """Return the name of the open snapshot; empty if none is open."""
    snapshot = services.published.health().snapshot
    return snapshot.name if snapshot is not None else ""


def attempt(name: str, action: Callable[[], object], *, missing: type[FungariumError] | None = None) -> Check:
    """Return whether an action succeeds; an error of the type `missing` says that there is nothing to check."""
    try:
        action()
    except FungariumError as error:
        if missing is not None and isinstance(error, missing):
            return Check(name)
        return Check(name, UNAVAILABLE, public_message(error))
    return Check(name)
