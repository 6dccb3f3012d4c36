"""Publishing from a page: in the background, visible to every worker, and correct after a worker was stopped."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrieval.snapshots.history import read_history
from retrieval.snapshots.manifest import PORTION, read_current, read_manifest
from retrieval.snapshots.publishing import publish_snapshot, verify_snapshot
from retrieval.snapshots.staging import writing
from tests.catalogues import build, make_references
from tests.progress import Recorder
from tests.web.people import Server
from web.inference import publications
from web.inference.publications import (
    FOLDER,
    KEPT,
    Publication,
    PublicationProgress,
    UnknownPublication,
    begin_publication,
    list_publications,
    read_publication,
)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, str, str]:
    """A folder of two snapshots: the first published, the second built."""
    root = tmp_path / "a"
    first = build(root, tmp_path / "e", make_references(observations=2))
    publish_snapshot(root)
    return root, first, build(root, tmp_path / "e", make_references(observations=3))


def until_over(root: Path, name: str) -> Publication:
    """Wait until the worker lets go of the lock."""
    with (root / FOLDER / f"{name}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
    return read_publication(root, name)


def test_a_snapshot_is_published_in_the_background(two: tuple[Path, str, str]) -> None:
    root, _, second = two
    noted: list[str] = []

    begun = begin_publication(root, "publish", second, noted.append)
    ended = until_over(root, begun.id)

    assert (begun.state, begun.share) == ("running", 0)
    assert (ended.state, ended.share, ended.snapshot) == ("done", 1, second)
    assert ended.total == sum(seal.bytes for seal in read_manifest(root, second).files)
    assert noted == [second] == [read_current(root)]


def test_going_back_is_done_in_the_background_too(two: tuple[Path, str, str]) -> None:
    root, first, second = two
    publish_snapshot(root, second)

    ended = until_over(root, begin_publication(root, "roll back", first, lambda _: None).id)

    assert (ended.state, ended.snapshot, read_current(root)) == ("done", first, first)


def test_a_damaged_snapshot_is_refused_in_the_engines_words(two: tuple[Path, str, str]) -> None:
    root, first, second = two
    (root / "snapshots" / second / "species.npy").write_bytes(b"other")

    ended = until_over(root, begin_publication(root, "publish", second, lambda _: None).id)

    assert ended.state == "refused"
    assert "another length" in ended.words
    assert read_current(root) == first


def test_two_at_once_are_kept_apart(two: tuple[Path, str, str]) -> None:
    root, first, second = two

    with writing(root):
        ended = until_over(root, begin_publication(root, "publish", second, lambda _: None).id)

    assert ended.state == "refused"
    assert "another build or publish is running" in ended.words
    assert read_current(root) == first


def test_what_fails_otherwise_is_told_without_its_particulars(
    two: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root, _, second = two

    def fail(*_: object, **__: object) -> str:
        raise MemoryError("/secret/path")

    monkeypatch.setattr(publications, "publish_snapshot", fail)

    ended = until_over(root, begin_publication(root, "publish", second, lambda _: None).id)

    assert (ended.state, ended.words) == ("refused", "MemoryError; see the server's log")
    assert "/secret/path" in caplog.text


def test_what_fails_after_readers_have_gone_over_is_no_refusal(
    two: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, second = two

    def fail_late(*given: Any, **options: Any) -> str:
        publish_snapshot(*given, **options)
        raise OSError("HISTORY.jsonl belongs to somebody else")

    monkeypatch.setattr(publications, "publish_snapshot", fail_late)

    ended = until_over(root, begin_publication(root, "publish", second, lambda _: None).id)

    assert (ended.state, ended.snapshot, read_current(root)) == ("done", second, second)


def test_going_back_skips_a_snapshot_that_is_gone_as_the_command_does(two: tuple[Path, str, str]) -> None:
    root, first, second = two
    publish_snapshot(root, second)
    third = build(root, root.parent / "e", make_references(observations=4))
    publish_snapshot(root, third)
    shutil.rmtree(root / "snapshots" / second)

    ended = until_over(root, begin_publication(root, "roll back", second, lambda _: None).id)

    assert (ended.state, ended.snapshot, read_current(root)) == ("done", first, first)


def test_a_note_of_how_far_it_is_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    begun = Publication("20261121T000000-00000000", "publish", "s", "2026-11-21T00:00:00+00:00", 1000)
    reading = PublicationProgress(tmp_path / "nowhere", begun)
    reading._noted -= 10

    reading("verify", 400)

    assert reading.read == 400


def test_what_cannot_begin_leaves_nothing_behind(two: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    root, first, second = two

    def fail(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)

    with pytest.raises(RuntimeError):
        begin_publication(root, "publish", second, lambda _: None)

    assert list((root / FOLDER).iterdir()) == []
    assert read_current(root) == first


def test_what_was_published_is_published_though_it_could_not_be_noted(
    two: tuple[Path, str, str], caplog: pytest.LogCaptureFixture
) -> None:
    root, _, second = two

    def fail(_: str) -> None:
        raise OSError("no room")

    ended = until_over(root, begin_publication(root, "publish", second, fail).id)

    assert (ended.state, read_current(root)) == ("done", second)
    assert "no room" in caplog.text


WORKER = """
import sys, threading
from pathlib import Path
from web.inference import publications
from retrieval.snapshots.publishing import publish_snapshot

there = threading.Event()

def wait(root, name, **more):
    if sys.argv[3] != "before":
        publish_snapshot(root, name)
    there.set()
    if sys.argv[3] == "stopped":
        threading.main_thread().join()
        return publish_snapshot(root, name)
    sys.stdin.read()

