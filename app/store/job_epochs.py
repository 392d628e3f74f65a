"""The values of each epoch of a training job, written in the transaction in which the epoch is recorded."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from app.store import events
from app.store.records import EpochRecord, Json
from app.store.rows import read_records
from app.store.tables import epochs


def read(connection: Connection, job_id: str) -> list[Json]:
    """Return the values of every epoch of a job, in order."""
    columns = epochs.c
    query = select(columns.epoch, columns.figures).where(columns.job_id == job_id).order_by(columns.epoch)
    found = read_records(connection, query, columns.epoch, EpochRecord)
    return [record.figures for _, record in found if record is not None]


def put(connection: Connection, job_id: str, figures: Json) -> None:
    """Write the values of an epoch in place of those of an earlier attempt, and the event that says so."""
    columns = epochs.c
    connection.execute(delete(epochs).where(columns.job_id == job_id, columns.epoch == figures["epoch"]))
    connection.execute(insert(epochs).values(job_id=job_id, epoch=figures["epoch"], figures=figures))
    events.add(connection, job_id, events.EPOCH, figures)
