"""The connection to the database: how transactions are opened, and how it is migrated."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, Table, insert, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as NoConnection

from app.errors import Conflict, NotInstalled, StorageFault, StorageUnavailable, Unavailable
from app.store.changes import Changes
from app.store.dialect import Dialect, Order
from app.store.sqlite import Sqlite
from app.store.tables import installation, metadata

if TYPE_CHECKING:
    from alembic.config import Config

DATABASE_NAME = "convserve.sqlite3"
VERSIONS = "alembic_version"
"""The table that says which version the others have."""

T = TypeVar("T")


class Database:
    """The database of an installation, shared between the web processes and their workers."""

    def __init__(self, directory: Path, address: str | None = None) -> None:
        """Prepare to use a database; nothing is read or made yet.

        Args:
            directory: where an SQLite file is, or will be.
            address: that of a PostgreSQL database in its place.

        Raises:
            NotInstalled: what speaks with PostgreSQL is not.
        """
        self._dialect = Sqlite(directory / DATABASE_NAME) if address is None else _postgres(address)
        self._engine, self._reader = self._dialect.engines()
        self._check: Callable[[Connection], None] | None = None

    @property
    def place(self) -> str:
        """What and where it is, for people."""
        return self._dialect.place

    @property
    def shared(self) -> bool:
        """Whether servers with other data directories may use it, too."""
        return self._dialect.shared

    @property
    def hint(self) -> str:
        """What an operator should look at when it does not answer."""
        return self._dialect.hint

    @property
    def changes(self) -> Changes:
        """Which tables were changed, by anybody."""
        return self._dialect.changes

    def checked(self, check: Callable[[Connection], None]) -> Database:
        """Return this database for somebody who may write only while a check at the start of each write passes."""
        checked = copy.copy(self)
        checked._check = check
        return checked

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that sees one moment and does not wait for writers.

        Raises:
            StorageFault: the database cannot be read.
        """
        with self._translated(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def moment(self, *, alone: bool = False) -> Iterator[Connection]:
        """Open a transaction that sees one moment, for as long as whoever reads it takes.

        Args:
            alone: let nobody write to a shared database meanwhile; they wait.

        Raises:
            StorageFault: the database cannot be read, or others have been writing for too long.
        """
        with self.read() as connection:
            self._dialect.lift_bounds(connection, alone=alone)
            yield connection

    @contextmanager
    def write(self, *orders: Order) -> Iterator[Connection]:
        """Open a transaction that writes.

        What it reads stays true until it ends where all that change it name the same order, or where the rows are read
        for update.

        Args:
            orders: what it has to come before or after others for.

        Raises:
            Conflict: there is such a record already.
            StorageFault: the database cannot be written, or others have been writing for too long.
        """
        committing = False
        try:
            with self._translated():
                try:
                    with self._engine.begin() as connection:
                        self._dialect.take_turns(connection, orders)
                        if self._check is not None:
                            self._check(connection)
                        yield connection
                        committing = True
                finally:
                    self._dialect.wrote()
        except StorageFault as fault:
            fault.may_be_written = committing and self.shared
            raise

    def migrate(self) -> None:
        """Make the database, or bring it to the tables of this version; one process at a time.

        Raises:
            Unavailable: another process has been at it for too long, or the database is from a newer
                version, or another program's.
        """
        if self.version() != newest_version():
            with self._dialect.migrating(), self.write(Order.MIGRATION) as connection:
                if self._dialect.is_empty(connection):
                    self._create(connection)
                else:
                    bring_forward(connection, self.place)
        self._dialect.opened()

    def fill(self, rows: Callable[[Connection, Collection[str]], T], version: str | None = None) -> T:
        """Make the tables in an empty database and put something in; all of it is there afterwards, or nothing.

        Args:
            rows: puts it in; is given the transaction and the names of the tables.
            version: that the tables are to have, by default that of this program.

        Raises:
            Conflict: the database is not empty.
            Unavailable: another process is making the tables, or the database cannot be used.
        """
        try:
            return self._fill(rows, version)
        except StorageFault as fault:
            if fault.may_be_written:
                fault.add(
                    f"The answer to the last step was lost: either all is in {self.place} now, or nothing. It is all "
                    "there if it is said not to be empty when this is done again"
                )
            raise

    def _fill(self, rows: Callable[[Connection, Collection[str]], T], version: str | None) -> T:
        with self._dialect.migrating(), self.write(Order.MIGRATION) as connection:
            others = set(inspect(connection).get_table_names())
            if not self._dialect.is_empty(connection):
                raise Conflict(f"{self.place} is not empty: name one where nothing is", code="not-empty")
            if version in (None, newest_version()):
                self._create(connection)
            else:
                bring_forward(connection, self.place, version)
            made = set(inspect(connection).get_table_names()) - others - {VERSIONS}
            return rows(connection, made)

    def rehearse(self, work: Callable[[Connection], None]) -> None:
        """Do something in a transaction that reads one moment and of which nothing stays, for as long as it takes."""
        with self._translated(), self._engine.connect() as connection:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin() as transaction:
                self._dialect.lift_bounds(connection)
                work(connection)
                transaction.rollback()

    def storable(self, text: str, is_document: bool) -> str:
        """Return a text, or else a document as it is written, as this database can hold it."""
        return self._dialect.storable(text, is_document)

    def go_on_counting(self, connection: Connection, tables: Collection[Table]) -> None:
        """Have numbers that the database gives itself go on behind those of rows that it was filled with."""
        self._dialect.go_on_counting(connection, tables)

    def _create(self, connection: Connection) -> None:
        """Make the tables in an empty database, as all migrations one after another would."""
        metadata.create_all(connection)
        self._dialect.watch(connection)
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
        connection.execute(
            text("INSERT INTO alembic_version VALUES (:version)"), {"version": newest_version()}
        )
        connection.execute(insert(installation).values(id=1, mark=uuid4().hex))

    def version(self) -> str | None:
        """Return the version of the tables, None where there are none."""
        if not self._dialect.exists():
            return None
        with self.read() as connection:
            if not inspect(connection).has_table(VERSIONS):
                return None
            version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return version

    def probe(self) -> None:
        """Write to the database, and see that it is the one that it was, and whole as far as is known.

        Raises:
            StorageFault: it cannot be written, is gone, damaged, or of another version.
        """
        self._dialect.probe(newest_version())

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Say what went wrong in the words of the service."""
        try:
            yield
        except IntegrityError as error:
            what = str(error.orig).partition("\n")[0]
            raise Conflict(f"there is such a record already: {what}", code="exists") from error
        except NoConnection as error:
            raise StorageUnavailable(
                "the database is in use: all connections to it are; try again later", part="database"
            ) from error
        except (DBAPIError, self._dialect.error) as error:
            # what the driver raised while it connects may come as it is
            cause = error.orig if isinstance(error, DBAPIError) else error
            fault = None if cause is None else self._dialect.fault(cause)
            if fault is None:
                raise
            raise fault from cause

    def close(self) -> None:
        """Close all connections."""
        self._dialect.close()


def _postgres(address: str) -> Dialect:
    try:
        # with its driver it takes half as long to import as all of a server
        from app.store.postgres import Postgres  # noqa: PLC0415
    except ImportError as error:
        raise NotInstalled(
            "CONVSERVE_DATABASE_URL needs what this installation was made without: psycopg. Install it where the "
            "server runs, with pip install 'psycopg[binary]', or as convserve[cluster]"
        ) from error
    return Postgres(address)


@functools.cache
def newest_version() -> str:
    """Return the version that the migrations lead to. Importing them takes Alembic, half of a start: they are read."""
    files = (Path(__file__).parent / "migrations" / "versions").glob("*.py")
    found = [re.search(r'^revision = "(\d+)"$', file.read_text(encoding="utf-8"), re.M) for file in files]
    return max(match[1] for match in found if match)


def pending_migrations(version: str) -> list[tuple[str, str]]:
    """Return the versions between one of the tables and that of this program, and what each of them is about."""
    # nothing else needs it
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory.from_config(_alembic())
    steps = script.iterate_revisions("head", version)
    return [(step.revision, step.doc) for step in reversed(list(steps))]


def _alembic() -> Config:
    """Return what Alembic has to know: where the migrations are."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "app.store:migrations")
    return config


def bring_forward(connection: Connection, place: str, version: str = "head") -> None:
    """Bring tables to a version, in a transaction of the caller.

    Raises:
        Unavailable: they are of a newer one.
    """
    # nothing else needs it
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = _alembic()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, version)
    except CommandError as error:
        raise Unavailable(
            f"{place} cannot be brought to this version ({error}); "
            "it may have been used with a newer version of this program: install that one"
        ) from error
