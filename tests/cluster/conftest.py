"""A Ray cluster of three nodes on this machine, one processor each, for all tests that need one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cluster.connection import connect, disconnect, load_ray
from retrieval.errors import ClusterError

OBJECTS = 80_000_000  # bytes of a node's object store, the least that Ray takes
HASTY = {  # a dead node is noticed in seconds, as docs/scale.md has it
    "health_check_initial_delay_ms": 1_000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1_000,
    "health_check_failure_threshold": 3,
}


@dataclass
class Nodes:
    """The cluster, and nodes that come and go."""

    cluster: Any
    address: str
    ray: Any
    names: list[str] = field(default_factory=list)

    def add(self, **resources: float) -> Any:
        """Another node with one processor."""
        return self.cluster.add_node(num_cpus=1, object_store_memory=OBJECTS, resources=resources)

    def kill(self, node: Any) -> None:
        """As when somebody pulls the plug: nothing is said to anybody."""
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """Skipped where Ray is not installed. No process of it survives."""
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # nothing is written to anybody's home
    try:
        load_ray()
    except ClusterError:
        pytest.skip("Ray is not installed")
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        head = {"include_dashboard": False, "_system_config": HASTY}
        cluster.add_node(num_cpus=1, object_store_memory=OBJECTS, **head)
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=OBJECTS)
        yield Nodes(cluster, cluster.address, connect(cluster.address))
    finally:
        disconnect()
        cluster.shutdown()


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for snapshots."""
    return tmp_path_factory.mktemp("flora_indexes")


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait for something to become true, as long as a slow machine may take."""
    import time

    def wait(true: Callable[[], bool]) -> None:
        ends = time.monotonic() + 60
        while not true():
            assert time.monotonic() < ends, "it did not come"
            time.sleep(0.05)

    return wait
