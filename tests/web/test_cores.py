"""Workers divide the cores of the machine for the model, the search and arithmetic."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from retrieval.models.network import NetworkEmbedder
from retrieval.models.openvino import OpenVinoNetwork
from settings import Settings, read_settings
from tests.retrieval.models.networks import write_card, write_network
from web import gunicorn
from web.services import make_services

SET = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "3")


@pytest.mark.parametrize(("cores", "workers", "each"), [(2, 2, "1"), (2, 1, "2"), (8, 3, "2"), (2, 5, "1")])
def test_each_worker_gets_its_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, workers: int, each: str
) -> None:
    monkeypatch.setattr(gunicorn, "count_cores", lambda: cores)
    environment: dict[str, str] = {}

    gunicorn.share_cores(environment, workers)

    assert environment == {"FUNGARIUM_CORES": each} | dict.fromkeys(SET, each)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"FUNGARIUM_CORES": "4"}, {"FUNGARIUM_CORES": "4"} | dict.fromkeys(SET, "4")),
        ({"FUNGARIUM_CORES": "0"}, {"FUNGARIUM_CORES": "1"} | dict.fromkeys(SET, "1")),
        (SET, {"FUNGARIUM_CORES": "1"} | SET),
    ],
)
def test_what_somebody_has_set_stays(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], kept: dict[str, str]
) -> None:
    monkeypatch.setattr(gunicorn, "count_cores", lambda: 2)
    environment = dict(given)

    gunicorn.share_cores(environment, 2)

    assert environment == kept


def test_gunicorn_shares_the_cores_before_a_worker_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gunicorn, "count_cores", lambda: 6)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.delenv("FUNGARIUM_LOG", raising=False)
    for name in ("FUNGARIUM_CORES", *SET):
        monkeypatch.setenv(name, "")  # so that what is set here is undone after the test
        monkeypatch.delenv(name)

    logs: list[tuple[str, str]] = []
    monkeypatch.setattr(gunicorn, "start_logging", lambda *given: logs.append(given))

    gunicorn.on_starting(SimpleNamespace(cfg=SimpleNamespace(workers=2)))

    assert logs == [("json", "info")]
    assert read_settings(os.environ).cores == 3
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_the_model_of_a_worker_computes_on_so_many_threads(tmp_path: Path) -> None:
    path = write_network(tmp_path / "tiny.onnx")
    write_card(path)
    settings = Settings(data=tmp_path, flora_indexes=tmp_path, model=f"onnx:{path}", cores=1)

    embedder = make_services(settings).embedder()

    assert isinstance(embedder, NetworkEmbedder)
    network = embedder.backbone.network
    assert isinstance(network, OpenVinoNetwork)
    assert network.threads == 1
