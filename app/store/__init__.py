"""The truth about jobs, models, data sets and architectures: one database, records in and out.

Nothing outside of this package knows SQL.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import delete, func, insert, select

from app.store import tables
from app.store.answers import Answers
from app.store.architectures import Architectures
from app.store.cache import MAX_BYTES, Cache
from app.store.database import Database
from app.store.datasets import Datasets
from app.store.deliveries import Deliveries
from app.store.dialect import Order
from app.store.figures import Figures
from app.store.files import Files
from app.store.finished_jobs import FinishedJobs
from app.store.job_parts import JobParts
from app.store.jobs import Jobs
from app.store.keys import Keys
from app.store.leases import Lease, Leases, check
from app.store.models import Models
from app.store.news import News
from app.store.queues import Queues
from app.store.records import UsageRecord
from app.store.repository import values
from app.store.uses import Uses
from app.store.waiting_jobs import WaitingJobs


class Store:
    """The store of one data directory; safe to use from several threads, and from several processes."""

    LISTS = MappingProxyType(
        {
            "architectures": (tables.architectures,),
            "datasets": (tables.datasets,),
            "models": (tables.models, tables.model_aliases),
        }
    )
    """What is listed beside jobs, by its name in addresses, and the tables that it is in."""

    def __init__(self, data_dir: Path, address: str | None = None, cache_bytes: int = MAX_BYTES) -> None:
        """Open the store; nothing is read or made before `migrate` or the first query.

        Args:
            data_dir: where an SQLite file is the database.
            address: that of a PostgreSQL database in its place.
            cache_bytes: how much of what was read is kept in memory.

        Raises:
            NotInstalled: what speaks with PostgreSQL is not.
        """
        self._use(Database(data_dir, address))
        self.uses = Uses(self._database)
        self.keys = Keys(self._database)
        self.changes = self._database.changes
        self.cache = Cache(self.changes, max_bytes=cache_bytes)

    @property
    def place(self) -> str:
        """What the database is and where, for people."""
        return self._database.place

    @property
    def shared(self) -> bool:
        """Whether servers with other data directories may use it, too."""
        return self._database.shared

    @property
    def hint(self) -> str:
        """What an operator should look at when the database does not answer."""
        return self._database.hint

    def when_jobs_change(self, call: Callable[[], None]) -> None:
        """Have something called, by any thread, after a job came into another state, where the database tells that."""
        self.changes.follow(tables.job_events, call)

    def under(self, lease: Lease) -> Store:
        """Return this store for the holder of a lease: it writes as long as the lease is its own.

        Whatever writes raises `LeaseLost` once it is another's.
        """
        store = copy.copy(self)
        store._use(self._database.checked(partial(check, lease=lease)))
        return store

    def _use(self, database: Database) -> None:
        self._database = database
        self.answers = Answers(self._database)
        self.architectures = Architectures(self._database)
        self.datasets = Datasets(self._database)
        self.models = Models(self._database)
        self.jobs = Jobs(self._database, self.datasets, self.models)
        self.news = News(self._database)
        self.queues = Queues(self._database)
        self.waiting_jobs = WaitingJobs(self._database)
        self.finished_jobs = FinishedJobs(self._database)
        self.job_parts = JobParts(self._database)
        self.figures = Figures(self._database)
        self.deliveries = Deliveries(self._database)
        self.leases = Leases(self._database)
        self.files = Files(self._database)

    def migrate(self) -> None:
        """Make the database, or bring it to this version.

        Raises:
            Unavailable: it cannot be brought to this version.
        """
        self._database.migrate()

    def probe(self) -> None:
        """Write to the database, to see whether that can be done.

        Raises:
            StorageFault: it cannot be written, is gone, damaged, or of another version.
        """
        self._database.probe()

    def counters(self) -> Mapping[str, int] | None:
        """Return how often each list, the `jobs` and their `events` have been changed by anybody.

        None where the database does not answer at once. It takes microseconds; for the thread of the event loop alone.
        """
        watched = {**self.LISTS, "jobs": (tables.jobs,), "events": (tables.job_events,)}
        counters = self.changes.counters(tuple(table for parts in watched.values() for table in parts))
        if counters is None:
            return None
        left = iter(counters)
        return {name: sum(next(left) for _ in parts) for name, parts in watched.items()}

    def mark(self) -> str:
        """Return which installation this is: what its files are marked with where others could have theirs there."""
        with self._database.read() as connection:
            return str(connection.execute(select(tables.installation.c.mark)).scalar_one())

    def recorded_bytes(self) -> int:
        """Return what data sets and models take on disk, as their records say."""
        with self._database.read() as connection:
            totals = [
                connection.scalar(select(func.sum(table.c.bytes)))
                for table in (tables.datasets, tables.models)
            ]
        return sum(int(total or 0) for total in totals)

    def usage(self) -> UsageRecord | None:
        """Return what was found when the data directory was last measured, None before the first time."""
        with self._database.read() as connection:
            row = connection.execute(select(tables.usage.c.found, tables.usage.c.recorded)).one_or_none()
        return None if row is None else UsageRecord(*row)

    def record_usage(self, measured: UsageRecord) -> None:
        """Keep what was found, in place of what was found before."""
        with self._database.write(Order.USAGE) as connection:
            connection.execute(delete(tables.usage))
            connection.execute(insert(tables.usage).values(id=1, **values(measured)))

    def close(self) -> None:
        """Close all connections."""
        self.cache.close()
        self._database.close()


__all__ = ["Store"]
