"""Which tables have changed: counters in the database, raised by triggers, so that no writer can forget it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from sqlalchemy import Table

from app.store.journal import Head, head_of
from app.store.tables import WATCHED, metadata

_LOOK = "PRAGMA data_version"
_READ = "SELECT table_name, counter FROM changes"
_TRIGGER = (
    "CREATE TRIGGER {table}_{name} AFTER {event} ON {table} BEGIN "
    "UPDATE changes SET counter = counter + 1 WHERE table_name = '{table}'; END"
)


class Changes(Protocol):
    """Tells how often tables have been changed by anybody, in this process or another one."""

    def counters(self, tables: tuple[Table, ...]) -> tuple[int, ...] | None:
        """Return the counter of each table; None where that cannot be told now."""

    def follow(self, table: Table, call: Callable[[], None]) -> None:
        """Have something called, by any thread, when a table may have changed, where the database tells by itself."""

    def close(self) -> None:
        """Let go of the database."""


class SqliteChanges:
    """Changes of an SQLite file, by a connection of its own that never writes and never waits.

    SQLite's `data_version` moves with every commit of any other connection, of any process. It is asked for once what
    the connections share in memory has changed, see `app.store.journal`, or always where that cannot be seen; and only
    when it has moved are the counters read. The thread that has the event loop looks; any may close it, and it is
    opened again at the next look.
    """

    def __init__(self, file: Path) -> None:
        """Prepare to look at a file; it is opened at the first look."""
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._head: Head | None = None
        self._written: bytes | None = None
        """What was in that head before the last look."""
        self._version: int | None = None
        self._counters: dict[str, int] = {}
        self._told: dict[tuple[Table, ...], tuple[int, ...]] = {}
        """What was told since the version moved."""

    def counters(self, tables: tuple[Table, ...]) -> tuple[int, ...] | None:
        """Return the counter of each table; None where the database does not answer at once."""
        try:
            self._look()
        except sqlite3.Error:
            self._version = self._written = None
            return None
        told = self._told.get(tables)
        if told is None:
            told = self._told[tables] = tuple(self._counters[table.name] for table in tables)
        return told

    def follow(self, table: Table, call: Callable[[], None]) -> None:
        """Do nothing: a file tells nobody, and whoever changes it says so to whom it concerns."""

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = self._cursor = self._head = None
                self._version = self._written = None

    def _look(self) -> None:
        """See whether anything was written."""
        with self._lock:
            if self._cursor is None:
                self._cursor = self._open()
            written = None if self._head is None else self._head.raw
            if written is not None and written == self._written:
                return
            version = _version(self._cursor)
            if version != self._version:
                # After the version: what is written between the two is found at the next look.
                self._counters = dict(self._cursor.execute(_READ).fetchall())
                self._told.clear()
                self._version = version
            # From before the version, for the same reason.
            self._written = written

    def _open(self) -> sqlite3.Cursor:
        """Connect; another thread than the one that looks may have closed what there was."""
        address = f"file:{quote(str(self._file))}?mode=rw"
        connection = sqlite3.connect(
            address, uri=True, timeout=0, isolation_level=None, check_same_thread=False
        )
        cursor = connection.cursor()
        _version(cursor)  # nothing is mapped before it has read
        self._connection, self._head = connection, head_of(self._file)
        return cursor


def _version(cursor: sqlite3.Cursor) -> int:
    # All rows are fetched, so that the statement ends and holds up no checkpoint.
    ((version,),) = cursor.execute(_LOOK).fetchall()
    return int(version)


def triggers() -> list[str]:
    """Return the statements that make the triggers of an SQLite file."""
    return [
        _TRIGGER.format(table=table.name, name=event.lower(), event=event)
        for table in watched()
        for event in ("INSERT", "UPDATE", "DELETE")
    ]


def watched() -> list[Table]:
    """Return the tables whose changes are counted."""
    return [table for table in metadata.sorted_tables if table.info == WATCHED]
