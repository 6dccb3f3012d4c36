from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from database.errors import DatabaseBusy, DatabaseError, SchemaMismatch
from database.models import Base, Dataset, Observation
from database.session import MIGRATIONS, Database, downgrade, known_revisions, open_database, upgrade

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fresh(database_url: str) -> Iterator[Database]:
    """A database of its own, whose tables a test may spoil."""
    upgrade(database_url)
    with open_database(database_url) as opened:
        yield opened


def test_models_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        differences = compare_metadata(context, Base.metadata)

    assert differences == []


def test_revisions_are_told_by_the_names_of_their_files_as_alembic_tells_them() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]

    assert known_revisions() == walked[::-1]


def test_alembic_is_not_loaded_where_there_is_nothing_to_migrate(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'data.sqlite'}"
    upgrade(url)
    script = (
        "import sys; from database.session import open_database, upgrade; "
        "upgrade(sys.argv[1]); open_database(sys.argv[1]).close(); print('alembic' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script, url], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_upgrading_twice_keeps_what_is_there(fresh: Database, database_url: str) -> None:
    with fresh.writing() as session:
        session.add(Dataset(id="walks", title="Walks"))

    upgrade(database_url)

    with fresh.reading() as session:
        assert session.get_one(Dataset, "walks").title == "Walks"


def test_downgrading_removes_every_table(database_url: str) -> None:
    upgrade(database_url)
    with open_database(database_url) as database:
        downgrade(database_url)

        with database.engine.connect() as connection:
            left = inspect(connection).get_table_names()

    assert left == ["alembic_version"]


def test_a_downgraded_database_can_be_upgraded_again(database_url: str) -> None:
    upgrade(database_url)
    downgrade(database_url)

    upgrade(database_url)

    open_database(database_url).close()


def test_an_sqlite_database_that_is_not_there_is_not_made_by_opening_it(tmp_path: Path) -> None:
    with pytest.raises(SchemaMismatch, match=r"no database at .*absent.sqlite yet"):
        open_database(f"sqlite:///{tmp_path / 'absent.sqlite'}")

    assert not (tmp_path / "absent.sqlite").exists()


def test_the_folder_of_a_new_sqlite_database_is_made(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path / 'data' / 'new.sqlite'}")

    assert (tmp_path / "data" / "new.sqlite").exists()


def test_an_empty_database_says_how_it_is_filled(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "fungarium.sqlite").touch()

    with pytest.raises(SchemaMismatch, match="is empty; bring it up to date with `fungarium upgrade`"):
        open_database(database_url)


def test_tables_of_a_newer_version_are_refused_by_everything(fresh: Database, database_url: str) -> None:
    with fresh.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    for door in (open_database, upgrade, downgrade):
        with pytest.raises(SchemaMismatch, match="version 9999, which this program does not know"):
            door(database_url)


def test_tables_of_another_program_are_left_alone(fresh: Database, database_url: str) -> None:
    with fresh.engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))

    with pytest.raises(SchemaMismatch, match=r"no version mark: it was not made by this program"):
        upgrade(database_url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.sqlite").write_text("Dear all, " * 200)

    with pytest.raises(DatabaseError, match=r"letter.sqlite cannot be opened: file is not a database"):
        open_database(f"sqlite:///{tmp_path / 'letter.sqlite'}")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "is not a database URL; write sqlite:///PATH"),
        ("mysql://root:secret@host/fungi", r"only SQLite and PostgreSQL are supported"),
        ("postgresql://me:secret@127.0.0.1:1/fungi", r"cannot be opened: .*refused"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused_without_its_password(url: str, sentence: str) -> None:
    with pytest.raises(DatabaseError, match=sentence) as refusal:
        open_database(url)

    assert "secret" not in str(refusal.value)


def test_a_missing_driver_is_named_with_the_command_that_installs_it() -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from database.errors import DatabaseError\n"
        "from database.session import open_database\n"
        "try: open_database('postgresql://me@host/fungi')\n"
        "except DatabaseError as error: print(error)\n"
    )

    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "pip install 'psycopg[binary]'" in said


def test_foreign_keys_are_kept(database: Database) -> None:
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(Observation(dataset_id="nowhere", observation_key="1", taxon_id=1))


def test_a_writing_session_that_fails_leaves_nothing(database: Database) -> None:
    def stumble() -> None:
        with database.writing() as session:
            session.add(Dataset(id="walks", title="Walks"))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        stumble()

    with database.reading() as session:
        assert session.get(Dataset, "walks") is None


def test_sqlite_flushes_what_it_acknowledges_also_for_the_pool_s_later_connections(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/a.db")
    with open_database(f"sqlite:///{tmp_path}/a.db") as opened, opened.reading() as one, opened.writing() as other:
        levels = [session.scalar(text("PRAGMA synchronous")) for session in (one, other)]

    assert levels == [2, 2]  # FULL: https://sqlite.org/pragma.html#pragma_synchronous


def test_a_disk_that_is_full_is_told_in_a_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'small.sqlite'}"
    upgrade(url)

    def fill(database: Database) -> None:
        with database.writing() as session:
            session.execute(text("PRAGMA max_page_count = 1"))
            session.add(Dataset(id="walks", title="W" * 100_000))

    with open_database(url) as small, pytest.raises(DatabaseError, match=r"cannot be written: database or disk"):
        fill(small)


def test_writers_take_turns_and_no_word_is_lost(database: Database) -> None:
    with database.writing() as session:
        session.add(Dataset(id="walks", title=""))

    def append(letter: str) -> None:
        for _ in range(10):
            with database.writing() as session:
                row = session.get_one(Dataset, "walks")
                row.title = row.title + letter

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, "abcd"))

    with database.reading() as session:
        title = session.get_one(Dataset, "walks").title
    assert sorted(title) == sorted("abcd" * 10)


def test_a_writer_that_waits_too_long_is_told_so(fresh: Database, database_url: str) -> None:
    with (
        open_database(database_url, patience=0.05) as other,
        fresh.writing(),
        pytest.raises(DatabaseBusy, match=r"written to by something else for more than 0.05 s"),
        other.writing(),
    ):
        pytest.fail("two writers at once")


def test_readers_are_not_kept_waiting_by_a_writer(database: Database) -> None:
    with database.writing() as writer:
        writer.add(Dataset(id="walks", title="Walks"))
        writer.flush()

        with database.reading() as reader:
            assert reader.get(Dataset, "walks") is None
