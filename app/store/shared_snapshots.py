"""Copies of a shared database that others are writing to, each of one moment, and whether it can be brought forward."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select, table, text
from sqlalchemy.exc import DBAPIError

from app.errors import Unavailable
from app.states import UNFINISHED
from app.store.database import VERSIONS, Database, bring_forward
from app.store.expressions import written
from app.store.records import Json
from app.store.snapshots import read_document
from app.store.tables import jobs, metadata
from app.store.transfer import take_over

_FAULTS = (
    "SELECT 'the index ' || i.indexrelid::regclass || ' is not usable' FROM pg_index i "
    "JOIN pg_class c ON c.oid = i.indrelid WHERE pg_table_is_visible(c.oid) AND c.relname = ANY (:tables) "
    "AND NOT (i.indisvalid AND i.indisready) "
    "UNION ALL SELECT 'the constraint ' || o.conname || ' was never checked' FROM pg_constraint o "
    "JOIN pg_class c ON c.oid = o.conrelid WHERE pg_table_is_visible(c.oid) AND c.relname = ANY (:tables) "
    "AND NOT o.convalidated"
)
_OF_TABLES = "FROM pg_class c JOIN {of} WHERE pg_table_is_visible(c.oid) AND c.relname = ANY (:tables)"
_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) "
    "FROM pg_class c WHERE pg_table_is_visible(c.oid) AND c.relname = ANY (:tables)"
)
_CONSTRAINTS = (
    "SELECT format('ALTER TABLE %I ADD CONSTRAINT %I %s', c.relname, o.conname, pg_get_constraintdef(o.oid, true)) "
    + _OF_TABLES.format(of="pg_constraint o ON o.conrelid = c.oid")
    + " AND o.contype IN ('p', 'u', 'c', 'f') ORDER BY o.contype = 'f'"
)
"""Those that refer to other tables come last."""
_INDICES = (
    "SELECT pg_get_indexdef(i.indexrelid, 0, true) "  # noqa: S608 - ours
    + _OF_TABLES.format(of="pg_index i ON i.indrelid = c.oid")
    + " AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u'))"
)
_TRIGGERS = (
    "SELECT pg_get_triggerdef(t.oid, true) "
    + _OF_TABLES.format(of="pg_trigger t ON t.tgrelid = c.oid")
    + " AND NOT t.tgisinternal"
)


class SharedSnapshot:
    """One moment of a PostgreSQL database, which stays that moment whatever is written meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def version(self) -> str:
        """Return the version of the tables."""
        return str(self._connection.scalar(text(f"SELECT version_num FROM {VERSIONS}")))  # noqa: S608 - ours

    def unfinished(self) -> dict[str, tuple[Json, Json]]:
        """Return what the jobs are to do that have not ended, and their checkpoints."""
        columns = jobs.c
        query = select(columns.id, written(columns.request), written(columns.checkpoint))
        rows = self._connection.execute(query.where(columns.status.in_(UNFINISHED)))
        return {key: (read_document(request), read_document(checkpoint)) for key, request, checkpoint in rows}

    def copy(self, directory: Path) -> None:
        """Write this moment as the SQLite database of a directory: the same rows, in tables of the same version."""
        with closing(Database(directory)) as target:
            take_over(self._connection, target, version=self.version())

    def bytes(self) -> int:
        """Return the size of all tables with their indices."""
        return int(self._connection.scalar(text(_SIZE), {"tables": _names(self._connection)}) or 0)

    def faults(self) -> list[str]:
        """Return what is wrong inside of the database. What cannot be read is found by reading it."""
        return list(self._connection.scalars(text(_FAULTS), {"tables": _names(self._connection)}))


@contextmanager
def shared_snapshot(address: str) -> Iterator[SharedSnapshot]:
    """Open a PostgreSQL database at this moment. Nobody who writes waits for that.

    Raises:
        Unavailable: it has no tables of ours, or cannot be read.
    """
    with closing(Database(Path(), address)) as database, database.moment() as connection:
        if not inspect(connection).has_table(VERSIONS):
            raise Unavailable(f"{database.place} has no tables of this program: it is no installation")
        yield SharedSnapshot(connection)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What became of copies of all tables: their rows before and after, by table, and how long it took in seconds."""

    before: dict[str, int]
    after: dict[str, int]
    seconds: float


def rehearse(address: str) -> Rehearsed:
    """Bring copies of all tables of a PostgreSQL database to this version, within it, and let go of them.

    Nobody waits for that, and nothing of it stays. The disk of the database needs room for a copy meanwhile.

    Raises:
        Unavailable: they cannot be brought to this version.
    """
    found: list[Rehearsed] = []
    with closing(Database(Path(), address)) as database:

        def work(connection: Connection) -> None:
            begun = time.perf_counter()
            names = _copy_tables(connection)
            before = _count(connection, names)
            try:
                bring_forward(connection, database.place)
            except DBAPIError as error:
                what = str(error.orig).partition("\n")[0]
                raise Unavailable(f"{database.place} cannot be brought to this version: {what}") from error
            after = _count(connection, [name for name in names if inspect(connection).has_table(name)])
            found.append(Rehearsed(before, after, time.perf_counter() - begun))

        database.rehearse(work)
    return found[0]


def _names(connection: Connection) -> list[str]:
    """Return those of our tables that there are."""
    here = inspect(connection).get_table_names()
    return sorted(name for name in here if name in metadata.tables or name == VERSIONS)


def _copy_tables(connection: Connection) -> list[str]:
    """Copy all tables into a schema of their own, which is looked at first from then on."""
    names = _names(connection)
    schema = f"convserve_rehearsal_{secrets.token_hex(8)}"
    given = {"tables": [name for name in names if name != VERSIONS]}
    statements: list[str] = []
    for query in (_CONSTRAINTS, _INDICES, _TRIGGERS):
        statements += connection.scalars(text(query), given)
    (home,) = connection.execute(text("SELECT quote_ident(current_schema())")).one()
    connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    for name in names:
        connection.exec_driver_sql(
            f'CREATE TABLE {schema}."{name}" (LIKE {home}."{name}" INCLUDING DEFAULTS)'
        )
        connection.exec_driver_sql(f'INSERT INTO {schema}."{name}" SELECT * FROM {home}."{name}"')  # noqa: S608
    connection.exec_driver_sql(f"SET LOCAL search_path = {schema}, {home}")
    for statement in statements:
        connection.exec_driver_sql(statement)
    return names


def _count(connection: Connection, names: list[str]) -> dict[str, int]:
    return {name: connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in names}
