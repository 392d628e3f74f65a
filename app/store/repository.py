"""What all repositories share: reading one record, reading a page, writing a record."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Table, func, insert, select, tuple_

from app.errors import Conflict, Invalid, NotFound
from app.store.database import Database
from app.store.records import ArchitectureRecord, DatasetRecord, JobRecord, ModelRecord, Page
from app.store.rows import read_rows

R = TypeVar("R", ArchitectureRecord, DatasetRecord, JobRecord, ModelRecord)


class Repository(Generic[R]):
    """The records of one table; columns are called like the fields of the record."""

    kind: ClassVar[str]
    """What messages call such a record."""
    table: ClassVar[Table]
    record: type[R]

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, identifier: str) -> R:
        """Return a record.

        Raises:
            NotFound: there is none of this id.
        """
        with self._database.read() as connection:
            return self._get(connection, identifier)

    def page(self, limit: int, after: str | None = None) -> Page[R]:
        """Return up to `limit` records, newest first, that follow the one whose id is `after`.

        Raises:
            Invalid: there is no record `after`.
        """
        return self._page(limit, after)

    def identifiers(self) -> frozenset[str]:
        """Return the ids of all records."""
        with self._database.read() as connection:
            return frozenset(connection.scalars(select(self.table.c.id)))

    def _get(self, connection: Connection, identifier: str) -> R:
        query = select(self.table).where(self.table.c.id == identifier)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFound.of(self.kind, identifier)
        return self._record(row)

    def _page(self, limit: int, after: str | None, *conditions: ColumnElement[bool]) -> Page[R]:
        columns = self.table.c
        # One more than asked for, to know whether anything follows.
        query = select(self.table).where(*conditions).limit(limit + 1)
        query = query.order_by(columns.created_at.desc(), columns.id.desc())
        with self._database.read() as connection:
            if after is not None:
                last = connection.execute(
                    select(columns.created_at, columns.id).where(columns.id == after)
                ).one_or_none()
                if last is None:
                    hint = "it may have been deleted; start again without `after`"
                    raise Invalid.at("after", f"there is no {self.kind} {after!r}", hint, parameter=True)
                query = query.where(tuple_(columns.created_at, columns.id) < tuple_(*last))
            rows = read_rows(connection, query, columns.id)
        records = tuple(self._record(row) for _, row in rows[:limit] if row is not None)
        return Page(records, rows[limit - 1][0] if len(rows) > limit else None)

    def _insert(self, connection: Connection, record: R) -> None:
        connection.execute(insert(self.table).values(**values(record)))

    def _record(self, row: Row[Any]) -> R:
        return self.record(**row._asdict())

    def _not_builtin(self, record: R) -> None:
        if record.builtin:
            raise Conflict(f"{self.kind} {record.id!r} is built in and cannot be deleted", code="built-in")


def has_tag(column: ColumnElement[Any], tag: str, path: str = "$") -> ColumnElement[bool]:
    """Return the condition that a list in a JSON column holds a text.

    Args:
        column: the column.
        tag: the text.
        path: where in the document the list is (SQLite's JSON path).
    """
    entries = func.json_each(column, path).table_valued("value")
    return select(entries.c.value).where(entries.c.value == tag).exists()


def values(record: Any) -> dict[str, Any]:
    """Return the fields of a record as they are, without going into them."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
