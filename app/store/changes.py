"""Which tables have changed: counters in the database, raised by triggers, so that no writer can forget it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from sqlalchemy import Table

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

    SQLite's `data_version` moves with every commit of any other connection, of any process; looking at it reads a word
    of shared memory. Only when it has moved are the counters read. The thread that has the event loop looks; any may
    close it, and it is opened again at the next look.
    """

    def __init__(self, file: Path) -> None:
        """Prepare to look at a file; it is opened at the first look."""
        self._address = f"file:{quote(str(file))}?mode=rw"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._seen: asyncio.AbstractEventLoop | None = None
        """The event loop in this turn of which it was looked at."""
        self._version: int | None = None
        self._counters: dict[str, int] = {}
        self._told: dict[tuple[Table, ...], tuple[int, ...]] = {}
        """What was told since the version moved."""

    def counters(self, tables: tuple[Table, ...]) -> tuple[int, ...] | None:
        """Return the counter of each table; None where the database does not answer at once."""
        try:
            self._look()
        except sqlite3.Error:
            self._version = None
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
                self._connection = self._cursor = None
                self._version = None

    def _look(self) -> None:
        """See whether anything was written; once for all requests of one turn of the event loop.

        All of them had arrived before the first of them looks. What is committed after that, no caller among them can
        have been told; whoever was told asks in a later turn.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # in tests
            loop = None
        if loop is not None and self._seen is loop:
            return
        with self._lock:
            if self._connection is None or self._cursor is None:
                # closed by another thread than the one that looks
                self._connection = sqlite3.connect(
                    self._address, uri=True, timeout=0, isolation_level=None, check_same_thread=False
                )
                self._cursor = self._connection.cursor()
            # All rows are fetched, so that the statement ends and holds up no checkpoint.
            ((version,),) = self._cursor.execute(_LOOK).fetchall()
            if version != self._version:
                # After the version: what is written between the two is found at the next look.
                self._counters = dict(self._cursor.execute(_READ).fetchall())
                self._told.clear()
                self._version = version
        if loop is not None:
            loop.call_soon(self._turn)
            self._seen = loop

    def _turn(self) -> None:
        self._seen = None


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
