"""A few numbers about jobs and what is sent of them, for whoever watches the installation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from app.states import ACTIVE, JobStatus
from app.store.database import Database
from app.store.deliveries import PENDING
from app.store.expressions import number_in
from app.store.tables import deliveries, jobs


@dataclass(frozen=True, slots=True)
class JobFigures:
    """The numbers at one moment.

    Attributes:
        jobs: how many there are, by kind and state; parts of jobs are no jobs to whoever counts them.
        oldest_queued: since when the job of each kind waits that waits longest.
        training_images_per_second: of all running training jobs together.
        checkpoint_seconds: what the last checkpoint of a running job took, of several the longest.
        webhooks_pending: messages that are still to be sent.
    """

    jobs: dict[tuple[str, str], int]
    oldest_queued: dict[str, datetime]
    training_images_per_second: float
    checkpoint_seconds: float
    webhooks_pending: int


class Figures:
    """Reads the numbers, all from indices but for the few jobs that run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> JobFigures:
        """Return the numbers of this moment.

        Raises:
            Unavailable: the database does not answer.
        """
        columns = jobs.c
        counted = select(columns.kind, columns.status, func.count()).group_by(columns.status, columns.kind)
        oldest = select(columns.kind, func.min(columns.created_at)).where(columns.status == JobStatus.QUEUED)
        speed = number_in(columns.progress, "images_per_second")
        checkpoint = number_in(columns.checkpoint, "seconds")
        running = select(func.sum(speed), func.max(checkpoint)).where(columns.status.in_(ACTIVE))
        parts = select(columns.kind).where(columns.part_of.is_not(None)).distinct()
        pending = select(func.count()).where(deliveries.c.status == PENDING)
        with self._database.read() as connection:
            images, seconds = connection.execute(running).one()
            # by their kinds: that of each job is in no index, and there may be a million
            hidden = set(connection.scalars(parts))
            return JobFigures(
                {
                    (kind, str(status)): count
                    for kind, status, count in connection.execute(counted)
                    if kind not in hidden
                },
                {
                    kind: since
                    for kind, since in connection.execute(oldest.group_by(columns.kind))
                    if kind not in hidden
                },
                float(images or 0.0),
                float(seconds or 0.0),
                int(connection.scalar(pending) or 0),
            )
