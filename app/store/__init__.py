"""The truth about jobs, models, data sets and architectures: one database, records in and out.

Nothing outside of this package knows SQL.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import func, select

from app.store import tables
from app.store.answers import Answers
from app.store.architectures import Architectures
from app.store.cache import Cache
from app.store.changes import SqliteChanges
from app.store.database import DATABASE_NAME, Database
from app.store.datasets import Datasets
from app.store.deliveries import Deliveries
from app.store.finished_jobs import FinishedJobs
from app.store.jobs import Jobs
from app.store.models import Models
from app.store.queues import Queues


class Store:
    """The store of one data directory; safe to use from several threads, and from several processes."""

    def __init__(self, data_dir: Path) -> None:
        """Open the store; nothing is read or made before `migrate` or the first query."""
        self._database = Database(data_dir)
        self.answers = Answers(self._database)
        self.architectures = Architectures(self._database)
        self.datasets = Datasets(self._database)
        self.models = Models(self._database)
        self.jobs = Jobs(self._database, self.datasets, self.models)
        self.queues = Queues(self._database)
        self.finished_jobs = FinishedJobs(self._database)
        self.deliveries = Deliveries(self._database)
        self.cache = Cache(SqliteChanges(data_dir / DATABASE_NAME))

    def migrate(self) -> None:
        """Make the database, or bring it to this version.

        Raises:
            Unavailable: it cannot be brought to this version.
        """
        self._database.migrate()

    def recorded_bytes(self) -> int:
        """Return what data sets and models take on disk, as their records say."""
        with self._database.read() as connection:
            totals = [
                connection.scalar(select(func.sum(table.c.bytes)))
                for table in (tables.datasets, tables.models)
            ]
        return sum(total or 0 for total in totals)

    def close(self) -> None:
        """Close all connections."""
        self.cache.close()
        self._database.close()


__all__ = ["Store"]
