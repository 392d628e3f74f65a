"""Webhooks of jobs: what is asked for, and what became of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from app.api.common import Body
from app.store.records import DeliveryRecord, JobRecord
from engine.spec import Spec

_MOST = 2000


def _address(text: str) -> str:
    """Refuse what cannot be called, or would show a password to whoever looks at the job."""
    if not all("!" <= character <= "~" for character in text):
        raise ValueError("use printable ASCII characters without spaces")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("use an address that begins with http:// or https:// and names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("leave out user and password: the address is shown with the job")
    try:
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise ValueError("the port is no number from 0 to 65535") from None
    return text


class WebhookRequest(Spec):
    """Whom to tell the end of a job."""

    url: Annotated[
        str,
        Field(max_length=_MOST, examples=["https://example.org/hooks/training"]),
        AfterValidator(_address),
    ]
    """Where to send a POST when the job has ended, in whatever state; signed as in Standard Webhooks."""


class Webhook(Body):
    """Whom the end of a job is told, and whether it has been heard."""

    url: str
    status: Literal["pending", "delivered", "failed"]
    """`pending` until the job has ended and the message was received; `failed` when it was given up."""
    attempts: int = 0
    last_error: str | None = None
    """What went wrong with the last attempt."""

    @classmethod
    def of(cls, record: JobRecord, delivery: DeliveryRecord | None) -> Self | None:
        """Show the webhook of a job, if it has one."""
        if record.webhook_url is None:
            return None
        if delivery is None:
            return cls(url=record.webhook_url, status="pending")
        return cls.model_validate(
            {
                "url": delivery.url,
                "status": delivery.status,
                "attempts": delivery.attempts,
                "last_error": delivery.error,
            }
        )
