"""One Ray cluster for all tests that need one: three nodes of one core each, little memory, no dashboard."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.connection import connect, disconnect, load_ray

OBJECTS = 80_000_000  # bytes of a node's object store


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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
    outside = {"ray_client_server_port": free_port()}  # for those who are no part of the cluster
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray leaves the logs of its server for those outside open
        cluster = Cluster(initialize_head=True, head_node_args=options | outside)
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


@pytest.fixture(scope="session")
def from_outside(nodes: Any) -> str:
    """The address of the cluster for a process that is no part of it."""
    return f"ray://127.0.0.1:{nodes.head_node._ray_params.ray_client_server_port}"
