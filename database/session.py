"""Database connections (SQLite or PostgreSQL, by URL), read and write sessions, and schema migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy import exc as sql_errors
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

from database.errors import DatabaseBusy, DatabaseError, NoDatabase, SchemaMismatch
from database.tables import Base

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["Database", "Session", "create_tables", "open_database", "upgrade"]

MIGRATIONS = Path(__file__).resolve().parent / "migrations"

PATIENCE = 60.0  # seconds to wait for another writer before giving up
WAITED = ("lock timeout", "is locked")  # in messages of PostgreSQL and SQLite about lock timeouts
_WRITER = 0x46756E67  # key of the PostgreSQL advisory lock held by the writer


class Database:
    """An open database with many readers and one writer at a time, on SQLite and PostgreSQL alike.

    With a single writer, concurrent imports cannot create the same taxon twice, and deadlocks are impossible.
    """

    def __init__(self, engine: Engine, patience: float = PATIENCE) -> None:
        self.engine = engine
        self.patience = patience
        self._writer = engine.execution_options(writing=True, patience=patience)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a read-only session with a consistent view of the database. Raises DatabaseError."""
        with Session(self.engine, autoflush=False) as session:
            try:
                yield session
            except sql_errors.OperationalError as error:  # the server went away; the next session reconnects
                raise DatabaseError(f"{_spoken(self.engine.url)} cannot be read: {_first_line(error)}") from error

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield the only write session; it is committed at the end, or rolled back on an exception.

        Raises DatabaseBusy, and DatabaseError where nothing can be written.
        """
        with Session(self._writer) as session:
            try:
                session.connection()
            except sql_errors.OperationalError as error:
                if not any(sign in _first_line(error) for sign in WAITED):
                    raise DatabaseError(
                        f"{_spoken(self.engine.url)} cannot be written: {_first_line(error)}"
                    ) from error
                raise DatabaseBusy(
                    f"{_spoken(self.engine.url)} has been written to by something else for more than"
                    f" {self.patience:g} s ({_first_line(error)}); wait for it to end and run this again"
                ) from error
            try:
                yield session
                session.commit()
            except sql_errors.OperationalError as error:  # a full disk, a read-only file, a lost connection
                raise DatabaseError(f"{_spoken(self.engine.url)} cannot be written: {_first_line(error)}") from error

    def check(self) -> None:
        """Raise DatabaseError unless the database can be read, SchemaMismatch unless its tables are of this version."""
        with _connected(self.engine) as connection:
            _check_revision(connection, self.engine.url)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_database(url: str, *, patience: float = PATIENCE) -> Database:
    """Open a database whose schema is that of this version. Raises DatabaseError, SchemaMismatch.

    `patience` is the time to wait for another writer, in seconds.
    """
    database = Database(_connect(url, create=False, patience=patience), patience)
    try:
        with _connected(database.engine) as connection:
            _check_revision(connection, database.engine.url)
    except DatabaseError:
        database.close()
        raise
    return database


def create_tables(url: str) -> None:
    """Create a new database with its tables; one that has tables is left as it is, and `open_database` judges it.

    So no command but `fungarium upgrade` migrates anybody's data. Raises DatabaseError, SchemaMismatch.
    """
    if not read_revision(url):
        upgrade(url)


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the schema to `revision`, creating the database and its tables if needed. Idempotent.

    Raises SchemaMismatch where the tables are of a newer version or another program.
    """
    engine = _connect(url, create=True)
    try:
        with _connected(engine.execution_options(writing=True)) as connection, connection.begin():
            if _refuse_strangers(connection, engine.url) == latest_revision() and revision == "head":
                return
            from alembic import command  # 11 MB that only a migration needs

            command.upgrade(_migrations(connection), revision)
    finally:
        engine.dispose()


def read_revision(url: str) -> str:
    """Return the schema revision of a database; empty if it does not exist or has no tables. Raises as `upgrade`."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return ""
    engine = _connect(url, create=False)
    try:
        with _connected(engine) as connection:
            return _refuse_strangers(connection, engine.url) or ""
    finally:
        engine.dispose()


def latest_revision() -> str:
    """Return the schema revision of this version."""
    return known_revisions()[-1]


def known_revisions() -> list[str]:
    """Return the schema revisions of this version, the oldest first: files of migrations begin with theirs."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def describe_address(url: str) -> str:
    """Return a database URL without its password. Raises DatabaseError."""
    return _spoken(parse_url(url))


