"""The messages that tell the ends of jobs: written in the transaction that ends the job, so that none is lost."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, update

from app.ids import DELIVERY, new_id
from app.store.database import Database
from app.store.dialect import Order
from app.store.events import time_text
from app.store.records import DeliveryRecord, JobState, now
from app.store.repository import values
from app.store.rows import read_records
from app.store.tables import deliveries, jobs

PENDING = "pending"


class Deliveries:
    """The messages, the ones that are due first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, job_ids: Collection[str]) -> dict[str, DeliveryRecord]:
        """Return the messages of jobs that have one, by job."""
        query = select(deliveries).where(deliveries.c.job_id.in_(job_ids))
        with self._database.read() as connection:
            found = read_records(connection, query, deliveries.c.id, DeliveryRecord)
        return {record.job_id: record for _, record in found if record is not None}

    def due(self, limit: int) -> tuple[DeliveryRecord, ...]:
        """Return messages whose time to be sent has come."""
        columns = deliveries.c
        query = select(deliveries).where(columns.status == PENDING, columns.due_at <= now())
        with self._database.read() as connection:
            query = query.order_by(columns.due_at, columns.id).limit(limit)
            found = read_records(connection, query, columns.id, DeliveryRecord)
        return tuple(record for _, record in found if record is not None)

    def attempted(
        self,
        identifier: str,
        status: Literal["pending", "delivered", "failed"],
        *,
        error: str | None = None,
        due_at: datetime | None = None,
    ) -> None:
        """Note how an attempt to send a message went.

        Args:
            identifier: the message.
            status: `pending` when it is to be tried again.
            error: what went wrong.
            due_at: when to try again.
        """
        columns = deliveries.c
        changes: dict[str, Any] = {"status": status, "attempts": columns.attempts + 1, "error": error}
        if due_at is not None:
            changes["due_at"] = due_at
        # what deletes a job looks at its message, too
        with self._database.write(Order.EVENTS) as connection:
            connection.execute(update(deliveries).where(columns.id == identifier).values(**changes))
            # One whose job was deleted meanwhile has nobody left who could look at it.
            orphaned = columns.job_id.not_in(select(jobs.c.id))
            connection.execute(
                delete(deliveries).where(columns.id == identifier, columns.status != PENDING, orphaned)
            )


def announce(connection: Connection, job: JobState) -> None:
    """Write the message that tells the end of a job, if somebody wants to hear of it."""
    if job.webhook_url is None:
        return
    body = {
        "type": f"{job.kind}.{job.status}",
        "timestamp": time_text(job.finished_at or now()),
        "data": {
            "id": job.id,
            "kind": job.kind,
            "status": str(job.status),
            "attempt": job.attempt,
            "model_id": job.model_id,
            "error": job.error,
            "created_at": None if job.created_at is None else time_text(job.created_at),
            "started_at": None if job.started_at is None else time_text(job.started_at),
            "finished_at": time_text(job.finished_at or now()),
        },
    }
    written = json.dumps(body, allow_nan=False, separators=(",", ":"))
    record = DeliveryRecord(new_id(DELIVERY), job.id, job.webhook_url, written, origin=job.origin)
    connection.execute(insert(deliveries).values(**values(record)))


def forget(connection: Connection, job_id: str) -> None:
    """Remove the message of a job that is deleted, unless it is still to be sent."""
    connection.execute(
        delete(deliveries).where(deliveries.c.job_id == job_id, deliveries.c.status != PENDING)
    )
