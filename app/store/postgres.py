"""A PostgreSQL database, shared between servers, their processes and workers. Imported only where one is used."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import (
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
)

from app.errors import DiskFull, StorageFault, StorageUnavailable, Unavailable
from app.files.faults import database_fault
from app.store.changes import watched
from app.store.dialect import Order, read_json, write_json
from app.store.notices import PostgresChanges
from app.store.tables import changes, emptied_by, job_events, metadata
from app.text import REPLACEMENT

_DRIVER = "postgresql+psycopg"
_LOCKS = 0x636F6E76
"""The first half of the number of each of our advisory locks; the other is the order."""
_CONNECT_SECONDS = 5
_OLDEST = 13
"""The oldest version of PostgreSQL that is taken."""

_SESSION = {
    "statement_timeout": "60s",
    "lock_timeout": "30s",
    # one that is frozen in the middle of a write, or whose machine is gone, does not keep the others from writing
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "TimeZone": "UTC",
    "default_transaction_read_only": "off",
}
"""Settings of each of our sessions."""
_UNBOUNDED = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_MIGRATION = f"SET LOCAL lock_timeout = '120s'; {_UNBOUNDED}"

_WORDS = {
    "08": "cannot be reached",
    "25006": "is read-only",
    "25P03": "was waited for in vain: a write took too long between two of its steps",
    "28": "does not let the user of CONVSERVE_DATABASE_URL in",
    "3D": "is not there",
    "40": "is in use: two writes waited for each other",
    "42501": "may not be used by the user of CONVSERVE_DATABASE_URL",
    "53": "has no memory or no connection left",
    "55P03": "is in use: somebody else has been writing for too long",
    "57014": "has taken too long for an answer",
    "57": "cannot be reached: it stops or starts",
    "58": "cannot be read or written: its system reports an error",
    "XX": "is damaged",
}
"""What an error says of the database, by its SQLSTATE or the class of that."""
_FULL = "53100"

_FUNCTIONS = (
    # whoever listens hears of it when the change is committed, in the order of commits
    "CREATE FUNCTION convserve_notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "PERFORM pg_notify('convserve', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME); RETURN NULL; END $$",
    "CREATE FUNCTION convserve_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "UPDATE changes SET counter = counter + (SELECT count(*) FROM touched) WHERE table_name = TG_TABLE_NAME; "
    "RETURN NULL; END $$",
)
_NOTIFY = (
    "CREATE TRIGGER {table}_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION convserve_notify()"
)
_COUNT = (
    "CREATE TRIGGER {table}_{name} AFTER {event} ON {table} REFERENCING {rows} TABLE AS touched "
    "FOR EACH STATEMENT EXECUTE FUNCTION convserve_count()"
)
_ROWS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Postgres:
    """A PostgreSQL database; see `Dialect`. Several may write at once, in turns where an `Order` says so."""

    shared = True
    hint = "see that PostgreSQL runs, takes connections from this machine, and has room on its disk"
    error = psycopg.Error

    def __init__(self, address: str) -> None:
        """Prepare to connect; nothing is, before it is used.

        Args:
            address: `postgresql+psycopg://user:password@host:port/database`.
        """
        url = make_url(address).set(drivername=_DRIVER)
        theirs = url.query.get("options", "")
        ours = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        self._arguments: dict[str, Any] = {
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": "convserve",
            # of a machine that is gone nobody says so: connections to it end after that long without an answer
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 11_000,
            # also of a database whose encoding is none, so that it can be said which
            "client_encoding": "utf8",
            "options": f"{ours} {theirs}",
        }
        self._engine = create_engine(
            url,
            connect_args=self._arguments,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_size=8,
            max_overflow=24,
            json_serializer=_write_json,
            json_deserializer=_read_json,
        )
        self._here = threading.local()
        event.listen(self._engine, "after_execute", self._note)
        event.listen(self._engine, "before_cursor_execute", _without_nul, retval=True)
        self.place = f"the PostgreSQL database {url.database!r} on {url.host or 'this machine'}"
        self.changes = PostgresChanges(self._connect, [table.name for table in watched()])

    def engines(self) -> tuple[Engine, Engine]:
        """Return engines whose connections are tried before each use: the server may have started again."""
        return self._engine, self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    def take_turns(self, connection: Connection, orders: tuple[Order, ...]) -> None:
        """Take the locks of some orders, which are held until the transaction ends."""
        if Order.MIGRATION in orders:
            connection.exec_driver_sql(_MIGRATION)
        if orders:
            locks = ", ".join(f"pg_advisory_xact_lock({_LOCKS}, {order:d})" for order in sorted(orders))
            connection.exec_driver_sql(f"SELECT {locks}")

    def wrote(self) -> None:
        """Have this process distrust what it keeps of the tables that its thread has written to."""
        written: set[str] = self._here.__dict__.pop("written", set())
        if written:
            self.changes.raise_(written)

    def lift_bounds(self, connection: Connection, *, alone: bool = False) -> None:
        """Set no bounds to a transaction, and lock all tables against writing where it is to be alone."""
        connection.exec_driver_sql(_UNBOUNDED)
        if alone:
            connection.exec_driver_sql(f"LOCK TABLE {', '.join(sorted(metadata.tables))} IN SHARE MODE")

    def storable(self, text: str, is_document: bool) -> str:
        """Return it with another character for NUL."""
        return _NUL.sub(rf"\1{REPLACEMENT}", text) if is_document else text.replace("\0", REPLACEMENT)

    def go_on_counting(self, connection: Connection, tables: Collection[Table]) -> None:
        """Set the sequences of columns that have one."""
        for table in tables:
            for column in table.primary_key:
                names = {"table": table.name, "column": column.name}
                sequence = connection.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), names)
                highest = None if sequence is None else connection.scalar(select(func.max(column)))
                if highest:
                    values = {"sequence": sequence, "last": highest}
                    connection.execute(text("SELECT setval(:sequence, :last)"), values)

    @contextmanager
    def migrating(self) -> Iterator[None]:
        """Do nothing: the order of migrations is a lock of the database."""
        yield

    def exists(self) -> bool:
        """Say that it is there: if not, connecting says so."""
        return True

    def is_empty(self, connection: Connection) -> bool:
        """Tell whether the tables are to be made."""
        version = connection.exec_driver_sql("SHOW server_version_num").scalar_one()
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if int(version) < _OLDEST * 10_000 or encoding != "UTF8":
            raise Unavailable(
                f"{self.place} cannot be used: it is of version {int(version) // 10_000} and has the encoding "
                f"{encoding}; use PostgreSQL {_OLDEST} or later, and make the database with ENCODING 'UTF8'"
            )
        found = set(inspect(connection).get_table_names())
        if "alembic_version" in found:
            return False
        if strange := sorted(found & set(metadata.tables)):
            raise Unavailable(
                f"{self.place} has tables of another program ({', '.join(strange)}): make a database, or a schema, "
                "for this one"
            )
        return True

    def watch(self, connection: Connection) -> None:
        """Make what tells of changes, and what counts those of events."""
        for function in _FUNCTIONS:
            connection.exec_driver_sql(function)
        for table in watched():
            connection.execute(insert(changes).values(table_name=table.name, counter=0))
            connection.exec_driver_sql(_NOTIFY.format(table=table.name))
        for name, rows in _ROWS.items():
            connection.exec_driver_sql(
                _COUNT.format(table=job_events.name, name=name.lower(), event=name, rows=rows)
            )

    def fault(self, error: BaseException) -> StorageFault | None:
        """Return what an error says of the server or the way to it."""
        state = getattr(error, "sqlstate", None)
        if state == _FULL:
            return DiskFull(
                "the disk of the database is full. Nothing that is stored is lost: try again once the operator has "
                "made room",
                part="database",
            )
        if state is None:
            # the connection, and not what was asked over it
            lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
            words = _WORDS["08"] if lost else None
        else:
            words = _WORDS.get(state) or _WORDS.get(state[:2])
        return None if words is None else database_fault(words)

    def opened(self) -> None:
        """Do nothing: its name leads to it, wherever it is."""

    def probe(self, version: str) -> None:
        """Write a word into its log by a new connection, and wait until that is on the disk."""
        try:
            with self._connect() as connection:
                found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                connection.execute("SELECT pg_logical_emit_message(true, 'convserve', 'probe')")
        except psycopg.Error as error:
            raise self.fault(error) or database_fault("does not answer") from error
        if found is None or found[0] != version:
            raise StorageUnavailable(
                f"the tables of the database are of version {found and found[0]}, and this program needs {version}: "
                "start it again, or the one that they are of",
                part="database",
            )

    def close(self) -> None:
        """Close all connections."""
        self.changes.close()
        self._engine.dispose()

    def _connect(self) -> psycopg.Connection[Any]:
        """Open a connection beside those of the engine; each statement is a transaction."""
        given, named = self._engine.dialect.create_connect_args(self._engine.url)
        return psycopg.connect(*given, **{**named, **self._arguments}, autocommit=True)

    def _note(self, connection: Connection, statement: Any, *others: Any) -> None:
        if getattr(statement, "is_dml", False):
            written = self._here.__dict__.setdefault("written", set())
            written.update(emptied_by(statement.table) if statement.is_delete else (statement.table.name,))


def _without_nul(
    connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
) -> tuple[str, Any]:
    """Replace what no text of PostgreSQL can hold, and so none that is looked for has."""
    if isinstance(parameters, dict) and any(
        isinstance(value, str) and "\0" in value for value in parameters.values()
    ):
        parameters = {
            name: value.replace("\0", REPLACEMENT) if isinstance(value, str) else value
            for name, value in parameters.items()
        }
    return statement, parameters


def _write_json(document: Any) -> str:
    # queries into a document fail of one that is anywhere in it
    return _NUL.sub(rf"\1{REPLACEMENT}", write_json(document))


def _read_json(text: str | bytes) -> Any:
    return read_json(text if isinstance(text, str) else text.decode())
