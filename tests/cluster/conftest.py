"""One Ray cluster for all tests that need one: three nodes of one core each, little memory, no dashboard."""

from __future__ import annotations

import os
import secrets
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cluster.connection import connect, disconnect, load_ray
from tests.ports import free_port

os.environ.setdefault("RAY_AUTH_MODE", "token")  # both are read by Ray when it is loaded, by whichever test
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # nothing is written to anybody's home

OBJECTS = 80_000_000  # bytes of a node's object store
HASTY = {  # a dead node is noticed in seconds, as docs/scale.md has it
    "health_check_initial_delay_ms": 1_000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1_000,
    "health_check_failure_threshold": 3,
}


@dataclass
class Machines:
    """The cluster that this process is connected to, and nodes that come and go."""

    cluster: Any
    address: str
    ray: Any

    def add(self, **resources: float) -> Any:
        """Another node with one processor."""
        with finding_us():
            return self.cluster.add_node(num_cpus=1, object_store_memory=OBJECTS, resources=resources)

    def kill(self, node: Any) -> None:
        """As when somebody pulls the plug: nothing is said to anybody."""
        self.cluster.remove_node(node, allow_graceful=False)


@contextmanager
def finding_us() -> Iterator[None]:
    """Nodes started meanwhile find this project, as docs/scale.md has it, whoever asks them from wherever."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
        yield


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
    with finding_us(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray leaves the logs of its server for those outside open
        cluster = Cluster(initialize_head=True, head_node_args=options | outside | {"_system_config": HASTY})
        for _ in range(2):
            cluster.add_node(**options)
    try:
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


@pytest.fixture(scope="module")
def machines(nodes: Any) -> Machines:
    """The same cluster, connected to, and its nodes."""
    return Machines(nodes, nodes.address, connect(nodes.address))


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for snapshots."""
    return tmp_path_factory.mktemp("flora_indexes")


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for something to become true, as long as a slow machine may take."""

    def wait(true: Callable[[], bool], seconds: float = 60) -> None:
        ends = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < ends, "it did not come"
            time.sleep(0.01)

    return wait
