"""What the answers about jobs of all kinds share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.common import Body, Time
from app.api.webhooks import Webhook
from app.states import JobStatus


class JobError(Body):
    """Why a job failed, or a data set could not be made."""

    code: str = Field(examples=["non_finite"])
    message: str


class WaitingFor(Body):
    """What a job waits for before its turn in the queue can come."""

    dataset: str | None = None
    """The id of a data set that is still being filled. When it is ready what the job does is decided: what depends on
    the pictures is chosen and checked. When it fails, so does the job."""
    storage: Literal["full", "unavailable"] | None = None
    """Why what it does could not be written to the disk of the server: there is no room, or it cannot be written. The
    job goes on from where it was when that has passed, which the server tries again and again."""


class JobBody(Body):
    """A job, and what became of it."""

    id: str
    status: JobStatus
    attempt: int
    """How often it was started; a job whose worker dies goes on as the next attempt, three times at most."""
    error: JobError | None
    """Why it has failed."""
    waiting_for: WaitingFor | None = None
    """What it waits for beside its turn: its data set, which is still being filled, or room on the disk."""
    webhook: Webhook | None = None
    """Where its end is announced, and what became of that."""
    created_at: Time
    started_at: Time | None
    finished_at: Time | None

    @property
    def finished(self) -> bool:
        """Whether it has ended; a finished job never changes again."""
        return self.status.finished
