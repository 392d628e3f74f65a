"""Reading many rows at once, of which one may hold what cannot be read."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Connection, Row, Select

from app.log import Log

log = Log(__name__)

_UNREADABLE = (ValueError, TypeError, RecursionError)
"""What reading a column raises that holds no JSON, no time or no state: a damaged file, or a later version's row."""


def read_rows(
    connection: Connection, query: Select[Any], key: Column[str]
) -> list[tuple[str, Row[Any] | None]]:
    """Return the rows of a query with their ids; None for one with a column that cannot be read.

    Args:
        connection: to the database.
        query: its columns include the key.
        key: the column with the ids.
    """
    try:
        return [(str(row._mapping[key]), row) for row in connection.execute(query)]
    except _UNREADABLE:
        # The statement does not go on after a row that fails: each is read by itself.
        identifiers = list(connection.scalars(query.with_only_columns(key)))
        return [(identifier, _read(connection, query, key, identifier)) for identifier in identifiers]


def _read(connection: Connection, query: Select[Any], key: Column[str], identifier: str) -> Row[Any] | None:
    try:
        return connection.execute(query.where(key == identifier)).one_or_none()
    except _UNREADABLE:
        _log_once(identifier)
        return None


@lru_cache(maxsize=1000)
def _log_once(identifier: str) -> None:
    # Some queries come every second.
    log.exception("row_cannot_be_read", id=identifier)
