"""The truth about jobs, models, data sets and architectures: one database, records in and out.

Nothing outside of this package knows SQL.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import delete, func, insert, select

from app.store import tables
from app.store.answers import Answers
from app.store.architectures import Architectures
from app.store.cache import MAX_BYTES, Cache
from app.store.changes import SqliteChanges
from app.store.database import DATABASE_NAME, Database
from app.store.datasets import Datasets
from app.store.deliveries import Deliveries
from app.store.finished_jobs import FinishedJobs
from app.store.jobs import Jobs
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

    def __init__(self, data_dir: Path, cache_bytes: int = MAX_BYTES) -> None:
        """Open the store; nothing is read or made before `migrate` or the first query.

        Args:
            data_dir: where the database lies.
            cache_bytes: how much of what was read is kept in memory.
        """
        self._use(Database(data_dir))
        self.uses = Uses(self._database)
        self.changes = SqliteChanges(data_dir / DATABASE_NAME)
        self.cache = Cache(self.changes, max_bytes=cache_bytes)

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
        self.deliveries = Deliveries(self._database)
        self.leases = Leases(self._database)

    def migrate(self) -> None:
        """Make the database, or bring it to this version.

        Raises:
            Unavailable: it cannot be brought to this version.
        """
        self._database.migrate()

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

    def recorded_bytes(self) -> int:
        """Return what data sets and models take on disk, as their records say."""
        with self._database.read() as connection:
            totals = [
                connection.scalar(select(func.sum(table.c.bytes)))
                for table in (tables.datasets, tables.models)
            ]
        return sum(total or 0 for total in totals)

    def usage(self) -> UsageRecord | None:
        """Return what was found when the data directory was last measured, None before the first time."""
        with self._database.read() as connection:
            row = connection.execute(select(tables.usage.c.found, tables.usage.c.recorded)).one_or_none()
        return None if row is None else UsageRecord(*row)

    def record_usage(self, measured: UsageRecord) -> None:
        """Keep what was found, in place of what was found before."""
        with self._database.write() as connection:
            connection.execute(delete(tables.usage))
            connection.execute(insert(tables.usage).values(id=1, **values(measured)))

    def close(self) -> None:
        """Close all connections."""
        self.cache.close()
        self._database.close()


__all__ = ["Store"]
