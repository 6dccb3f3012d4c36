from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from database.session import known_revisions, latest_revision, upgrade
from fungarium.cli import main
from tests.fungarium.conftest import Run
from tests.indexer.collections import line, write_table

REFUSED = "has the tables of an older version ({}, this one is {}); bring it up to date with `fungarium upgrade`"


def read_all(path: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as opened:
        return list(opened.execute(f"SELECT * FROM {table} ORDER BY 1"))


def make_old(path: Path, revision: str) -> None:
    """Make a database of an old version, with a dataset."""
    path.parent.mkdir(parents=True)
    upgrade(f"sqlite:///{path}", revision)
    with closing(sqlite3.connect(path)) as opened, opened:
        columns = [row for row in opened.execute("PRAGMA table_info(datasets)") if row[3] and row[4] is None]
        names = ", ".join(row[1] for row in columns)
        values = ", ".join("'walks'" for _ in columns)
        opened.execute(f"INSERT INTO datasets ({names}) VALUES ({values})")


@pytest.mark.parametrize("revision", known_revisions()[:-1])
def test_an_old_database_is_refused_by_every_command_but_upgrade_which_keeps_its_rows(
    run: Run, tmp_path: Path, revision: str
) -> None:
    path = tmp_path / "data" / "fungarium.sqlite"
    make_old(path, revision)
    before = read_all(path, "datasets")
    table = write_table(tmp_path / "walks", [line("a.png")])
    refused = REFUSED.format(revision, latest_revision())

    for command in (
        ("collection", "import", "csv", table, "--dataset", "walks"),
        ("collection", "flora", "list"),
        ("collection", "checklist", "list"),
        ("index", "embed"),
        ("index", "build"),
        ("people", "person", "add", "olga", "--no-password"),
        ("observations", "photos", "sweep"),
        ("observations", "photos", "check"),
        ("observations", "adopt"),
        ("backup", "make", tmp_path / "backups"),
        ("doctor",),
    ):
        status, out, errors = run(*command)
        assert status == 1, command
        assert refused in out + errors, command
    assert read_all(path, "alembic_version") == [(revision,)]

    assert run("upgrade")[:2] == (0, f"the tables are up to date: {revision} became {latest_revision()}\n")

    assert read_all(path, "alembic_version") == [(latest_revision(),)]
    assert [row[: len(before[0])] for row in read_all(path, "datasets")] == before
    assert run("collection", "import", "csv", table, "--dataset", "walks")[0] == 0
    assert run("upgrade")[:2] == (0, f"the tables are up to date ({latest_revision()})\n")


def test_upgrading_names_a_snapshot_that_has_to_be_built_again(run: Run, tmp_path: Path) -> None:
    manifest = b'{"format": "fungarium-snapshot", "version": 0}'
    name = sha256(manifest).hexdigest()[:16]
    folder = tmp_path / "flora_indexes" / "snapshots" / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(manifest)
    (tmp_path / "flora_indexes" / "CURRENT").write_text(f"{name}\n")

    status, out, _ = run("upgrade")

    assert status == 1
    assert "has format version 0" in out
    assert out.endswith("run `fungarium index build` and `fungarium index publish`\n")


def test_upgrading_again_or_in_an_empty_folder_is_harmless(run: Run) -> None:
    assert run("upgrade")[0] == 0
    assert run("upgrade")[0] == 0
    assert run("collection", "flora", "list")[1].startswith("world\t0 species")
    assert main(["collection", "upgrade"]) == 2
