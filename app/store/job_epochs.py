"""The values of each epoch of a training job, written in the transaction in which the epoch is recorded."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from app.store import events
from app.store.records import EpochRecord, Json, NormsRecord
from app.store.rows import read_records
from app.store.tables import epochs

MOST_NORMS = 200
"""Epochs whose norms are read at once."""


def read(connection: Connection, job_id: str) -> list[Json]:
    """Return the values of every epoch of a job, in order."""
    columns = epochs.c
    query = select(columns.epoch, columns.figures).where(columns.job_id == job_id).order_by(columns.epoch)
    found = read_records(connection, query, columns.epoch, EpochRecord)
    return [record.figures for _, record in found if record is not None]


def read_norms(connection: Connection, job_id: str) -> list[NormsRecord]:
    """Return the norms of the epochs of a job that have some, in order.

    Of more than `MOST_NORMS` some are left out, spread evenly, never the first nor the last.
    """
    columns = epochs.c
    query = select(columns.epoch).where(columns.job_id == job_id, columns.norms.is_not(None))
    numbers = list(connection.scalars(query.order_by(columns.epoch)))
    if len(numbers) > MOST_NORMS:
        step = (len(numbers) - 1) / (MOST_NORMS - 1)
        numbers = [numbers[round(place * step)] for place in range(MOST_NORMS)]
    chosen = select(columns.epoch, columns.norms).where(columns.job_id == job_id, columns.epoch.in_(numbers))
    found = read_records(connection, chosen.order_by(columns.epoch), columns.epoch, NormsRecord)
    return [record for _, record in found if record is not None]


def put(connection: Connection, job_id: str, epoch: Json) -> Json:
    """Write an epoch in place of that of an earlier attempt, and the event that says so; return its values.

    `norms` in it, which have an entry for each node, go to a column of their own and not into the event.
    """
    figures = {name: value for name, value in epoch.items() if name != "norms"}
    columns = epochs.c
    connection.execute(delete(epochs).where(columns.job_id == job_id, columns.epoch == epoch["epoch"]))
    connection.execute(
        insert(epochs).values(job_id=job_id, epoch=epoch["epoch"], figures=figures, norms=epoch.get("norms"))
    )
    events.add(connection, job_id, events.EPOCH, figures)
    return figures
