"""Requests for addresses that need no key."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from engine.spec import Spec

MOST_SECONDS = 3600


def _address(text: str) -> str:
    if not text.startswith("/v1/") or any(not "!" <= each <= "~" for each in text) or "#" in text:
        raise ValueError("use the path of a call with its query, such as /v1/events?job=job_example")
    return text


class SignedAddressRequest(Spec):
    """What is to be read without a key."""

    path: Annotated[
        str,
        Field(max_length=2048, examples=["/v1/training-jobs/job_example/events"]),
        AfterValidator(_address),
    ]
    """The path of a call by GET, and its query, percent-encoded as they will be sent."""
    seconds: Annotated[int, Field(ge=1, le=MOST_SECONDS)] = 300
    """How long it may be asked for; a stream that was begun in time goes on as long as the key is good."""
