"""What became of the webhook of a job."""

from __future__ import annotations

from typing import Literal

from app.api.common import Body


class Webhook(Body):
    """The webhook of a job, and whether its message has been delivered."""

    url: str
    status: Literal["pending", "delivered", "failed"]
    """`pending` until the job has ended and the message was received; `failed` when it was given up."""
    attempts: int = 0
    last_error: str | None = None
    """What went wrong with the last attempt."""
