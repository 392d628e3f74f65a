"""What happened to a job, in order; for earlier jobs, what their rows tell of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_FINISHED = ("succeeded", "failed", "cancelled")


def upgrade() -> None:
    """Make the table and fill it."""
    events = op.create_table(
        "job_events",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_job_events_job_id_jobs", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_job_events"),
    )
    jobs = sa.table(
        "jobs",
        *(sa.column(name, sa.String()) for name in ("id", "status", "model_id")),
        sa.column("attempt", sa.Integer()),
        sa.column("error", sa.JSON()),
        *(sa.column(name, sa.DateTime()) for name in ("created_at", "started_at", "finished_at")),
    )
    epochs = sa.table(
        "epochs",
        sa.column("job_id", sa.String()),
        sa.column("epoch", sa.Integer()),
        sa.column("figures", sa.JSON()),
    )
    connection = op.get_bind()
    for job in connection.execute(sa.select(jobs)).all():
        of_job = sa.select(epochs.c.figures).where(epochs.c.job_id == job.id).order_by(epochs.c.epoch)
        found = list(_events(job, list(connection.scalars(of_job))))
        rows = [{"job_id": job.id, "number": n, "kind": k, "data": d} for n, (k, d) in enumerate(found, 1)]
        connection.execute(sa.insert(events), rows)


def _events(job: Any, figures: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    found = [("status", {"status": "queued", "attempt": 0, "at": _time(job.created_at)})]
    if job.started_at is not None:
        found.append(("status", {"status": "running", "attempt": 1, "at": _time(job.started_at)}))
    found += [("epoch", entry) for entry in figures]
    if job.status in _FINISHED:
        at = _time(job.finished_at or job.created_at)
        found.append(("status", {"status": job.status, "attempt": job.attempt, "at": at}))
        found.append(("end", {"status": job.status, "model_id": job.model_id, "error": job.error, "at": at}))
    return found


def _time(at: Any) -> str:
    return str(at.isoformat(timespec="milliseconds")) + "Z"


def downgrade() -> None:
    """Remove it."""
    op.drop_table("job_events")
