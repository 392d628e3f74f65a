"""What the bodies of all resources share."""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import to_json

from app.text import has_controls
from engine.spec import describe

T = TypeVar("T")


class Body(BaseModel):
    """The base of every answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=describe, defer_build=True)


def _write_time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    datetime,
    PlainSerializer(_write_time, return_type=str, when_used="json"),
    Field(examples=["2026-01-31T12:00:00.000Z"]),
]
"""A time in UTC."""


def finite(value: Any) -> Any:
    """Replace numbers that are not finite by None, all through a JSON value: JSON cannot write them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [finite(member) for member in value]
    return value


def _finite_object(value: Any) -> Any:
    """Do what `finite` does to what is mostly names: writing it takes a tenth of the time of looking through it."""
    with suppress(ValueError):
        written = to_json(value, inf_nan_mode="constants")
        if b"NaN" not in written and b"Infinity" not in written:
            return value
    return finite(value)


Number = Annotated[float | None, BeforeValidator(finite)]
"""A number, null when it is not finite."""

Numbers = Annotated[list[Any], BeforeValidator(finite)]
"""An array as nested lists; numbers that are not finite are null."""

JsonObject = Annotated[dict[str, Any], BeforeValidator(_finite_object)]
"""Any JSON object; numbers in it that are not finite become null."""


class ListOf(Body, Generic[T]):
    """All there is, not in pages."""

    data: list[T]


class PageOf(Body, Generic[T]):
    """A slice of a list, newest first where nothing else is said."""

    data: list[T]
    next: Annotated[
        str | None, Field(description="Pass it as `after` for what follows; null at the end of the list.")
    ]


class FieldProblem(Body):
    """One bad field."""

    pointer: str | None = None
    """Its place in the JSON body, as a JSON pointer (RFC 6901)."""
    parameter: str | None = None
    """The name of the query parameter, header or file part, when it is not a field of the body."""
    detail: str
    """What is wrong with it."""
    hint: str | None = None
    """What would fix it."""


class Problem(Body):
    """What every error looks like (RFC 9457)."""

    type: str = Field(examples=["/problems/shape-mismatch"])
    """Which kind of problem this is; programs can rely on it."""
    title: str = Field(examples=["Shape mismatch"])
    """The kind of problem in words."""
    status: int = Field(examples=[422])
    """The status code of the answer."""
    detail: str = Field(examples=["layers[3].kernel_size: a 7x7 window does not fit a 4x4 input"])
    """What is wrong with this request."""
    errors: list[FieldProblem] | None = None
    """The fields at fault."""
    numbers: dict[str, int | None] | None = None
    """What is needed and what is allowed, by name, when it is a matter of numbers."""


def _one_line(text: str) -> str:
    if any(not character.isprintable() for character in text):
        raise ValueError("a name is one line of printable characters")
    if text != text.strip() or not text:
        raise ValueError("a name neither begins nor ends with a space, and is not empty")
    return text


def _line(text: str) -> str:
    if has_controls(text):
        raise ValueError("this is one line of printable characters")
    return text


Line = AfterValidator(_line)
"""Marks a text that is shown in one line, such as a tag or the name of a class."""

Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]
"""A name for people."""
