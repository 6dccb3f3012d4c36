"""A server on a cluster: /healthz, /metrics and answers if shards do not respond."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from cluster.messages import ShardState
from cluster.serving import ReplicaStatus
from cluster.supervisor import ShardPlan
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embedder
from retrieval.snapshots.snapshot import Snapshot
from settings import Settings
from tests.cluster.shards import Routed, routed
from tests.snapshots import MUSCARIA, draw_photo, make_snapshot
from tests.web.conftest import LIMITS, HeldPhotos, encode_photos
from web.application import create_app
from web.inference.backend import SearchBackend
from web.inference.cluster import NOWHERE, ClusterSearch
from web.inference.snapshot import Published
from web.services import Services, make_services


@dataclass
class FakeCluster:
    """A connected cluster with the status that a test gives it."""

    found: list[ReplicaStatus]

    def status(self) -> list[ReplicaStatus]:
        return self.found


def make_status(
    shard: int, replica: int, *, alive: bool = True, snapshot: str = "0123456789abcdef", node: str = ""
) -> ReplicaStatus:
    state = ShardState(shard, replica, node or f"node-{replica}", (snapshot,), 77, 1_000)
    return ReplicaStatus(shard, replica, alive, state if alive else None)


@dataclass
class Served:
    """The application, whose snapshot is searched on two shards in threads of this process."""

    app: Flask
    routed: Routed
    cluster: FakeCluster


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = make_snapshot(tmp_path)
    snapshot = made.open()
    cluster_search = ClusterSearch("local", ShardPlan(str(tmp_path), 2, 2), 5.0)
    with routed(tmp_path, snapshot, snapshot, shards=2) as held:
        name = made.manifest.name
        cluster = FakeCluster([make_status(n, replica, snapshot=name) for n in range(2) for replica in range(2)])
        cluster_search._cluster = cluster  # type: ignore[assignment] # stands where it would
        embedder: Embedder = Descriptor()

        def adopt(opened: Snapshot) -> None:
            opened.shelf.searcher = held.router

        app = create_app(
            Services(
                Published(tmp_path, adopt, patience=0),
                lambda: embedder,
                HeldPhotos(made.photos),
                LIMITS,
                backend=SearchBackend(cluster_search),
            )
        )
        yield Served(app, held, cluster)
        app.extensions["services"].published.close()
    snapshot.close()


def identify(served: Served, **form: Any) -> tuple[int, dict[str, Any]]:
    answer = served.app.test_client().post("/api/v1/identify", **encode_photos([draw_photo(MUSCARIA, 9)], **form))
    return answer.status_code, answer.json or {}


def test_all_is_well(served: Served) -> None:
    health = served.app.test_client().get("/healthz").get_json()

    assert (health["status"], health["detail"]) == ("ok", "")
    assert health["index"] == "cluster: 2 parts, 4 of 4 processes alive"
    assert [[r["alive"] for r in part["replicas"]] for part in health["cluster"]] == [[True, True]] * 2
    assert health["cluster"][0]["replicas"][1]["node"] == "node-1"
    assert identify(served)[0] == 200


def test_missing_processes_are_told(served: Served) -> None:
    served.cluster.found[2:] = [make_status(1, 0, alive=False), make_status(1, 1, alive=False)]

    answer = served.app.test_client().get("/healthz")

    assert answer.status_code == 200  # it answers for the other part
    assert answer.get_json()["status"] == "degraded"
    assert answer.get_json()["detail"] == (
        "2 of 4 replicas of the cluster do not respond; no replica of shard 1 responds."
    )
    assert answer.get_json()["cluster"][1]["replicas"][0] == {"replica": 0, "alive": False}


def test_where_every_process_is_missing_the_server_is_unavailable(served: Served) -> None:
    served.cluster.found[:] = [make_status(shard, 0, alive=False) for shard in range(2)]

    answer = served.app.test_client().get("/healthz")

    assert answer.status_code == 503
    assert answer.get_json()["status"] == "unavailable"
    assert "no replica of shard 0, 1 responds" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({"alive": False}, "degraded", "1 of 2 replicas have the published snapshot open"),
        ({"snapshot": "fedcba9876543210"}, "degraded", "1 of 2 replicas have the published snapshot open"),
        ({"node": "node-0"}, "degraded", "all replicas run on node-0"),
    ],
)
def test_a_shard_that_lacks_a_replica_is_told_while_it_answers(
    served: Served, change: dict[str, Any], state: str, words: str
) -> None:
    name = served.routed.snapshot.name
    served.cluster.found[3] = make_status(1, 1, **({"snapshot": name} | change))

    answer = served.app.test_client().get("/readyz")

    shown = {check["name"]: check for check in answer.get_json()["checks"]}
    assert answer.status_code == 200
    assert (shown["shard 0"]["state"], shown["shard 1"]["state"]) == ("ok", state)
    assert words in shown["shard 1"]["detail"]


def test_a_shard_whose_replicas_have_not_opened_the_snapshot_is_not_ready_although_they_respond(served: Served) -> None:
    served.cluster.found[2:] = [make_status(1, replica, snapshot="fedcba9876543210") for replica in range(2)]

    answer = served.app.test_client().get("/readyz")

    assert answer.status_code == 503
    assert {check["name"]: check["detail"] for check in answer.get_json()["checks"]}["shard 1"] == (
        "2 of 2 replicas respond, and none has opened the published snapshot"
    )


def test_without_a_part_the_answer_is_a_503_in_words(served: Served) -> None:
    served.routed.replicas[1][0].failing = True

    status, problem = identify(served)

    assert status == 503
    assert problem["type"].endswith("#part-unavailable")
    assert "partial=true" in problem["detail"]
    assert "1/0" not in problem["detail"]  # names of the cluster's processes are nobody's business


def test_or_an_answer_that_names_what_was_not_searched(served: Served) -> None:
    served.routed.replicas[1][0].failing = True
    placement = served.routed.placement

    status, answer = identify(served, partial="true")

    assert status == 200
    lost = placement.species[placement.shard == 1].tolist()
    genera = {
        line.name for species in lost for line in served.routed.single.taxonomy.lineage(species) if line.rank == "genus"
    }
    assert answer["notSearched"]["parts"] == [1]
    assert answer["notSearched"]["species"] == len(lost)
    assert answer["notSearched"]["references"] == 6 * len(lost)
    assert answer["notSearched"]["genera"] == sorted(genera)
    named = {candidate["taxon"]["taxonID"] for candidate in answer["species"] if candidate["evidence"]}
    assert not named & set(lost)


def test_a_partial_answer_is_not_kept(served: Served) -> None:
    served.routed.replicas[1][0].failing = True
    identify(served, partial="true")
    served.routed.replicas[1][0].failing = False

    answer = identify(served, partial="true")[1]

    assert "notSearched" not in answer
    assert {**answer, "snapshot": ""} == {**identify(served)[1], "snapshot": ""}


def test_similar_photos_say_it_too(served: Served) -> None:
    served.routed.replicas[0][0].failing = True
    client = served.app.test_client()
    photo = [draw_photo(MUSCARIA, 9)]

    whole = client.post("/api/v1/similar", **encode_photos(photo))
    some = client.post("/api/v1/similar", **encode_photos(photo, partial="true"))

    assert whole.status_code == 503
    assert some.get_json()["notSearched"]["parts"] == [0]


def test_calls_and_replicas_are_counted(served: Served) -> None:
    cluster_search = served.app.extensions["services"].backend.cluster

    cluster_search._record_call(1, "answered")
    cluster_search._record_search(1, 2)
    cluster_search._record_status([make_status(0, 0), make_status(0, 1, alive=False)])

    text = served.app.test_client().get("/metrics").text
    assert 'fungarium_shard_calls_total{outcome="answered",part="1"} 1.0' in text
    assert 'fungarium_shards_asked_bucket{le="0.5"} 1.0' in text
    assert 'fungarium_shard_replicas_alive{part="0"} 1.0' in text


def test_the_setting_chooses_and_nothing_is_reached_before_it_is_needed(tmp_path: Path) -> None:
    alone = Settings(data=tmp_path, flora_indexes=tmp_path)

    without, with_it = (make_services(given) for given in (alone, replace(alone, cluster="10.255.0.1:6379", shards=5)))

    assert without.backend.cluster is None
    assert with_it.backend.cluster is not None
    assert with_it.backend.cluster.plan == ShardPlan(str(tmp_path), 5, 2)
    assert with_it.backend.description == NOWHERE
