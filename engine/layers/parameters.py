"""Hyperparameters that several layers share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from engine.layers.base import activations
from engine.spec import NonNegativeInt

_Sides = tuple[NonNegativeInt, NonNegativeInt]


def _sides(value: Any) -> Any:
    """Write a number or [height, width] out as ((top, bottom), (left, right))."""
    if isinstance(value, int) and not isinstance(value, bool):
        return ((value, value), (value, value))
    if isinstance(value, (list, tuple)) and len(value) == 2:
        return tuple(
            (side, side) if isinstance(side, int) and not isinstance(side, bool) else side for side in value
        )
    return value


Padding = Annotated[
    Literal["valid", "same"] | tuple[_Sides, _Sides],
    BeforeValidator(
        _sides,
        json_schema_input_type=Literal["valid", "same"] | NonNegativeInt | _Sides | tuple[_Sides, _Sides],
    ),
]
"""`valid`, `same`, a number, [height, width] or [[top, bottom], [left, right]]."""


def _known(name: str) -> str:
    if name not in activations():
        raise ValueError(f"unknown activation {name!r}; known are {', '.join(sorted(activations()))}")
    return name


class _Names:
    """Puts the names of the activation layers into the JSON schema."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(schema) | {"enum": sorted(activations())}


Activation = Annotated[str, AfterValidator(_known), _Names()]
"""The type of an activation layer, used with its default hyperparameters."""
