"""Where the end of a job is to be reported."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from engine.spec import Spec

_MOST = 2000


def _address(text: str) -> str:
    """Refuse what is no HTTP address, and passwords: the address is shown with the job."""
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
    """Where the end of a job is announced."""

    url: Annotated[
        str,
        Field(max_length=_MOST, examples=["https://example.org/hooks/training"]),
        AfterValidator(_address),
    ]
    """Where to send a POST when the job has ended, in whatever state; signed as in Standard Webhooks."""


def _of_address(value: Any) -> Any:
    return {"url": value} if isinstance(value, str) else value


Announced = Annotated[
    WebhookRequest | None, BeforeValidator(_of_address, json_schema_input_type=WebhookRequest | str | None)
]
"""The field of a request for a job that says so; an address by itself will do, as fields of forms have it."""
