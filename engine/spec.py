"""The base of every record that a caller can post, and the number types they share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


class Spec(BaseModel):
    """An immutable, validated record; unknown keys and numbers that are not finite are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )


PositiveInt = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
NonNegativeInt = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
PositiveFloat = Annotated[float, Field(strict=True, gt=0)]
NonNegativeFloat = Annotated[float, Field(strict=True, ge=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""A share that may be nothing but not everything: 0 <= x < 1."""
Flag = Annotated[bool, Field(strict=True)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]

NodeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
"""A name given by the caller; slashes are ours, they separate the scopes of nested blocks."""


def _pair(value: Any) -> Any:
    """Let one number stand for both directions."""
    return (value, value) if isinstance(value, int) and not isinstance(value, bool) else value


_Side = Annotated[int, Field(strict=True, ge=1, le=16384)]

Size2D = Annotated[
    tuple[_Side, _Side],
    BeforeValidator(_pair, json_schema_input_type=_Side | tuple[_Side, _Side]),
]
"""A size, one number or [height, width], each at least 1."""


def _moves(value: Any) -> Any:
    """Refuse stride 0 in words: the article prints a formula for it, but it has no output."""
    value = _pair(value)
    if isinstance(value, list | tuple) and any(step == 0 and step is not False for step in value):
        raise ValueError("a stride of 0 is a window that does not move and has no output; use 1 or more")
    return value


Stride2D = Annotated[
    tuple[_Side, _Side],
    BeforeValidator(_moves, json_schema_input_type=_Side | tuple[_Side, _Side]),
]
"""Pixels from one position of a window to the next, one number or [vertical, horizontal]."""

Extra2D = Annotated[
    tuple[NonNegativeInt, NonNegativeInt],
    BeforeValidator(_pair, json_schema_input_type=NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt]),
]
"""Pixels to add, one number or [height, width]."""

ImageShape = tuple[_Side, _Side, _Side]
"""(height, width, channels)"""
