"""The rows of one database taken over by another, of whichever kind: every table, and compared row by row afterwards.

Columns are taken from the tables themselves, on both sides, and documents as they are written. So tables of an earlier
version can be read, and nothing has to be understood that is only carried.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, ColumnElement, Connection, MetaData, Table, delete, event, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import Text, TypeDecorator

from app.errors import Conflict
from app.store.database import Database
from app.store.expressions import document, row_place, written
from app.store.rows import UNREADABLE
from app.store.tables import changes

_AT_A_TIME = 500
"""Rows that are in memory at once."""

Storable = Callable[[str, bool], str]
"""Returns a text, or else a document, as a database can hold it."""
Seen = Callable[[str, int], None]
"""Is told of how many rows of which table have been taken over."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A table that was taken over: its name, how many rows it has and the SHA-256 of them, the same on both sides."""

    table: str
    rows: int
    sha256: str


class _AsWritten(TypeDecorator[str]):
    """A document as it is written."""

    impl = Text
    cache_ok = True

    def column_expression(self, column: Any) -> Any:
        return written(column)

    def bind_expression(self, bindparam: Any) -> Any:
        return document(bindparam)


def take_over(
    source: Connection,
    target: Database,
    *,
    version: str | None = None,
    seen: Seen = lambda table, rows: None,
) -> tuple[TakenOver, ...]:
    """Make the tables in an empty database and fill them with the rows of another, in one transaction of its own.

    What a database cannot hold is replaced there, as it would be in anything that is written to it.

    Args:
        source: reads one moment of a database.
        target: what has no tables yet.
        version: of the tables, those of this program by default; the source has it.
        seen: told of each table, again and again.

    Raises:
        Conflict: the target is not empty, a row can be read or stored by neither, or what is there afterwards is not
            what was read; the target stays as it was.
    """

    def fill(connection: Connection, names: Collection[str]) -> tuple[TakenOver, ...]:
        ours, theirs = _tables(connection, names), _tables(source, names)
        # what raises counters while the others are filled is to have those of the source in the end
        ours.sort(key=lambda table: table.name == changes.name)
        by_name = {table.name: table for table in theirs}
        pairs = [(by_name.get(table.name), table) for table in ours]
        storable = target.storable
        for before, table in pairs:
            if before is None or set(before.c.keys()) != set(table.c.keys()):
                raise Conflict(
                    f"the table {table.name} is not the same in both databases: is one of them damaged?"
                )
            connection.execute(delete(table))
            count = 0
            for rows in _batches(source, before, table.c.keys(), storable):
                _insert(connection, table, rows)
                count += len(rows)
                seen(table.name, count)
        target.go_on_counting(connection, ours)
        return tuple(
            _compare(source, before, connection, table, storable)
            for before, table in pairs
            if before is not None
        )

    return target.fill(fill, version)


def _tables(connection: Connection, names: Collection[str]) -> list[Table]:
    """Return tables as they are in a database, each after those that it refers to."""
    metadata = MetaData()

    @event.listens_for(metadata, "column_reflect")
    def _keep_documents(_inspector: Any, _table: Table, column: Any) -> None:
        if isinstance(column["type"], JSON):
            column["type"] = _AsWritten()

    metadata.reflect(connection, only=lambda name, _: name in names)
    return list(metadata.sorted_tables)


def _batches(
    connection: Connection, table: Table, columns: Iterable[str], storable: Storable
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows of a table in the order of their keys, with what they hold as the target can hold it."""
    chosen = [table.c[name] for name in columns]
    documents = [isinstance(column.type, _AsWritten) for column in chosen]
    # fetched bit by bit also where the driver would rather have all of it
    streamed = connection.execution_options(yield_per=_AT_A_TIME)
    found = streamed.execute(select(*chosen).order_by(*table.primary_key))
    try:
        for rows in found.partitions():
            yield [
                tuple(
                    storable(value, is_document) if isinstance(value, str) else value
                    for value, is_document in zip(row, documents, strict=True)
                )
                for row in rows
            ]
    except UNREADABLE as error:
        raise Conflict(
            f"the row {_unreadable(connection, table, chosen)} of the table {table.name} cannot be read. DELETE what "
            "it belongs to by the service, or restore a backup"
        ) from error
    finally:
        found.close()


def _unreadable(connection: Connection, table: Table, columns: Sequence[ColumnElement[Any]]) -> str:
    """Return the key of the first row that cannot be read; the statement that came upon it does not say."""
    place, keys = row_place(table), table.primary_key
    for at, *key in connection.execute(select(place, *map(written, keys)).order_by(*keys)).all():
        try:
            connection.execute(select(*columns).where(place == at)).all()
        except UNREADABLE:
            return " ".join(map(str, key))
    return "that was just being read"


def _insert(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Store rows; where that fails, say of which one."""
    named = [dict(zip(table.c.keys(), row, strict=True)) for row in rows]
    try:
        with connection.begin_nested():
            # what returns something is sent as one statement, and triggers count statements
            connection.execute(insert(table).returning(*table.primary_key), named)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        for row in named:
            try:
                with connection.begin_nested():
                    connection.execute(insert(table), row)
            except DBAPIError as fault:
                key = " ".join(str(row[column.name]) for column in table.primary_key)
                what = str(fault.orig).partition("\n")[0]
                raise Conflict(
                    f"the row {key} of the table {table.name} cannot be taken over: {what}. DELETE what it "
                    "belongs to by the service, or restore a backup"
                ) from fault
        raise


def _compare(
    source: Connection, before: Table, target: Connection, after: Table, storable: Storable
) -> TakenOver:
    """Hold the rows of a table against those that were taken over, one after another."""
    columns = sorted(after.c.keys())
    place = [columns.index(column.name) for column in after.primary_key]
    digest = hashlib.sha256()
    count = 0
    sides = (_rows(source, before, columns, storable), _rows(target, after, columns, lambda text, _: text))
    for pair in itertools.zip_longest(*sides):
        read, stored = map(repr, pair)
        if read != stored:
            row = pair[0] or pair[1] or ()
            key = " ".join(str(row[index]) for index in place)
            raise Conflict(
                f"the row {key} of the table {after.name} is not what was read: nothing was taken over"
            )
        digest.update(stored.encode("utf-8", "surrogatepass"))
        count += 1
    return TakenOver(after.name, count, digest.hexdigest())


def _rows(
    connection: Connection, table: Table, columns: Iterable[str], storable: Storable
) -> Iterator[tuple[Any, ...]]:
    for rows in _batches(connection, table, columns, storable):
        yield from rows
