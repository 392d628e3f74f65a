"""From rows to records, where one of the rows may hold what cannot be read."""

from __future__ import annotations

import types
import typing
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select

from app.log import Log

log = Log(__name__)

UNREADABLE = (ValueError, TypeError, RecursionError)
"""What reading a column raises that holds no JSON, no time or no state: a damaged file, or a later version's row."""

T = TypeVar("T")


def to_record(kind: type[T], row: Row[Any]) -> T:
    """Return a row as a record.

    Raises:
        ValueError: it has a list where an object should be, or the like.
    """
    values = row._asdict()
    if odd := [name for name, value in values.items() if not _fits(kind, name, value)]:
        raise ValueError(f"of another type than it should be: {', '.join(odd)}")
    return kind(**values)


def read_records(
    connection: Connection, query: Select[Any], key: ColumnElement[Any], kind: type[T]
) -> list[tuple[Any, T | None]]:
    """Return the rows of a query as records, with their keys; None for one that cannot be read.

    Args:
        connection: to the database.
        query: its columns are the fields of the record.
        key: the column that tells the rows apart.
        kind: the class of the record.
    """
    try:
        return [(row._mapping[key], to_record(kind, row)) for row in connection.execute(query)]
    except UNREADABLE:
        # The statement does not go on after a row that fails: each is read by itself.
        keys = list(connection.scalars(query.with_only_columns(key)))
        return [(value, _read(connection, query.where(key == value), kind, value)) for value in keys]


def read_leniently(connection: Connection, query: Select[Any], kind: type[T]) -> T | None:
    """Return the one row of a query as a record in which a column that cannot be read is None; None without a row."""
    try:
        row = connection.execute(query).one_or_none()
        return None if row is None else to_record(kind, row)
    except UNREADABLE:
        bad = unreadable_columns(connection, query, kind)
        good = [column for column in query.selected_columns if column.key not in bad]
        row = connection.execute(query.with_only_columns(*good)).one()
        return kind(**row._asdict(), **dict.fromkeys(bad))


def unreadable_columns(connection: Connection, query: Select[Any], kind: type[Any]) -> list[str]:
    """Return the names of the columns of the one row of a query that cannot be read, or not as the record has them."""
    found = []
    for column in query.selected_columns:
        name = str(column.key)
        try:
            fits = _fits(kind, name, connection.scalar(query.with_only_columns(column)))
        except UNREADABLE:
            fits = False
        if not fits:
            found.append(name)
    return found


def _read(connection: Connection, query: Select[Any], kind: type[T], key: Any) -> T | None:
    try:
        row = connection.execute(query).one_or_none()
        return None if row is None else to_record(kind, row)
    except UNREADABLE:
        _log_once(str(key))
        return None


def _fits(kind: type[Any], name: str, value: Any) -> bool:
    """Tell whether a value has the type of the field; SQLite keeps anything in any column, and JSON may be any."""
    return not isinstance(value, _Document) or _is(value, _field_types(kind)[name])  # type: ignore[arg-type]


_Document = (dict, list, str, int, float)


@lru_cache(maxsize=64)
def _field_types(kind: type[Any]) -> dict[str, Any]:
    """Return the types that the fields of a record take."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _is(value: Any, hint: Any) -> bool:
    """Tell whether a value is of a type; what is in lists and objects too."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (types.UnionType, typing.Union):
        return any(_is(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if origin is list:
        return isinstance(value, list) and all(_is(member, parts[0]) for member in value)
    if origin is dict:
        return isinstance(value, dict) and (
            parts[1] is Any or all(_is(member, parts[1]) for member in value.values())
        )
    return isinstance(value, origin or hint)


@lru_cache(maxsize=1000)
def _log_once(key: str) -> None:
    # Some queries come every second.
    log.exception("row_cannot_be_read", id=key)
