"""Which tables of a PostgreSQL database have changed, as it tells by itself: LISTEN and NOTIFY.

One connection of each serving process listens. What others commit it hears of within milliseconds; what its own process
commits counts at once. While the connection is lost, or the server has given no sign of life for a while, nothing is
known, and nothing is answered from memory.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table

from app.log import Log

if TYPE_CHECKING:
    import psycopg

log = Log(__name__)

CHANNEL = "convserve"
_JOIN_SECONDS = 10.0
"""For the end of the thread that listens, which a machine that is gone may keep."""
_PING = 0.5
"""Seconds between two signs of life that the server is asked for."""
_TRUST = 2.0
"""Seconds for which one holds."""
_PAUSE = 0.5
"""Seconds until the next try to connect."""


class PostgresChanges:
    """Changes of a PostgreSQL database; see `Changes`. Safe for several threads.

    Args:
        connect: opens a connection.
        tables: those whose changes are told.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], tables: Collection[str]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._counters = dict.fromkeys(tables, 0)
        self._heard = float("-inf")
        """When the server last gave a sign of life."""
        self._followers: list[tuple[str, Callable[[], None]]] = []
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._schema = ""

    def counters(self, tables: tuple[Table, ...]) -> tuple[int, ...] | None:
        """Return the counter of each table; None while it is not known whether anything has changed."""
        self._start()
        if time.monotonic() - self._heard > _TRUST:
            return None
        return tuple(self._counters[table.name] for table in tables)

    def follow(self, table: Table, call: Callable[[], None]) -> None:
        """Call something whenever a table may have changed, from now on."""
        self._followers.append((table.name, call))
        self._start()

    def raise_(self, tables: Iterable[str]) -> None:
        """Count a change of each of some tables."""
        with self._lock:
            for name in tables:
                if name in self._counters:
                    self._counters[name] += 1

    def close(self) -> None:
        """Listen no more."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)
        self._heard = float("-inf")

    def _start(self) -> None:
        if self._thread is None and not self._closing.is_set():
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
                    self._thread.start()

    def _run(self) -> None:
        lost = False
        while not self._closing.is_set():
            try:
                self._listen()
            except Exception as error:
                # whatever it is, the next try may do
                if not lost and not self._closing.is_set():
                    log.warning("changes_not_heard", error=type(error).__name__)
                lost = True
                self._heard = float("-inf")
                self._closing.wait(_PAUSE)

    def _listen(self) -> None:
        """Hear of changes until the connection is lost, or this is closed."""
        with self._connect() as connection:
            schema = connection.execute("SELECT current_schema()").fetchone()
            prefix = f"{schema[0] if schema else None}."
            connection.add_notify_handler(lambda notice: self._take(notice.payload, prefix))
            connection.execute(f"LISTEN {CHANNEL}")
            # what was committed until now nobody has told of
            self._take_all()
            waiting = select.poll()
            waiting.register(connection.fileno(), select.POLLIN)
            while not self._closing.is_set():
                # before it is asked: what it has not told by then is yet to come
                asked = time.monotonic()
                connection.execute("SELECT 1")
                self._heard = asked
                waiting.poll(_PING * 1000)

    def _take(self, payload: str, prefix: str) -> None:
        if payload.startswith(prefix):
            name = payload.removeprefix(prefix)
            self.raise_([name])
            for table, call in self._followers:
                if table == name:
                    call()

    def _take_all(self) -> None:
        self.raise_(self._counters)
        for _, call in self._followers:
            call()
