from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import DamagedSnapshot, FungariumError, NoSnapshot, SnapshotMismatch
from retrieval.models.descriptor import Descriptor
from retrieval.snapshots.manifest import switch_current
from retrieval.snapshots.snapshot import Snapshot
from tests.snapshots import MUSCARIA, Made, drawn_references, make_snapshot
from tests.web.conftest import encode_photos, make_app
from web.inference.snapshot import Published


def accept_all(_: Snapshot) -> None:
    """Every snapshot will do."""


def make_second(root: Path, *, publish: bool = False) -> Made:
    """Another snapshot: the same without its last reference."""
    entries, embeddings, _ = drawn_references()
    return make_snapshot(root, entries[:-1], embeddings[:-1], publish=publish)


def damage(made: Made) -> Path:
    """Change one byte of the embeddings, and give back what undoes it."""
    path = made.root / "segments" / made.manifest.segments[0] / "embeddings.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    return path


def test_nothing_is_opened_before_it_is_asked_for(tmp_path: Path) -> None:
    opened: list[str] = []
    make_snapshot(tmp_path)

    published = Published(tmp_path, lambda snapshot: opened.append(snapshot.name))

    assert not opened
    with published.lease() as snapshot:
        assert opened == [snapshot.name]
    published.close()


def test_a_new_snapshot_is_used_by_the_next_request_and_the_old_by_the_running_one(tmp_path: Path) -> None:
    first, second = make_snapshot(tmp_path), make_second(tmp_path)
    published = Published(tmp_path, accept_all)

    with published.lease() as running:
        switch_current(tmp_path, second.manifest.name)
        with published.lease() as following:
            assert following.name == second.manifest.name
        assert running.name == first.manifest.name
        assert len(running.references_of(MUSCARIA)) == 6  # still open

    published.close()


def test_the_old_snapshot_is_closed_after_its_last_request(tmp_path: Path) -> None:
    make_snapshot(tmp_path)
    second = make_second(tmp_path)
    published = Published(tmp_path, accept_all)

    with published.lease() as old, published.lease():
        switch_current(tmp_path, second.manifest.name)
        with published.lease() as new:
            assert old.references_of(MUSCARIA)

    with pytest.raises(sqlite3.ProgrammingError):
        old.references_of(MUSCARIA)
    assert new.references_of(MUSCARIA)
    published.close()


def test_a_rollback_is_followed_too(tmp_path: Path) -> None:
    first = make_snapshot(tmp_path)
    make_second(tmp_path, publish=True)
    published = Published(tmp_path, accept_all)

    with published.lease():
        switch_current(tmp_path, first.manifest.name)

    with published.lease() as snapshot:
        assert snapshot.name == first.manifest.name
    published.close()


def test_while_one_request_opens_the_new_snapshot_the_others_go_on_with_the_old(tmp_path: Path) -> None:
    first, second = make_snapshot(tmp_path), make_second(tmp_path)
    opening, go_on = threading.Event(), threading.Event()

    def accept(snapshot: Snapshot) -> None:
        if snapshot.name == second.manifest.name:
            opening.set()
            assert go_on.wait(10)

    published = Published(tmp_path, accept)
    with published.lease():
        switch_current(tmp_path, second.manifest.name)
    with ThreadPoolExecutor(1) as pool:

        def name() -> str:
            with published.lease() as snapshot:
                return snapshot.name

        slow = pool.submit(name)
        assert opening.wait(10)

        meanwhile = name(), published.health().status
        go_on.set()

        assert meanwhile == (first.manifest.name, "ok")
        assert slow.result(10) == second.manifest.name
    published.close()


def test_many_requests_and_many_publications_at_once_never_meet_a_closed_snapshot(tmp_path: Path) -> None:
    names = [make_snapshot(tmp_path).manifest.name, make_second(tmp_path).manifest.name]
    published = Published(tmp_path, accept_all, patience=0)
    done = threading.Event()

    def ask() -> set[str]:
        seen = set()
        while not done.is_set():
            with published.lease() as snapshot:
                assert len(snapshot.references_of(MUSCARIA)) == 6
                seen.add(snapshot.name)
        return seen

    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(ask) for _ in range(3)]
        for number in range(30):
            switch_current(tmp_path, names[number % 2])
            with published.lease():
                pass
        done.set()

        assert set.union(*(answer.result(10) for answer in answers)) == set(names)
    published.close()


