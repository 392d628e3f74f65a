"""What a request left open and the service chose."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.api.common import Body


class Choice(Body):
    """Something that was left open, and what was chosen to fit the data."""

    field: str = Field(examples=["batch_size"])
    """The field of the request."""
    value: Any = Field(examples=[32])
    reason: str
    """Why, in a sentence."""
