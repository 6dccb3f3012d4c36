"""The Kubernetes manifests are well formed and match the program. They have not been run on Kubernetes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settings import PREFIX, read_settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deployment" / "kubernetes"
KINDS = {
    "cluster.yaml": ["PersistentVolumeClaim", "RayCluster"],
    "server.yaml": ["Deployment", "Service", "PodDisruptionBudget"],
    "embed.yaml": ["Job"],
}


@pytest.fixture(scope="module")
def documents() -> dict[str, list[Any]]:
    yaml = pytest.importorskip("yaml", reason="PyYAML, which Ray brings, is not installed")
    return {name: list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8"))) for name in KINDS}


def pods(documents: dict[str, list[Any]]) -> Iterator[Any]:
    """The specification of each kind of pod."""
    _, cluster = documents["cluster.yaml"]
    yield cluster["spec"]["headGroupSpec"]["template"]["spec"]
    yield from (group["template"]["spec"] for group in cluster["spec"]["workerGroupSpecs"])
    yield documents["server.yaml"][0]["spec"]["template"]["spec"]
    yield documents["embed.yaml"][0]["spec"]["template"]["spec"]


def variables(pod: Any) -> dict[str, str]:
    (container,) = pod["containers"]
    return {variable["name"]: str(variable.get("value", "")) for variable in container["env"]}


def test_each_file_holds_what_it_should(documents: dict[str, list[Any]]) -> None:
    assert {name: [document["kind"] for document in found] for name, found in documents.items()} == KINDS


def test_every_pod_has_the_volume_at_the_same_path_and_settings_that_there_are(documents: dict[str, list[Any]]) -> None:
    claim = documents["cluster.yaml"][0]
    for pod in pods(documents):
        (container,) = pod["containers"]
        assert container["volumeMounts"] == [{"name": "fungarium", "mountPath": "/var/lib/fungarium"}]
        assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
        assert container["image"].startswith("registry.example.org/fungarium-ray:1")
        read_settings({name: value for name, value in variables(pod).items() if name.startswith(PREFIX)})
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_servers_and_jobs_reach_the_head_of_the_cluster_with_its_token(documents: dict[str, list[Any]]) -> None:
    name = documents["cluster.yaml"][1]["metadata"]["name"]
    *_, server, job = pods(documents)

    for pod in (server, job):
        assert variables(pod)["FUNGARIUM_CLUSTER"] == f"ray://{name}-head-svc:10001"
        token = next(variable for variable in pod["containers"][0]["env"] if variable["name"] == "RAY_AUTH_TOKEN")
        assert token["valueFrom"]["secretKeyRef"] == {"name": name, "key": "auth_token"}
    assert documents["cluster.yaml"][1]["spec"]["authOptions"] == {"mode": "token"}


def test_a_drain_takes_one_of_the_machines_that_hold_shards(documents: dict[str, list[Any]]) -> None:
    cluster, budget = documents["cluster.yaml"][1], documents["server.yaml"][2]
    group = cluster["spec"]["workerGroupSpecs"][0]

    labels = {"ray.io/cluster": cluster["metadata"]["name"], "ray.io/group": group["groupName"]}
    apart = group["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert (budget["spec"]["maxUnavailable"], budget["spec"]["selector"]["matchLabels"]) == (1, labels)
    assert apart[0]["labelSelector"]["matchLabels"] == labels


def test_ray_is_of_one_version_everywhere(documents: dict[str, list[Any]]) -> None:
    (pinned,) = re.findall(r"^ray\[.*\]==(\S+)", (ROOT / "requirements-ray.txt").read_text(), flags=re.MULTILINE)

    assert documents["cluster.yaml"][1]["spec"]["rayVersion"] == pinned
    assert set(re.findall(r"rayproject/ray:([\d.]+)", (FOLDER / "Dockerfile").read_text())) == {pinned}


def test_the_image_is_linted_and_copies_what_there_is() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (.+) \S+$", text, flags=re.MULTILINE) for name in line.split()]

    assert [name for name in copied if "*" not in name and not (ROOT / name).exists()] == []
    assert "cluster" in copied
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is not installed: pip install -r requirements-dev.txt")
    ran = subprocess.run([linter, "--no-color", FOLDER / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "")
