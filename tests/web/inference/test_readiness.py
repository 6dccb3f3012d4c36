"""Failures of what a server needs, and what /readyz, /healthz and the metrics say of each: the same."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from database.session import Database, open_database
from retrieval.errors import ModelError
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embedder
from tests.postgres import Cluster
from tests.snapshots import make_snapshot
from tests.web.conftest import LIMITS, HeldPhotos
from tests.web.http.redis import RedisServer, redis
from web.application import create_app
from web.http.quotas import Counts
from web.inference.snapshot import Published
from web.services import Services

__all__ = ["redis"]

METRIC = {1.0: "ok", 0.5: "degraded", 0.0: "unavailable"}


def serve(root: Path, **changes: Any) -> Flask:
    """The application over a published snapshot, with everything in order but the changes."""
    make_snapshot(root)
    embedder: Embedder = Descriptor()
    services = Services(
        Published(root, patience=0),
        lambda: embedder,
        HeldPhotos({}),
        LIMITS,
        flora_indexes=root,
        metrics_for="everybody",
    )
    return create_app(replace(services, **changes))


def read_states(app: Flask) -> tuple[int, dict[str, str], dict[str, str]]:
    """Return what /readyz says: its status, states that are not `ok`, and details; the metrics must agree."""
    client = app.test_client()
    answer = client.get("/readyz")
    checks = {check["name"]: check for check in answer.get_json()["checks"]}
    lines = [line for line in client.get("/metrics").get_data(as_text=True).splitlines() if "fungarium_check{" in line]
    metrics = {line.split('"')[1]: METRIC[float(line.split()[-1])] for line in lines}
    assert metrics == {name: check["state"] for name, check in checks.items()}
    wrong = {name: check["state"] for name, check in checks.items() if check["state"] != "ok"}
    assert answer.get_json()["ready"] is ("unavailable" not in wrong.values())
    health = client.get("/healthz").get_json()
    assert (health["status"] == "ok") is not bool(wrong)
    if wrong:
        assert health["detail"]
    return answer.status_code, wrong, {name: check["detail"] for name, check in checks.items()}


def test_a_server_with_all_it_needs_is_ready(tmp_path: Path, database: Database) -> None:
    app = serve(tmp_path, database=lambda: database)

    assert read_states(app)[:2] == (200, {})


def test_a_model_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    def fail() -> Embedder:
        raise ModelError("there is no model at field.onnx")

    status, wrong, details = read_states(serve(tmp_path, embedder=fail))

    assert (status, wrong) == (503, {"model": "unavailable"})
    assert details["model"]


def test_without_a_snapshot_nothing_is_ready(tmp_path: Path) -> None:
    app = serve(tmp_path)
    (tmp_path / "CURRENT").unlink()

    status, wrong, details = read_states(app)

    assert (status, wrong) == (503, {"snapshot": "unavailable"})
    assert "published" in details["snapshot"]


def test_a_damaged_snapshot_beside_an_open_one_is_a_warning(tmp_path: Path) -> None:
    app = serve(tmp_path)
    assert read_states(app)[0] == 200
    (tmp_path / "CURRENT").write_text("0123456789abcdef\n")

    status, wrong, _ = read_states(app)

    assert (status, wrong) == (200, {"snapshot": "degraded"})


def test_before_the_first_import_there_is_no_database_and_none_is_missed(tmp_path: Path) -> None:
    app = serve(tmp_path, database=lambda: open_database(f"sqlite:///{tmp_path / 'absent.sqlite'}"))

    assert read_states(app)[:2] == (200, {})


@pytest.mark.parametrize("system", ["sqlite"])
def test_tables_of_an_older_version_are_told(tmp_path: Path, database: Database) -> None:
    app = serve(tmp_path, database=lambda: database)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    status, wrong, details = read_states(app)

    assert (status, wrong) == (503, {"database": "unavailable"})
    assert str(tmp_path) not in details["database"]


@pytest.mark.parametrize("system", ["postgresql"])
def test_a_database_that_was_stopped_is_told_until_it_is_back(
    tmp_path: Path, database: Database, postgres: Cluster
) -> None:
    app = serve(tmp_path, database=lambda: database)
    assert read_states(app)[:2] == (200, {})
    postgres.stop()
    try:
        away = read_states(app)[:2]
    finally:
        postgres.resume()

    assert away == (503, {"database": "unavailable"})
    assert read_states(app)[:2] == (200, {})


def test_counts_in_memory_instead_of_redis_are_a_warning(tmp_path: Path, database: Database) -> None:
    app = serve(tmp_path, database=lambda: database, counts=Counts("redis://127.0.0.1:1/0"))

    assert read_states(app)[:2] == (200, {"counts": "degraded"})


def test_counts_in_redis_are_in_order(tmp_path: Path, database: Database, redis: RedisServer) -> None:
    app = serve(tmp_path, database=lambda: database, counts=Counts(redis.address))

    assert read_states(app)[:2] == (200, {})


def test_a_disk_that_is_nearly_full_is_told_with_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", ["total", "used", "free"])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - 10**8, 10**8))

    status, wrong, details = read_states(serve(tmp_path))

    assert (status, wrong) == (200, {"disk": "degraded"})
    assert "100 MB are left" in details["disk"]
