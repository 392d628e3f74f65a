"""What all repositories share: reading one record, reading a page, writing a record."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    Table,
    insert,
    select,
    tuple_,
    type_coerce,
)

from app.errors import Conflict, Damaged, Invalid, NotFound
from app.store.cache import cached
from app.store.database import Database
from app.store.expressions import AS_WRITTEN
from app.store.records import ArchitectureRecord, DatasetRecord, JobRecord, ModelRecord, Page
from app.store.rows import UNREADABLE, read_records, to_record, unreadable_columns

R = TypeVar("R", ArchitectureRecord, DatasetRecord, JobRecord, ModelRecord)


class Repository(Generic[R]):
    """The records of one table; columns are called like the fields of the record."""

    kind: ClassVar[str]
    """What messages call such a record."""
    table: ClassVar[Table]
    record: type[R]

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached()
    def get(self, identifier: str) -> R:
        """Return a record.

        Raises:
            NotFound: there is none of this id.
            Damaged: it cannot be read.
        """
        with self._database.read() as connection:
            return self._get(connection, identifier)

    def find(self, reference: str) -> R:
        """Return the record of an id, or the newest of a name.

        Raises:
            NotFound: there is none.
            Damaged: it cannot be read.
        """
        columns = self.table.c
        newest = columns.created_at.desc(), columns.id.desc()
        query = select(self.table).where(self._name() == reference).order_by(*newest).limit(1)
        with self._database.read() as connection:
            with suppress(NotFound):
                return self._get(connection, reference)
            return self._one(connection, query, reference)

    @cached()
    def page(self, limit: int, after: str | None = None) -> Page[R]:
        """Return up to `limit` records, newest first, that follow the one whose id is `after`.

        Raises:
            Invalid: there is no record `after`.
        """
        return self._page(limit, after)

    def identifiers(self, *, builtin: bool | None = None) -> frozenset[str]:
        """Return the ids of all records, or of those alone that are built in, or are not."""
        query = select(self.table.c.id)
        if builtin is not None:
            query = query.where(self.table.c.builtin.is_(builtin))
        with self._database.read() as connection:
            return frozenset(connection.scalars(query))

    def _name(self) -> ColumnElement[str | None]:
        """Return what a record is called."""
        return self.table.c.name

    def _get(self, connection: Connection, identifier: str, *, change: bool = False) -> R:
        """Return a record; one that is about to be changed as it stays until the transaction ends."""
        query = select(self.table).where(self.table.c.id == identifier)
        return self._one(connection, query.with_for_update() if change else query, identifier)

    def _one(self, connection: Connection, query: Select[Any], name: str) -> R:
        """Return the record that a query finds, which asks for one of a name."""
        try:
            row = connection.execute(query).one_or_none()
            if row is None:
                raise NotFound.of(self.kind, name)
            return to_record(self.record, row)
        except UNREADABLE as error:
            bad = ", ".join(unreadable_columns(connection, query, self.record))
            raise Damaged.of(self.kind, name, f"{bad} cannot be read") from error

    def _page(self, limit: int, after: str | None, *conditions: ColumnElement[bool]) -> Page[R]:
        columns = self.table.c
        # One more than asked for, to know whether anything follows.
        query = select(self.table).where(*conditions).limit(limit + 1)
        query = query.order_by(columns.created_at.desc(), columns.id.desc())
        with self._database.read() as connection:
            if after is not None:
                # As it is written: it may be no time.
                written = type_coerce(columns.created_at, AS_WRITTEN)
                last = connection.execute(
                    select(written, columns.id).where(columns.id == after)
                ).one_or_none()
                if last is None:
                    hint = "it may have been deleted; start again without `after`"
                    raise Invalid.at("after", f"there is no {self.kind} {after!r}", hint, parameter=True)
                query = query.where(tuple_(written, columns.id) < tuple_(*last))
            found = read_records(connection, query, columns.id, self.record)
        records = tuple(record for _, record in found[:limit] if record is not None)
        return Page(records, found[limit - 1][0] if len(found) > limit else None)

    def _insert(self, connection: Connection, record: R) -> None:
        connection.execute(insert(self.table).values(**values(record)))

    def _check_deletable(self, connection: Connection, identifier: str) -> None:
        """Refuse to delete what is built in, unless it is damaged: the next start brings it back.

        Raises:
            NotFound: there is none of this id.
            Conflict: it is built in.
        """
        try:
            builtin = self._get(connection, identifier, change=True).builtin
        except Damaged:
            builtin = False
        if builtin:
            raise Conflict(f"{self.kind} {identifier!r} is built in and cannot be deleted", code="built-in")


def values(record: Any) -> dict[str, Any]:
    """Return the fields of a record as they are, without going into them."""
    return {field.name: getattr(record, field.name) for field in fields(record)}
