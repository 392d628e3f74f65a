"""The database of one data directory: an SQLite file, shared between the web processes and their workers."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, insert, inspect

from app.errors import DomainError, StorageFault, Unavailable
from app.files.faults import is_read_only, storage_fault
from app.files.locks import FileLock
from app.store.changes import SqliteChanges, triggers, watched
from app.store.dialect import Order, read_json, write_json
from app.store.probe import Probe
from app.store.tables import changes

_LOCK_NAME = "migrate.lock"
_BUSY_SECONDS = 30.0
_MIGRATE_SECONDS = 120.0
_READ_ONLY = "convserve_read_only"


class Sqlite:
    """An SQLite file; see `Dialect`. A write is alone from its beginning on."""

    shared = False
    hint = "see that the data directory is mounted, writable and not full, and has its database"
    error = sqlite3.Error

    def __init__(self, file: Path) -> None:
        """Prepare to open a file; it is not before it is used."""
        self._file = file
        self._probe = Probe(file)
        self._engine = create_engine(
            URL.create("sqlite", database=str(file)),
            # The driver's own way of beginning transactions is off: `_begin` says how.
            connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
            json_serializer=write_json,
            json_deserializer=read_json,
        )
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        self.place = f"the database in {file.parent}"
        self.changes = SqliteChanges(file)

    def engines(self) -> tuple[Engine, Engine]:
        """Return what begins as a writer, and what begins as a reader."""
        return self._engine, self._engine.execution_options(**{_READ_ONLY: True})

    def take_turns(self, connection: Connection, orders: tuple[Order, ...]) -> None:
        """Do nothing: whoever writes is alone."""

    def wrote(self) -> None:
        """Do nothing: the file says so itself."""

    def lift_bounds(self, connection: Connection, *, alone: bool = False) -> None:
        """Do nothing: nobody hurries it, and the lock of the data directory keeps servers away."""

    def storable(self, text: str, is_document: bool) -> str:
        """Return it as it is."""
        return text

    def go_on_counting(self, connection: Connection, tables: Collection[Table]) -> None:
        """Do nothing: it counts by what is there."""

    @contextmanager
    def migrating(self) -> Iterator[None]:
        """Hold the lock of migrations; the directory is made where there is none."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._file.with_name(_LOCK_NAME))
        if not lock.acquire(timeout=_MIGRATE_SECONDS):
            raise Unavailable(f"another process has been migrating {self._file.parent} for too long")
        with lock:
            yield

    def exists(self) -> bool:
        """Tell whether there is a file: connecting would make one."""
        return self._file.exists()

    def is_empty(self, connection: Connection) -> bool:
        """Tell whether there is no table."""
        return not inspect(connection).get_table_names()

    def watch(self, connection: Connection) -> None:
        """Make the counters, and the triggers that raise them."""
        for table in watched():
            connection.execute(insert(changes).values(table_name=table.name, counter=0))
        for trigger in triggers():
            connection.exec_driver_sql(trigger)

    def fault(self, error: BaseException) -> DomainError | None:
        """Return what an error says of the file."""
        fault = storage_fault(error)
        if fault is not None:
            self._probe.saw(error)
            self._open_anew(error)
            return fault
        if isinstance(error, sqlite3.OperationalError):
            return Unavailable(f"the database does not answer: {error}")
        return None

    def opened(self) -> None:
        """Take note of which file it is."""
        self._probe.opened()

    def probe(self, version: str) -> None:
        """Write to the file, and see that it is the one that it was, and whole as far as is known."""
        try:
            self._probe.look(version)
        except StorageFault as fault:
            self._open_anew(fault.__cause__)
            raise

    def _open_anew(self, cause: BaseException | None) -> None:
        """Close all connections once one could only read, so that the next ones can write when the disk can again.

        SQLite opens for reading what it may not open for writing, and all connections of a process share the memory
        of the journal as it was opened first: as long as one of them is open, the next can write no more than it.
        """
        if cause is not None and is_read_only(cause):
            self.close()

    def close(self) -> None:
        """Close all connections."""
        self.changes.close()
        self._engine.dispose()


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
