"""Whether the database is there, whole, of this version, and can be written: found out by writing to it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from app.errors import StorageUnavailable
from app.files.faults import damages, storage_fault

_BUSY_SECONDS = 5.0
_CHECK_SECONDS = 60.0
_LARGEST = 0x7FFFFFFF


class Probe:
    """Looks at one database, by a new connection each time: those that are open may be to a file that is gone.

    Args:
        file: the database.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: tuple[int, int] | None = None
        self._damaged = False
        self._checked = 0.0

    def opened(self) -> None:
        """Take note of which file the connections are to."""
        self._known = self._identity()

    def saw(self, error: BaseException) -> None:
        """Take note of what a query has raised: where the database is damaged, the next looks are for the damage."""
        if damages(error):
            self._damaged, self._checked = True, 0.0

    def look(self, version: str) -> None:
        """Write a number into the head of the database, which has no meaning, and wait until it is on the disk.

        Args:
            version: of the tables, as it should be.

        Raises:
            StorageFault: it is gone, damaged, of another version, or cannot be written.
        """
        try:
            found = self._write()
        except sqlite3.Error as error:
            fault = storage_fault(error)
            if fault is None:
                raise StorageUnavailable("the database does not answer", part="database") from error
            raise fault from error
        if found != version:
            raise StorageUnavailable(
                f"the tables of the database are of version {found}, and this program needs {version}: start it again, "
                "or the one that they are of",
                part="database",
            )
        if self._known is not None and self._identity() != self._known:
            raise StorageUnavailable(
                "the database was replaced by another file while the server ran: start the server again",
                part="database",
            )

    def _write(self) -> str | None:
        address = f"file:{quote(str(self._file))}?mode=rw"
        with closing(
            sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)
        ) as connection:
            ((version,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            ((number,),) = connection.execute("PRAGMA user_version").fetchall()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA user_version = {(number + 1) & _LARGEST}")
            self._look_for_damage(connection)
            return str(version)

    def _look_for_damage(self, connection: sqlite3.Connection) -> None:
        """Read all of a database of which damage was seen, once a minute, until there is none."""
        if not self._damaged:
            return
        if time.monotonic() - self._checked >= _CHECK_SECONDS:
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
            self._checked = time.monotonic()
            self._damaged = found != "ok"
        if self._damaged:
            raise StorageUnavailable(
                "the database is damaged: stop the server and restore it from a backup",
                part="database",
                kind="damaged",
            )

    def _identity(self) -> tuple[int, int] | None:
        try:
            about = self._file.stat()
        except OSError:
            return None
        return about.st_dev, about.st_ino
