"""Copies of a database that others are writing to, each of one moment, and what is wrong inside of a database."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from app.errors import Unavailable
from app.files.artifacts import sync_directory
from app.files.volume import free_bytes
from app.states import UNFINISHED
from app.store.changes import triggers
from app.store.database import DATABASE_NAME
from app.store.records import Json

_BUSY_SECONDS = 30.0
_ROOM_TO_OPEN = 64 * 1024
"""Bytes that have to be free so that a database can be opened: it makes two small files."""
_FULL = (
    "the disk of {directory} is full ({free} bytes are free), and the database cannot even be read without a little "
    "room: {error}. Delete or move other files on that disk; {directory}/reserve may go, which the server makes again"
)
_BESIDE = ("-wal", "-shm", "-journal")
"""How the names of the files end that SQLite has beside a database."""
_MOST_FAULTS = 20
"""Faults of one database that are named."""


class Snapshot:
    """One moment of a database: it stays that moment as long as this is open, whatever is written meanwhile."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def version(self) -> str:
        """Return the version of the tables."""
        return str(self._connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])

    def unfinished(self) -> dict[str, tuple[Json, Json]]:
        """Return what the jobs are to do that have not ended, and their checkpoints; what cannot be read is empty."""
        marks = ", ".join("?" * len(UNFINISHED))
        query = f"SELECT id, request, checkpoint FROM jobs WHERE status IN ({marks})"  # noqa: S608 - marks alone
        rows = self._connection.execute(query, [str(status) for status in UNFINISHED]).fetchall()
        return {
            str(key): (read_document(request), read_document(checkpoint)) for key, request, checkpoint in rows
        }

    def copy(self, directory: Path) -> None:
        """Write this moment as the database of another directory.

        What was deleted is not in it: pages that hold no row any more are left out. Nothing is written elsewhere, where
        there may be little room. It is one file, and not flushed.

        Raises:
            Unavailable: it cannot be written there.
        """
        pages = directory / "pages"
        try:
            with closing(sqlite3.connect(pages, isolation_level=None)) as target:
                self._connection.backup(target)
                target.execute("VACUUM INTO ?", (str(directory / DATABASE_NAME),))
        except sqlite3.Error as error:
            raise Unavailable(
                f"the database cannot be copied to {directory}: {error}. Two copies of it need room there"
            ) from error
        for left in directory.glob("pages*"):
            left.unlink()


@contextmanager
def snapshot(directory: Path) -> Iterator[Snapshot]:
    """Open the database of a data directory at this moment. Nobody who writes waits for that.

    Raises:
        Unavailable: there is none, or it cannot be read.
    """
    with _opened(directory) as connection:
        connection.execute("BEGIN")
        # the moment is that of the first read
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield Snapshot(connection)


def find_faults(directory: Path, *, quick: bool = False) -> list[str]:
    """Return what is wrong inside of the database of a directory: its pages, its indices, rows that name no other row.

    Args:
        directory: where it is.
        quick: pass over the indices, most of the work.

    Raises:
        Unavailable: there is no database, or it is none.
    """
    with _opened(directory) as connection:
        pragma = "quick_check" if quick else "integrity_check"
        rows = connection.execute(f"PRAGMA {pragma}({_MOST_FAULTS})").fetchall()
        found = [str(text) for (text,) in rows if text != "ok"]
        for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_FAULTS):
            found.append(f"row {rowid} of {table} names a row of {parent} that is not there")
        return found


def find_strangers(directory: Path) -> list[str]:
    """Return what a database of this version has that none of ours has, and that could do something when it is used."""
    ours = {"".join(text.split()) for text in triggers()}
    with _opened(directory) as connection:
        rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
        return [
            f"the {kind} {name!a} is none of this program's"
            for kind, name, text in rows
            if (kind not in ("table", "index") and not (kind == "trigger" and "".join(text.split()) in ours))
            or "VIRTUAL" in text.upper().split()
        ]


def count_rows(directory: Path) -> dict[str, int]:
    """Return how many rows each table of the database of a directory has."""
    with _opened(directory) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - its own
            for (name,) in names
            if '"' not in name
        }


def check_exists(directory: Path) -> None:
    """Refuse a directory without a database.

    Raises:
        Unavailable: it is one.
    """
    if not (directory / DATABASE_NAME).is_file():
        raise Unavailable(f"there is no {DATABASE_NAME} in {directory}: it is no data directory")


def move_in(file: Path, directory: Path) -> None:
    """Make a file the database of a directory that has none.

    What a database before it has left there goes first: SQLite would read that log as the end of this one.
    """
    with file.open("rb") as content:
        os.fsync(content.fileno())
    for ending in _BESIDE:
        (directory / f"{DATABASE_NAME}{ending}").unlink(missing_ok=True)
    # gone for certain before there is something that it could be read with
    sync_directory(directory)
    file.rename(directory / DATABASE_NAME)
    sync_directory(directory)


@contextmanager
def _opened(directory: Path) -> Iterator[sqlite3.Connection]:
    check_exists(directory)
    try:
        address = f"file:{quote(str(directory / DATABASE_NAME))}?mode=rw"
        with closing(
            sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as connection:
            yield connection
    except sqlite3.Error as error:
        if (free := free_bytes(directory)) < _ROOM_TO_OPEN:
            raise Unavailable(_FULL.format(directory=directory, free=free, error=error)) from error
        raise Unavailable(f"the database in {directory} cannot be read: {error}") from error


def read_document(text: str | None) -> Json:
    """Return a document; what cannot be read is empty."""
    try:
        document = json.loads(text or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
