"""Which tables have changed: counters in the database, raised by triggers, so that no writer can forget it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from sqlalchemy import Connection, Table, insert

from app.store.tables import WATCHED, changes, metadata

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

    def close(self) -> None:
        """Let go of the database."""


class SqliteChanges:
    """Changes of an SQLite file, by a connection of its own that never writes and never waits.

    SQLite's `data_version` moves with every commit of any other connection, of any process; looking at it reads a word
    of shared memory. Only when it has moved are the counters read. Not for several threads at once: the one that has
    the event loop uses it.
    """

    def __init__(self, file: Path) -> None:
        """Prepare to look at a file; it is opened at the first look."""
        self._address = f"file:{quote(str(file))}?mode=rw"
        self._connection: sqlite3.Connection | None = None
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

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self._version = None

    def _look(self) -> None:
        if self._connection is None:
            # closed by another thread than the one that looks
            self._connection = sqlite3.connect(
                self._address, uri=True, timeout=0, isolation_level=None, check_same_thread=False
            )
        # All rows are fetched, so that the statement ends and holds up no checkpoint.
        ((version,),) = self._connection.execute(_LOOK).fetchall()
        if version != self._version:
            # After the version: what is written between the two is found at the next look.
            self._counters = dict(self._connection.execute(_READ).fetchall())
            self._told.clear()
            self._version = version


def watch(connection: Connection) -> None:
    """Begin to count the changes of the watched tables of a new database."""
    for table in metadata.sorted_tables:
        if table.info == WATCHED:
            connection.execute(insert(changes).values(table_name=table.name, counter=0))
            for event in ("INSERT", "UPDATE", "DELETE"):
                connection.exec_driver_sql(_TRIGGER.format(table=table.name, name=event.lower(), event=event))
