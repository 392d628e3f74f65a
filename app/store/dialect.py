"""What a store asks of a database: all that SQLite and PostgreSQL do differently.

`app.store.sqlite` and `app.store.postgres` are the two answers; what differs within a query is in
`app.store.expressions`.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Table

from app.errors import DomainError
from app.store.changes import Changes
from app.text import is_writable, repaired

_ESCAPED_SURROGATE = r"\ud"


class Order(IntEnum):
    """What writes have to come one after another for, each until it is committed.

    SQLite has one writer at a time, and nothing to do for this. PostgreSQL has a lock for each. A write takes those
    that it names before all else and in the order of their numbers, so that no two wait for each other. See
    `docs/decisions/two-databases.md`.
    """

    EVENTS = 1
    """States of jobs, and with them the numbers and positions of events."""
    MODELS = 2
    """Names, versions and aliases of models."""
    KEYS = 3
    """API keys: one is always an admin's."""
    LEASES = 4
    """Who takes a lease."""
    USES = 5
    """When models and keys were last used."""
    USAGE = 6
    """What the data directory holds."""
    ENDS = 7
    """Up to where the ends of jobs have been seen."""
    MIGRATION = 8
    """The tables themselves."""


class Dialect(Protocol):
    """A database, as far as it is other than another one; nothing is opened before it is used."""

    @property
    def place(self) -> str:
        """What and where it is, for people; without a secret."""

    @property
    def shared(self) -> bool:
        """Whether servers with other data directories may use it, too."""

    @property
    def hint(self) -> str:
        """What an operator should look at when it does not answer."""

    @property
    def error(self) -> type[Exception]:
        """What its driver raises."""

    @property
    def changes(self) -> Changes:
        """Which tables were changed, by anybody."""

    def engines(self) -> tuple[Engine, Engine]:
        """Return what opens transactions that write, and what opens those that only read, each of one moment."""

    def take_turns(self, connection: Connection, orders: tuple[Order, ...]) -> None:
        """Wait until no other write goes on that names one of these; called before all else in a write."""

    def wrote(self) -> None:
        """Take note that a write of this thread has ended, however it has."""

    def lift_bounds(self, connection: Connection, *, alone: bool = False) -> None:
        """Let a transaction that reads last for as long as it takes; called before all else in it.

        Args:
            connection: in that transaction.
            alone: let nobody write meanwhile, where something else does not.
        """

    def storable(self, text: str, is_document: bool) -> str:
        """Return a text, or else a document as it is written, as it can be stored."""

    def go_on_counting(self, connection: Connection, tables: Collection[Table]) -> None:
        """Have numbers that the database gives itself go on behind those of rows that it was filled with."""

    def migrating(self) -> AbstractContextManager[None]:
        """Keep other processes from migrating, where `Order.MIGRATION` does not.

        Raises:
            Unavailable: another has been at it for too long.
        """

    def exists(self) -> bool:
        """Tell whether it may have tables, before it is opened."""

    def is_empty(self, connection: Connection) -> bool:
        """Tell whether its tables are to be made; otherwise they are brought forward.

        Raises:
            Unavailable: neither can be done with it.
        """

    def watch(self, connection: Connection) -> None:
        """Begin to count the changes of the watched tables of a new database."""

    def fault(self, error: BaseException) -> DomainError | None:
        """Return what an error of the driver says of the database; None where what was asked of it is wrong."""

    def opened(self) -> None:
        """Take note of which database it is, to tell another one in its place from it."""

    def probe(self, version: str) -> None:
        """Write to it by a new connection, and wait until that is on its disk.

        Args:
            version: of the tables, as it should be.

        Raises:
            StorageFault: it is gone, damaged, of another version, or cannot be written.
        """

    def close(self) -> None:
        """Close all connections."""


def write_json(document: Any) -> str:
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


def read_json(text: str) -> Any:
    """Read a document; halves of surrogate pairs, which earlier versions let in, are replaced."""
    document = json.loads(text)
    # Only what is no ASCII is escaped so; a whole pair is, too, and stays as it is.
    return repaired(document) if _ESCAPED_SURROGATE in text else document
