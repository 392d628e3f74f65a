"""The base of every record that a caller can post, and the number types they share."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def describe(schema: dict[str, Any], kind: type[BaseModel]) -> None:
    """Put the strings below attributes into a JSON schema as their descriptions.

    pydantic can do that (`use_attribute_docstrings`), but reads the sources of all classes when they are made: half
    a second of every start of a server and a quarter of every worker's. Here they are read when a schema is asked for.
    """
    properties: dict[str, Any] = schema.get("properties", {})
    for name, text in descriptions(kind).items():
        place = properties.get(kind.model_fields[name].alias or name)
        if place is not None:
            place["description"] = text


def descriptions(kind: type[BaseModel]) -> dict[str, str]:
    """Return what a class says about its fields: in `Field`, or in the string below."""
    texts: dict[str, str | None] = {}
    for made in reversed(kind.__mro__):
        if issubclass(made, BaseModel):
            found = _docstrings(made.__module__).get(made.__qualname__, {})
            texts |= {name: found.get(name) for name in inspect.get_annotations(made)}
    said = {name: field.description or texts.get(name) for name, field in kind.model_fields.items()}
    return {name: text for name, text in said.items() if text is not None}


@functools.cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Return the strings below the attributes of a module's classes, by class and attribute."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError):  # of a class that was made without a source
        return {}
    return {
        made.name: {
            before.target.id: inspect.cleandoc(after.value.value)
            for before, after in zip(made.body, made.body[1:], strict=False)
            if isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        }
        for made in tree.body
        if isinstance(made, ast.ClassDef)
    }


class Spec(BaseModel):
    """An immutable, validated record; unknown keys and numbers that are not finite are refused."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra=describe,
        validate_default=True,
        defer_build=True,
    )


PositiveInt = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
NonNegativeInt = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
Number = Annotated[float, Field(strict=True)]
PositiveFloat = Annotated[float, Field(strict=True, gt=0)]
NonNegativeFloat = Annotated[float, Field(strict=True, ge=0)]
Fraction = Annotated[float, Field(strict=True, ge=0, lt=1)]
"""A share that may be nothing but not everything: 0 <= x < 1."""
Flag = Annotated[bool, Field(strict=True)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]

NodeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
"""A name given by the caller; slashes are ours, they separate the scopes of nested blocks."""


def _pair(value: Any) -> Any:
    """Let one number stand for both directions; say so of what is neither a number nor a list."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, value)
    raise ValueError("input should be a whole number or a list of two")


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