def test_before_the_first_publication_the_server_says_what_to_do(tmp_path: Path) -> None:
    published = Published(tmp_path, accept_all, patience=0)

    with pytest.raises(NoSnapshot, match="fungarium index publish"), published.lease():
        pass

    assert (published.health().status, published.health().snapshot) == ("unavailable", None)
    make_snapshot(tmp_path)
    assert published.health().status == "ok"
    published.close()


def test_a_damaged_first_snapshot_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damage(make_snapshot(tmp_path))
    published = Published(tmp_path, accept_all, patience=0)

    with pytest.raises(DamagedSnapshot, match=r"embeddings\.npy"), published.lease():
        pass

    assert "is damaged" in published.health().detail
    assert "embeddings.npy" in caplog.text


def test_a_damaged_new_snapshot_leaves_the_old_in_use_until_it_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = make_snapshot(tmp_path), make_second(tmp_path)
    published = Published(tmp_path, accept_all, patience=0)
    with published.lease():
        path = damage(second)
        switch_current(tmp_path, second.manifest.name)

    with published.lease() as snapshot:
        assert snapshot.name == first.manifest.name
    assert published.health().status == "degraded"
    assert "is damaged" in published.health().detail
    assert "embeddings.npy" in caplog.text

    damage(second)  # the same again undoes it
    assert path.exists()
    with published.lease() as snapshot:
        assert snapshot.name == second.manifest.name
    assert published.health().status == "ok"
    published.close()


def test_after_a_rollback_from_a_damaged_snapshot_all_is_well_again(tmp_path: Path) -> None:
    first, second = make_snapshot(tmp_path), make_second(tmp_path)
    published = Published(tmp_path, accept_all, patience=60)
    with published.lease():
        damage(second)
        switch_current(tmp_path, second.manifest.name)
    assert published.health().status == "degraded"

    switch_current(tmp_path, first.manifest.name)

    assert (published.health().status, published.health().detail) == ("ok", "")
    published.close()


def test_a_refused_snapshot_is_not_looked_at_again_at_once(tmp_path: Path) -> None:
    make_snapshot(tmp_path)
    looked = []

    def accept(snapshot: Snapshot) -> None:
        looked.append(snapshot.name)
        raise SnapshotMismatch("made with another model")

    published = Published(tmp_path, accept, patience=60)
    for _ in range(3):
        with pytest.raises(FungariumError, match="another model"), published.lease():
            pass

    assert len(looked) == 1


def test_a_snapshot_of_another_model_is_refused_with_503_everywhere(tmp_path: Path) -> None:
    entries, embeddings, photos = drawn_references()
    make_snapshot(tmp_path, entries, np.array(embeddings), card={**Descriptor().card, "model": "other@2"})
    client = make_app(tmp_path, photos).test_client()

    for answer in (
        client.get("/api/v1/floras"),
        client.post("/api/v1/identify", **encode_photos([next(iter(photos.values()))])),
    ):
        assert answer.status_code == 503
        assert answer.get_json()["type"] == "/api/v1/docs#snapshot-mismatch"
        assert "other@2" in answer.get_json()["detail"]
        assert answer.headers["Retry-After"] == "10"
    health = client.get("/healthz")
    assert (health.status_code, health.get_json()["status"]) == (503, "unavailable")
    assert "descriptor@1" in health.get_json()["detail"]


def test_the_same_server_answers_from_the_new_snapshot_after_a_publication(tmp_path: Path) -> None:
    first, second = make_snapshot(tmp_path), make_second(tmp_path)
    client = make_app(tmp_path, first.photos).test_client()
    names = []
    for name in (first.manifest.name, second.manifest.name, first.manifest.name):
        switch_current(tmp_path, name)

        names.append(client.get("/api/v1/floras").get_json()["snapshot"])

    assert names == [first.manifest.name, second.manifest.name, first.manifest.name]