publications.publish_snapshot = wait
begun = publications.begin_publication(Path(sys.argv[1]), "publish", sys.argv[2], print)
there.wait()
print(begun.id, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("killed", ["before", "after"])
def test_a_killed_worker_is_told_as_such_by_the_others(two: tuple[Path, str, str], killed: str) -> None:
    root, first, second = two
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(root), second, killed],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    name = worker.stdout.readline().strip()

    meanwhile = read_publication(root, name).state
    worker.kill()
    worker.communicate()

    assert (meanwhile, read_publication(root, name).state) == ("running", "broken off")
    assert read_current(root) == (first if killed == "before" else second)
    again = until_over(root, begin_publication(root, "publish", second, lambda _: None).id)
    assert (again.state, read_current(root)) == ("done", second)


def test_a_worker_that_is_asked_to_stop_says_that_it_broke_off(two: tuple[Path, str, str]) -> None:
    root, _, second = two
    worker = subprocess.run(
        [sys.executable, "-c", WORKER, str(root), second, "stopped"],
        input="\n",
        capture_output=True,
        text=True,
        check=True,
    )

    assert read_publication(root, worker.stdout.strip()).state == "broken off"


def test_progress_is_noted_as_bytes_are_read(two: tuple[Path, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    root, _, second = two
    begun = until_over(root, begin_publication(root, "publish", second, lambda _: None).id)
    reading = PublicationProgress(root / FOLDER, begun)
    monkeypatch.setattr(publications, "PAUSE", 0.0)

    reading("verify", begun.total // 2)
    half = read_publication(root, begun.id).share
    reading("verify", begun.total)

    assert half == pytest.approx(0.5, abs=0.01)
    assert read_publication(root, begun.id).share == 1  # a roll back may read more than one snapshot


def test_verifying_tells_every_byte_that_it_reads(two: tuple[Path, str, str]) -> None:
    root, _, second = two
    read = Recorder()

    verify_snapshot(root, second, read)

    assert sum(read.done) == sum(seal.bytes for seal in read_manifest(root, second).files)
    assert max(read.done) <= PORTION


@pytest.mark.parametrize("name", ["", "x", "../CURRENT", "20260101T000000-00000000"])
def test_a_publication_that_there_is_not_is_told_as_such(two: tuple[Path, str, str], name: str) -> None:
    with pytest.raises(UnknownPublication):
        read_publication(two[0], name)


def test_the_latest_are_listed_and_old_ones_forgotten(two: tuple[Path, str, str]) -> None:
    root, _, second = two
    (root / FOLDER).mkdir()
    for day in range(1, 29):
        old = Publication(f"202601{day:02}T000000-00000000", "publish", second, "2026", 1, state="done")
        (root / FOLDER / f"{old.id}.json").write_text(json.dumps({n: getattr(old, n) for n in old.__slots__}))

    begun = begin_publication(root, "publish", second, lambda _: None)
    until_over(root, begun.id)

    assert [one.id for one in list_publications(root, 2)] == [begun.id, "20260128T000000-00000000"]
    assert len(list_publications(root, 100)) == KEPT


def test_a_page_begins_follows_and_tells_the_outcome(two: tuple[Path, str, str], start: Callable[..., Server]) -> None:
    root, first, second = two
    server = start(root=root, flora_indexes=root)
    ada = server.signed_in("ada")

    asked = ada.client.post(f"/administration/snapshots/{second}/publish", headers=ada.token)
    address = asked.headers["Location"]
    until_over(root, address.rpartition("/")[2])
    page = ada.client.get(address).get_data(as_text=True)
    part = ada.client.get(address, headers={"X-Fragment": "yes"}).get_data(as_text=True)
    overview = ada.client.get("/administration/snapshots").get_data(as_text=True)

    assert asked.status_code == 303
    assert f"{second} is now published." in page
    assert "fungarium index atlas" in page  # the page does not lay out
    assert re.match(r"\s*<div id=\"publication\" data-state=\"done\"", part)
    assert address in overview
    back = ada.client.post("/administration/roll-back", headers=ada.token)
    until_over(root, back.headers["Location"].rpartition("/")[2])
    assert f"Rolled back to {first}" in ada.client.get(back.headers["Location"]).get_data(as_text=True)
    assert [event["event"] for event in read_history(root)][-2:] == ["published", "rolled back"]
    assert ada.client.get("/administration/publications/20260101T000000-00000000").status_code == 404


def test_a_page_goes_on_by_itself_while_it_runs_without_scripts_too(
    two: tuple[Path, str, str], start: Callable[..., Server]
) -> None:
    root, _, second = two
    ada = start(root=root, flora_indexes=root).signed_in("ada")
    begun = until_over(root, begin_publication(root, "publish", second, lambda _: None).id)
    running = {**{n: getattr(begun, n) for n in begun.__slots__}, "state": "running", "read": begun.total // 4}
    (root / FOLDER / f"{begun.id}.json").write_text(json.dumps(running))
    address = f"/administration/publications/{begun.id}"

    with (root / FOLDER / f"{begun.id}.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        page = ada.client.get(address).get_data(as_text=True)
    after = ada.client.get(address).get_data(as_text=True)

    assert '<noscript><meta http-equiv="refresh"' in page
    assert "25\u202f%" in page
    assert "Interrupted" in after
    assert "published all the same" in after
    assert "refresh" not in after


def test_there_is_nothing_to_go_back_to_at_first(two: tuple[Path, str, str], start: Callable[..., Server]) -> None:
    root, first, _ = two
    ada = start(root=root, flora_indexes=root).signed_in("ada")

    answer = ada.client.post("/administration/roll-back", headers=ada.token)

    assert answer.status_code == 409
    assert "no earlier snapshot" in answer.get_data(as_text=True)
    assert read_current(root) == first
