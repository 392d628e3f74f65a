"""Answers about addresses that need no key."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Body, Time


class SignedAddress(Body):
    """An address that whoever has it can read."""

    address: str = Field(
        examples=["/v1/training-jobs/job_example/events?signature=key_01k.1798761600.Zm9yZ2Vk"]
    )
    """The path and query to ask for, exactly as they are; put them behind the address of the service."""
    expires_at: Time