def downgrade(url: str, revision: str = "base") -> None:
    """Downgrade the schema to `revision`; `base` drops all tables with their rows."""
    engine = _connect(url, create=False)
    try:
        with _connected(engine.execution_options(writing=True)) as connection, connection.begin():
            _refuse_strangers(connection, engine.url)
            from alembic import command

            command.downgrade(_migrations(connection), revision)
    finally:
        engine.dispose()


def parse_url(url: str) -> URL:
    """Parse a database URL; the driver of PostgreSQL is psycopg 3. Raises DatabaseError."""
    try:
        parsed = make_url(url)
    except sql_errors.ArgumentError as error:
        raise DatabaseError(
            f"{url!r} is not a database URL; write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
        ) from error
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise DatabaseError(f"{_spoken(parsed)}: only SQLite and PostgreSQL are supported")
    return parsed


def _connect(url: str, *, create: bool, patience: float = PATIENCE) -> Engine:
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _connect_sqlite(parsed, create=create, patience=patience)
    try:
        engine = create_engine(parsed, pool_pre_ping=True)
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"{_spoken(parsed)} needs the package {error.name}, which is not installed;"
            " for PostgreSQL run: pip install 'psycopg[binary]'"
        ) from error
    event.listen(engine, "begin", _take_turn)
    return engine


def _connect_sqlite(url: URL, *, create: bool, patience: float) -> Engine:
    file = Path(url.database) if url.database and url.database != ":memory:" else None
    if file is not None:
        if create:
            file.parent.mkdir(parents=True, exist_ok=True)
        elif not file.exists():
            raise NoDatabase(f"there is no database at {file} yet; `fungarium collection import` makes one")
    engine = create_engine(url, connect_args={"timeout": patience})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver's BEGIN comes too late: it excludes reads and DDL
    # FULL: under WAL, NORMAL flushes at checkpoints only, and a power cut would lose what was acknowledged since.
    for pragma in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # SQLite rejects a read transaction that starts to write after another writer, without waiting: so write
    # transactions take the lock when they begin.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _take_turn(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("writing", False):
        milliseconds = round(1000 * options.get("patience", PATIENCE))
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER})")
        connection.exec_driver_sql("SET LOCAL lock_timeout = 0")


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    try:
        connection = engine.connect()
    except sql_errors.DBAPIError as error:
        raise DatabaseError(f"{_spoken(engine.url)} cannot be opened: {_first_line(error)}") from error
    with connection:
        yield connection


def _migrations(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _check_revision(connection: Connection, url: URL) -> None:
    current = _refuse_strangers(connection, url)
    head = latest_revision()
    if current != head:
        state = "is empty" if current is None else f"has the tables of an older version ({current}, this one is {head})"
        raise SchemaMismatch(f"{_spoken(url)} {state}; bring it up to date with `fungarium upgrade`")


def _refuse_strangers(connection: Connection, url: URL) -> str | None:
    """Return the revision of the schema, None where there are no tables yet. Raises SchemaMismatch, DatabaseError."""
    try:
        tables = set(inspect(connection).get_table_names())
        marked = "alembic_version" in tables
        current = connection.scalar(text("SELECT version_num FROM alembic_version")) if marked else None
    except sql_errors.DatabaseError as error:
        raise DatabaseError(f"{_spoken(url)} cannot be read: {_first_line(error)}") from error
    if current is None:
        if strangers := tables & set(Base.metadata.tables):
            raise SchemaMismatch(
                f"{_spoken(url)} has tables named {', '.join(sorted(strangers))} but no version mark:"
                " it was not made by this program; use another database"
            )
        return None
    if current not in known_revisions():
        raise SchemaMismatch(
            f"{_spoken(url)} is of version {current}, which this program does not know:"
            " it was made by a newer one; update the program"
        )
    return str(current)


def _spoken(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _first_line(error: sql_errors.DBAPIError) -> str:
    return str(error.orig).strip().partition("\n")[0]
