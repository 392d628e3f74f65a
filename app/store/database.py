"""The connection to the database: how transactions begin, how durable they are, how it is migrated."""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import IntegrityError, OperationalError

from app.errors import Conflict, Unavailable
from app.files.locks import FileLock
from app.store.changes import watch
from app.store.tables import metadata
from app.text import is_writable, repaired

DATABASE_NAME = "convserve.sqlite3"
_LOCK_NAME = "migrate.lock"
_BUSY_SECONDS = 30.0
_MIGRATE_SECONDS = 120.0
_READ_ONLY = "convserve_read_only"
_ESCAPED_SURROGATE = r"\ud"


class Database:
    """An SQLite file, shared between the web process and its workers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._engine = _engine(directory / DATABASE_NAME)
        self._reader = self._engine.execution_options(**{_READ_ONLY: True})
        self._check: Callable[[Connection], None] | None = None

    def checked(self, check: Callable[[Connection], None]) -> Database:
        """Return this database for somebody who may write only while a check at the start of each write passes."""
        checked = copy.copy(self)
        checked._check = check
        return checked

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment and does not wait for writers.

        Raises:
            Unavailable: the database does not answer.
        """
        with _translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open a transaction that is the only one to write; what it reads stays true until it ends.

        Raises:
            Conflict: there is such a record already.
            Unavailable: the database does not answer, or others have been writing for too long.
        """
        with _translated(), self._engine.begin() as connection:
            if self._check is not None:
                self._check(connection)
            yield connection

    def migrate(self) -> None:
        """Make the database, or bring it to the tables of this version; one process at a time.

        Raises:
            Unavailable: another process has been at it for too long, or the database is from a newer
                version.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._version() == newest_version():
            return
        lock = FileLock(self.directory / _LOCK_NAME)
        if not lock.acquire(timeout=_MIGRATE_SECONDS):
            raise Unavailable(f"another process has been migrating {self.directory} for too long")
        with lock, self.write() as connection:
            if not inspect(connection).get_table_names():
                _create(connection)
            else:
                _upgrade(connection, self.directory)

    def _version(self) -> str | None:
        """Return the version of the tables, None where there are none."""
        if not (self.directory / DATABASE_NAME).exists():
            return None
        with self.read() as connection:
            tables = connection.exec_driver_sql(
                "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
            )
            if not tables.scalar():
                return None
            version: str | None = connection.exec_driver_sql(
                "SELECT version_num FROM alembic_version"
            ).scalar()
            return version

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@functools.cache
def newest_version() -> str:
    """Return the version that the migrations lead to. Importing them takes Alembic, half of a start: they are read."""
    files = (Path(__file__).parent / "migrations" / "versions").glob("*.py")
    found = [re.search(r'^revision = "(\d+)"$', file.read_text(encoding="utf-8"), re.M) for file in files]
    return max(match[1] for match in found if match)


def _create(connection: Connection) -> None:
    """Make the tables in an empty database, as all migrations one after another would."""
    metadata.create_all(connection)
    watch(connection)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (newest_version(),))


def _upgrade(connection: Connection, directory: Path) -> None:
    # nothing else needs it
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "app.store:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise Unavailable(
            f"the database in {directory} cannot be brought to this version ({error}); "
            "it may have been used with a newer version of this program: install that one"
        ) from error


@contextmanager
def _translated() -> Iterator[None]:
    """Say what went wrong in the words of the service."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(f"there is such a record already: {error.orig}", code="exists") from error
    except OperationalError as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        # The driver's own way of beginning transactions is off: `_begin` says how.
        connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
        json_serializer=_write_json,
        json_deserializer=_read_json,
    )
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _write_json(document: Any) -> str:
    """Write a document as JSON.

    Raises:
        ValueError: it could be stored, but never be read or answered again.
    """
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    if not is_writable(document):
        raise ValueError(
            "a document is nested too deeply, or holds half a surrogate pair or an endless number"
        )
    return text


def _read_json(text: str) -> Any:
    """Read a document; halves of surrogate pairs, which earlier versions let in, are replaced."""
    document = json.loads(text)
    # Only what is no ASCII is escaped so; a whole pair is, too, and stays as it is.
    return repaired(document) if _ESCAPED_SURROGATE in text else document


def _configure(connection: Any, record: object) -> None:
    # SQLite's own knows the letters of ASCII alone
    connection.create_function("lower", 1, _lower, deterministic=True)
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _begin(connection: Connection) -> None:
    # A transaction that begins as a reader and then writes can fail at once when somebody else has
    # written in between; one that says so from the start waits for its turn.
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
