"""Every writer on a disk that is full, or that may not be written: what `test_full_disks` runs in a mount of its own.

Prints a line that begins with `fault` for each one that it finds.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from database.accounts.api_keys import issue_key
from database.accounts.people import person_by_login
from database.backups.restoring import MARK
from database.errors import DatabaseError
from database.field.records import missing
from fungarium.cli import main
from tests.circle import Installation, installed
from tests.indexer.collections import line, write_table
from tests.snapshots import EMETICA, MUSCARIA, draw_photo
from tests.web.conftest import encode_photos

MEGABYTES = 64
SIZES = (0, 4096, 20_000, 60_000, 200_000, 1_000_000)  # bytes left on a full disk
IMPORT = ("collection", "import", "csv", "--dataset", "more", "--copy")
HALF = (".unfinished-", ".dump-", ".restoring", ".fungi.zip-", ".new", "-damaged", ".restore-")
"""Beginnings and ends of names that nobody may leave behind."""
WITHDRAWN = sha256(draw_photo(MUSCARIA, 0)).hexdigest()
REFUSALS = (503, 507)


@dataclass
class Writers:
    """Everything that writes, by name; each gives True if it succeeded, False if it was refused as it should be."""

    installation: Installation
    walks: Path
    number: int = 0

    def photo(self) -> bytes:
        self.number += 1
        return draw_photo(EMETICA, 5000 + self.number, side=64)

    def all(self) -> dict[str, Callable[[], bool]]:
        folder = self.installation.folder
        return {
            "upload": lambda: self.send("/api/v1/observations", suggest="false", licence="CC-BY-4.0"),
            "share": lambda: self.send("/", keep="true"),
            "identification": lambda: self.send("/api/v1/identify"),
            "verdict": self.verdict,
            "approval": self.approval,
            "key": self.key,
            "embed": lambda: self.command("index", "embed"),
            "import": lambda: self.command(*IMPORT, str(self.walks)),
            "build": lambda: self.command("index", "build"),
            "publish": lambda: self.command("index", "publish"),
            "adopt": lambda: self.command("observations", "adopt"),
            "export": lambda: self.command(
                "observations", "export", str(folder / "data" / "exports" / "fungi.zip"), "--organisation", "Us",
                "--pack-photos",
            ),
            "download": self.download,
            "backup": lambda: self.command("backup", "make", str(folder / "backups")),
            "restore": self.restore,
            "withdrawal": lambda: self.command("index", "withdraw", WITHDRAWN),
            "settings": lambda: self.command("observations", "obscure", "add", "Amanita muscaria"),
        }  # fmt: skip

    def send(self, path: str, **form: str) -> bool:
        status = (
            self.installation.client()
            .post(path, headers=self.installation.keys["olga"], **encode_photos([self.photo()], **form))
            .status_code
        )
        return self.judge(status)

    def judge(self, status: int) -> bool:
        if status >= 400 and status not in REFUSALS:
            raise AssertionError(f"status {status}")
        return status < 400

    def latest(self) -> str:
        answer = self.installation.client().get("/api/v1/observations?limit=1", headers=self.installation.keys["olga"])
        body = answer.get_json()
        return str(body["observations"][0]["id"]) if answer.status_code == 200 else ""

    def verdict(self) -> bool:
        if not (key := self.latest()):
            return False
        name = ("Amanita muscaria", "Russula emetica")[self.number % 2]
        said = {"scientificName": name, "certainty": "possible"}
        path = f"/api/v1/observations/{key}/verdicts"
        return self.judge(
            self.installation.client().post(path, json=said, headers=self.installation.keys["omar"]).status_code
        )

    def approval(self) -> bool:
        return self.judge(self.installation.approve(key).status_code) if (key := self.latest()) else False

    def key(self) -> bool:
        try:
            with self.installation.database.writing() as session:
                issue_key(session, person_by_login(session, "omar").id, {"read"})
        except DatabaseError:
            return False
        return True

    def download(self) -> bool:
        with self.installation.client().get("/api/v1/exports/fungi.zip") as answer:
            return self.judge(answer.status_code) if answer.status_code != 404 else False

    def restore(self) -> bool:
        there = self.installation.folder / "there"
        shutil.rmtree(there, ignore_errors=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FUNGARIUM_DATA", str(there / "data"))
            patch.setenv("FUNGARIUM_FLORA_INDEXES", str(there / "flora_indexes"))
            return self.command("backup", "restore", str(self.installation.folder / "backups"))

    def command(self, *words: str) -> bool:
        """Run a command; a refusal is one sentence and exit code 1."""
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = main(list(words))
        said = [text for text in errors.getvalue().replace("\r", "\n").splitlines() if text.startswith("error: ")]
        if code not in (0, 1) or (code == 1 and len(said) != 1):
            raise AssertionError(f"exit code {code}: {errors.getvalue()[-500:]}")
        return code == 0


@contextlib.contextmanager
def full(folder: Path, free: int) -> Iterator[None]:
    """Fill a file system up to so many bytes."""
    filler = folder / "filler"
    with filler.open("wb") as file:
        left = shutil.disk_usage(folder).free - free
        with contextlib.suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(1, left))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def read_only(folder: Path, installation: Installation) -> Iterator[None]:
    """Mount a file system for reading only."""
    installation.database.close()
    installation.app.extensions["services"].database().close()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        installation.database.close()
        installation.app.extensions["services"].database().close()
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def leftovers(folder: Path) -> list[str]:
    """What incomplete writes left behind."""
    found = [path for path in folder.rglob("*") if path.name.startswith(HALF) or path.name.endswith(HALF)]
    found = [path for path in found if path.name != MARK]  # from which an interrupted restore goes on
    return [str(path.relative_to(folder)) for path in found] + [
        str(path.relative_to(folder)) for path in (folder / "data" / "answers").glob(".*")
    ]


def attempt(name: str, write: Callable[[], bool], folder: Path, where: str) -> None:
    """Try a writer, and say what is wrong."""
    try:
        write()
    except BaseException as error:
        print(f"fault: {name}, {where}: {type(error).__name__} {error}", flush=True)
    if half := leftovers(folder):
        print(f"fault: {name}, {where}: left {half}", flush=True)
        for one in half:
            shutil.rmtree(folder / one, ignore_errors=True)
            (folder / one).unlink(missing_ok=True)


def run(folder: Path, times: int) -> None:
    """Fill the disk of an installation at random moments, then protect it, and see that all recovers."""
    moments = random.Random(22)
    with pytest.MonkeyPatch.context() as patch, installed(folder / "made", patch) as installation:
        installation.app.testing = False
        (folder / "made" / "more").mkdir()
        (folder / "made" / "more" / "1.jpg").write_bytes(draw_photo(MUSCARIA, 77))
        table = write_table(folder / "made" / "more", [line("1.jpg", "Amanita muscaria", eventDate="2025-09-01")])
        writers = Writers(installation, table)
        installation.approved([writers.photo()])
        for name, write in writers.all().items():
            if not write():
                print(f"fault: {name} fails on a disk with room", flush=True)
        for _ in range(times):
            for name, write in writers.all().items():
                for free in SIZES if name == "backup" else (moments.choice(SIZES),):
                    with full(folder, free):
                        attempt(name, write, folder / "made", f"{free} bytes free")
        with read_only(folder, installation):
            for name, write in writers.all().items():
                attempt(name, write, folder / "made", "read-only")
        for name, write in writers.all().items():
            if not write():
                print(f"fault: {name} does not recover", flush=True)
        for check in (["index", "verify"], ["backup", "verify", str(folder / "made" / "backups")]):
            if not writers.command(*check):
                print(f"fault: {check} finds damage", flush=True)
        if lost := missing(installation.database, installation.app.extensions["services"].photo_files()):
            print(f"photos are lost: {lost}", flush=True)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)], check=False
    ).returncode:
        sys.exit(77)
    (place / "made").mkdir()
    run(place, int(sys.argv[2]))
