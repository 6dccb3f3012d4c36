"""Consistent database dumps taken while others write, with the photos they refer to, and their restoration."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, inspect, text
from sqlalchemy import exc as sql_errors
from sqlalchemy.engine import URL

from database.errors import BackupError
from database.session import open_database, parse_url

OBSERVED = "SELECT sha256 FROM field_photos UNION SELECT original_sha256 FROM field_photos WHERE original_sha256 <> ''"
REFERENCES = "SELECT location FROM photos"


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump and the photos that it refers to, from one transaction snapshot."""

    system: str
    observed: frozenset[str]  # sha256 of photos of observations
    locations: tuple[str, ...]  # of reference photos


def dump_database(url: str, path: Path) -> Dump:
    """Dump the database at a URL to a file. Raises BackupError; SchemaMismatch for tables of another version."""
    open_database(url).close()
    address = parse_url(url)
    return dump_sqlite(address, path) if address.get_backend_name() == "sqlite" else dump_postgresql(address, path)


def dump_sqlite(address: URL, path: Path) -> Dump:
    """Dump with SQLite's online backup, which is consistent while others write."""
    copy_sqlite(Path(address.database or ""), path)
    with closing(sqlite3.connect(path)) as copied:
        observed = frozenset(sha256 for (sha256,) in copied.execute(OBSERVED))
        locations = tuple(location for (location,) in copied.execute(REFERENCES))
    return Dump("sqlite", observed, locations)


def copy_sqlite(source: Path, path: Path) -> None:
    """Copy an SQLite file with the online backup API."""
    with closing(sqlite3.connect(source, timeout=60)) as opened, closing(sqlite3.connect(path)) as copied:
        opened.backup(copied)
        copied.execute("PRAGMA journal_mode = DELETE")  # one file, without a write-ahead log


def dump_postgresql(address: URL, path: Path) -> Dump:
    """Dump with pg_dump, in the transaction snapshot in which the photos are listed."""
    program = find_program("pg_dump")
    engine = create_engine(address, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            moment = connection.scalar(text("SELECT pg_export_snapshot()"))
            observed = frozenset(connection.scalars(text(OBSERVED)))
            locations = tuple(connection.scalars(text(REFERENCES)))
            options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={moment}", f"--file={path}"]
            run(program, *options, address=address)
    except sql_errors.DBAPIError as error:
        raise BackupError(f"the database cannot be read: {str(error.orig).strip().partition(chr(10))[0]}") from error
    finally:
        engine.dispose()
    return Dump("postgresql", observed, locations)


def is_free(url: str) -> bool:
    """Return whether a database can be restored to the URL: it does not exist or has no tables. Raises BackupError."""
    address = parse_url(url)
    if address.get_backend_name() == "sqlite":
        return not Path(address.database or "").exists()
    engine = create_engine(address)
    try:
        return not inspect(engine).get_table_names()
    except sql_errors.DBAPIError as error:
        raise BackupError(f"the database cannot be reached: {str(error.orig).strip().partition(chr(10))[0]}") from error
    finally:
        engine.dispose()


def restore_database(url: str, dump: Path, system: str) -> None:
    """Restore a database from a dump, atomically. Raises BackupError if it is damaged or of another system."""
    address = parse_url(url)
    if address.get_backend_name() != system:
        raise BackupError(f"the backup is of {system}; set FUNGARIUM_DATABASE to an address of that system")
    if system == "sqlite":
        target = Path(address.database or "")
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.restoring")
        shutil.copyfile(dump, unfinished)
        with closing(sqlite3.connect(unfinished)) as restored:
            if restored.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
                raise BackupError("the database of the backup is damaged")
        unfinished.replace(target)
        return
    program = find_program("pg_restore")
    options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    run(program, *options, str(dump), address=address)


def find_program(name: str) -> str:
    """Find a PostgreSQL client program. Raises BackupError if it is not installed."""
    found = shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is needed for a PostgreSQL database (Debian: apt-get install postgresql-client)")
    return found


def run(program: str, *arguments: str, address: URL) -> None:
    """Run a PostgreSQL client program; the password is passed in the environment, which other users cannot read."""
    name, password = split_password(address)
    given: Mapping[str, str] = {"PGPASSWORD": password} if password else {}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs, without a shell
        [program, f"--dbname={name}", *arguments],
        env={**os.environ, **given},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise BackupError(f"{Path(program).name} failed: {said[0] if said else done.returncode}")


def split_password(address: URL) -> tuple[str, str]:
    """Return (the address for PostgreSQL's own programs, without a password; the password, empty if there is none).

    `URL.set(password=None)` leaves the password as it is, and `render_as_string()` writes asterisks in its place, which
    the programs then send: so the address is made anew.
    """
    password = address.password or address.query.get("password", "")
    plain = URL.create(
        "postgresql",
        username=address.username,
        host=address.host,
        port=address.port,
        database=address.database,
        query={key: value for key, value in address.query.items() if key != "password"},
    )
    return plain.render_as_string(), str(password)
