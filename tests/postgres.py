"""A throw-away PostgreSQL for the tests: Debian's binaries, a folder of its own, a socket and no network port."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from urllib.parse import quote

import pytest

from database.models import Base
from database.session import Database, open_database, upgrade

_NUMBERS = count(1)
PASSWORD = "p@ss:w/rd?#%41 'ö\""
"""As people choose them: every sign that means something in an address."""


def find_binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL server on this machine."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


class Cluster:
    """A running PostgreSQL that only this test session knows of."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries = binaries
        self.folder = folder
        # initdb refuses to run as root: Debian's package comes with a user for it.
        self.owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None

    def start(self) -> None:
        if self.owner is not None:
            os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        (self.folder / "password").write_text(PASSWORD, encoding="utf-8")
        options = ("--auth=scram-sha-256", "--pwfile=password", "--encoding=UTF8", "--no-sync")
        self.run("initdb", "--pgdata=data", "--username=tester", *options)
        self.resume()

    def resume(self) -> None:
        """Start the server over the data that are there."""
        unsafe = "-c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=20"
        options = f"-c listen_addresses='' -k {self.folder} {unsafe}"
        self.run("pg_ctl", "start", "--wait", "--silent", "--pgdata", "data", "--log", "log", "--options", options)

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "--wait", "--silent", "--mode", "fast", "--pgdata", "data")

    def create(self, schema: str) -> str:
        """Make an empty schema, which is made faster than a database and serves as one; return its address."""
        self.run(
            "psql",
            f"--host={self.folder}",
            "--username=tester",
            "--dbname=postgres",
            f"--command=CREATE SCHEMA {schema}",
        )
        return f"{self.address('postgres')}&options=-csearch_path%3D{schema}"

    def address(self, database: str) -> str:
        """Return the address of a database, with the password."""
        return f"postgresql://tester:{quote(PASSWORD, safe='')}@/{database}?host={self.folder}"

    def run(self, program: str, *arguments: str) -> None:
        identity = {} if self.owner is None else {"user": self.owner.pw_uid, "group": self.owner.pw_gid}
        command = [str(self.binaries / program), *arguments]
        with (self.folder / "errors").open("wb") as errors:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={"LC_ALL": "C", "PATH": os.defpath, "TZ": "UTC", "PGPASSWORD": PASSWORD},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # pg_ctl leaves the server its own outputs: a pipe would never close
                stderr=errors,
                check=False,
                **identity,  # type: ignore[call-overload]
            )
        if done.returncode != 0:
            said = (self.folder / "errors").read_text(errors="replace")
            raise RuntimeError(f"{program} failed with {done.returncode}: {said}")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL for this session; tests that need it are skipped where none is installed."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="fungarium-postgres-") as folder:  # a short path: sockets allow 107 bytes
        cluster = Cluster(binaries, Path(folder))
        cluster.start()
        yield cluster
        cluster.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def system(request: pytest.FixtureRequest) -> str:
    """Each of the two database systems."""
    return str(request.param)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, system: str, tmp_path: Path) -> str:
    """The address of an empty database, without tables."""
    if system == "sqlite":
        return f"sqlite:///{tmp_path / 'fungarium.sqlite'}"
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.create(f"test{next(_NUMBERS)}")


@pytest.fixture(scope="session")
def empty_tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of databases with tables, made once for all tests: migrations take longer than most of them."""
    return {"sqlite": str(tmp_path_factory.mktemp("tables") / "tables.sqlite")}


@pytest.fixture
def database(
    request: pytest.FixtureRequest, system: str, tmp_path: Path, empty_tables: dict[str, str]
) -> Iterator[Database]:
    """An open database with tables and nothing in them. A test that changes tables takes `database_url`."""
    if system == "sqlite":
        template = Path(empty_tables["sqlite"])
        if not template.exists():
            upgrade(f"sqlite:///{template}")
        url = f"sqlite:///{shutil.copy(template, tmp_path / 'database.sqlite')}"
    else:
        if system not in empty_tables:
            cluster: Cluster = request.getfixturevalue("postgres")
            empty_tables[system] = cluster.create("tables")
            upgrade(empty_tables[system])
        url = empty_tables[system]
    with open_database(url) as opened:
        yield opened
        if system == "postgresql":
            with opened.engine.begin() as connection:
                for table in reversed(Base.metadata.sorted_tables):  # faster than TRUNCATE on so little
                    connection.execute(table.delete())
