"""One Ray cluster for all tests that need one: three nodes of one core each, little memory, no dashboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.connection import connect, disconnect, load_ray

OBJECTS = 80_000_000  # bytes of a node's object store


@pytest.fixture(scope="session")
def nodes() -> Iterator[Any]:
    """The cluster, to add and remove nodes; nothing is connected to it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    load_ray()
    from ray.cluster_utils import Cluster

    options = {
        "num_cpus": 1,
        "object_store_memory": OBJECTS,
        "include_dashboard": False,
    }
    cluster = Cluster(initialize_head=True, head_node_args=options)
    try:
        for _ in range(2):
            cluster.add_node(**options)
        yield cluster
    finally:
        disconnect()
        cluster.shutdown()


@pytest.fixture(scope="session")
def cluster(nodes: Any) -> str:
    """The address of the cluster; this process is connected to it."""
    connect(nodes.address)
    return str(nodes.address)
