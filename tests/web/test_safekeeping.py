"""Acknowledged data is kept, and nothing incomplete remains: full disks, killed workers, lost databases."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from database.errors import StoreFull, StoreUnavailable
from database.field.models import FieldObservation
from database.field.photo_files import PhotoFiles
from database.field.records import missing, sweep
from database.session import Database, open_database, upgrade
from retrieval.errors import UnknownPhoto
from tests.postgres import Cluster
from tests.snapshots import MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def system() -> str:
    """SQLite, but where a test says otherwise."""
    return "sqlite"


@pytest.fixture(params=["folder", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> PhotoFiles:
    """A folder, and a store behind fsspec that is none."""
    return PhotoFiles(str(tmp_path / "photos") if request.param == "folder" else f"memory://{tmp_path.name}")


def test_a_store_gives_back_what_it_was_given_and_forgets_what_is_removed(files: PhotoFiles) -> None:
    digest = files.put(b"one")

    assert files.put(b"one") == digest
    assert files.get(digest) == b"one"
    assert [name for name, _ in files.everything()] == [digest]
    files.remove(digest)
    files.remove(digest)
    assert not files.has(digest)
    with pytest.raises(UnknownPhoto):
        files.get(digest)


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 63, "A" * 64, ""])
def test_a_store_reads_nothing_but_photos(files: PhotoFiles, name: str) -> None:
    with pytest.raises(UnknownPhoto):
        files.get(name)


def test_a_photo_that_was_changed_on_the_disk_is_not_shown(tmp_path: Path) -> None:
    files = PhotoFiles(str(tmp_path))
    digest = files.put(b"one")
    (tmp_path / digest[:2] / digest).write_bytes(b"two")

    with pytest.raises(UnknownPhoto, match="damaged"):
        files.get(digest)


def test_a_photo_that_was_damaged_on_the_disk_is_whole_again_once_it_is_sent_again(tmp_path: Path) -> None:
    files = PhotoFiles(str(tmp_path))
    digest = files.put(b"one")
    (tmp_path / digest[:2] / digest).write_bytes(b"")  # as a power cut leaves it, where nothing is flushed

    assert files.put(b"one") == digest
    assert files.get(digest) == b"one"


def test_a_store_that_needs_a_package_names_it() -> None:
    with pytest.raises(StoreUnavailable, match=r"requirements-s3.txt|no-such"):
        PhotoFiles("no-such-protocol://bucket/prefix")


SMALL_DISK = """
import resource, signal, sys
from database.errors import StoreFull
from database.field.photo_files import PhotoFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # the kernel refuses what is beyond, as a full disk does
files = PhotoFiles(sys.argv[1])
try:
    files.put(b"x" * 5000)
except StoreFull as error:
    print(error)
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


def test_a_full_disk_is_told_in_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    ran = run(SMALL_DISK, str(tmp_path / "photos"))

    assert "the photo storage is full" in ran.stdout, ran.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class FullFiles(PhotoFiles):
    """A store whose disk is full after so many photos."""

    room = 1

    def put(self, photo: bytes) -> str:
        if self.room == 0:
            raise StoreFull(os.strerror(errno.ENOSPC))
        self.room -= 1
        return super().put(photo)


def test_a_disk_that_fills_up_between_two_photos_leaves_no_half_observation(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    full = FullFiles(str(tmp_path / "full"))
    server = start(photo_files=lambda: full)
    form = encode_photos([draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 8)], suggest="false")

    answer = server.visitor().post("/api/v1/observations", headers=server.key("olga"), **form)
    full.room = 9
    again = server.visitor().post(
        "/api/v1/observations",
        headers=server.key("olga"),
        **encode_photos([draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 8)], suggest="false"),
    )

    assert (answer.status_code, answer.get_json()["type"]) == (507, "/api/v1/docs#no-room")
    assert again.status_code == 201
    assert len(list(full.everything())) == 2
    assert count(server.database) == 1


def count(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(FieldObservation)) or 0


KILLED = """
import os, signal, sys
from pathlib import Path
from database.accounts.people import add_person
from database.field.photo_files import PhotoFiles
from database.session import open_database
import database.session
from tests.snapshots import MUSCARIA, draw_photo
from tests.web.conftest import encode_photos
from tests.web.people import serve

url, folder, moment = sys.argv[1:]

class Dying(PhotoFiles):
    puts = 0
    def put(self, photo):
        kept = super().put(photo)
        self.puts += 1
        if moment == f"photo {self.puts}":
            os.kill(os.getpid(), signal.SIGKILL)
        return kept

files = Dying(folder)
opened = open_database(url)
if moment == "before the commit":
    from sqlalchemy import event
    from sqlalchemy.orm import Session
    def die(session):
        if files.puts:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(Session, "before_commit", die)
server = serve(opened, Path(folder) / "none", photos_at=Path(folder), photo_files=lambda: files)
form = encode_photos([draw_photo(MUSCARIA, 7), draw_photo(MUSCARIA, 8)], suggest="false",
                     id="00000000-0000-4000-8000-000000000001")
answer = server.visitor().post("/api/v1/observations", headers=server.key("olga"), **form)
print(answer.status_code, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("moment", "observations"),
    [("photo 1", 0), ("photo 2", 0), ("photo 3", 0), ("before the commit", 0), ("after the answer", 1)],
)
def test_a_worker_killed_at_any_moment_leaves_all_or_nothing(tmp_path: Path, moment: str, observations: int) -> None:
    url, folder = f"sqlite:///{tmp_path / 'killed.sqlite'}", tmp_path / "photos"
    upgrade(url)

    ran = run(KILLED, url, str(folder), moment)

    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert ran.stdout.strip() == ("201" if observations else "")
    files = PhotoFiles(str(folder))
    with open_database(url) as database:
        assert count(database) == observations
        assert missing(database, files) == []
        sweep(database, files, now=datetime.now(UTC) + timedelta(hours=2))
    assert len(list(files.everything())) == 2 * observations


@pytest.mark.parametrize("system", ["postgresql"])
def test_a_database_that_goes_away_comes_back_with_all_that_was_acknowledged(
    server: Server, postgres: Cluster, system: str
) -> None:
    headers = server.key("olga")
    path = "/api/v1/observations"

    def record(**more: Any) -> int:
        form = encode_photos([draw_photo(MUSCARIA, 7)], suggest="false", **more)
        return server.visitor().post(path, headers=headers, **form).status_code

    assert record() == 201
    postgres.stop()
    try:
        away = [record(), server.visitor().get(path).status_code, server.visitor().get("/api/v1/floras").status_code]
    finally:
        postgres.resume()
    back = [record(), server.visitor().get(path).status_code]

    assert away == [503, 503, 200]
    assert back == [201, 200]
    assert count(server.database) == 2
    assert missing(server.database, server.files) == []
