"""Hyperparameters that several layers share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, SerializerFunctionWrapHandler, WrapSerializer

from engine.choices import OneOf
from engine.layers.activation import (
    ELU,
    GELU,
    SELU,
    ActivationLayer,
    Erf,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from engine.layers.base import Layer
from engine.layers.bounded import Clip, HardSigmoid, HardSwish, ReLU6
from engine.layers.softmax import LogSoftmax, Softmax
from engine.spec import NonNegativeInt

ACTIVATIONS: tuple[type[ActivationLayer], ...] = (
    ReLU,
    ReLU6,
    LeakyReLU,
    PReLU,
    Clip,
    ELU,
    SELU,
    GELU,
    SiLU,
    HardSwish,
    Softplus,
    Sigmoid,
    HardSigmoid,
    Tanh,
    Erf,
    Softmax,
    LogSoftmax,
)
"""What may be named in another layer's `activation`."""

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


Sides = Annotated[
    tuple[_Sides, _Sides],
    BeforeValidator(_sides, json_schema_input_type=NonNegativeInt | _Sides | tuple[_Sides, _Sides]),
]
"""A number, [height, width] or [[top, bottom], [left, right]]."""

Padding = Annotated[
    Literal["valid", "same"] | tuple[_Sides, _Sides],
    BeforeValidator(
        _sides,
        json_schema_input_type=Literal["valid", "same"] | NonNegativeInt | _Sides | tuple[_Sides, _Sides],
    ),
]
"""`valid`, `same`, a number, [height, width] or [[top, bottom], [left, right]]."""


def _without_place(activation: ActivationLayer) -> ActivationLayer:
    if activation.name is not None or activation.inputs is not None:
        raise ValueError("an activation of another layer follows that layer: leave out its name and inputs")
    return activation


def _written(activation: ActivationLayer, write: SerializerFunctionWrapHandler) -> str | dict[str, Any]:
    """Write the name alone where it says everything, else the record with its defaults."""
    if activation.trainable and type(activation).model_fields.keys() == Layer.model_fields.keys():
        return activation.type
    return {name: value for name, value in write(activation).items() if name not in {"name", "inputs"}}


Activation = Annotated[
    ActivationLayer,
    OneOf(ACTIVATIONS, by_name=True),
    AfterValidator(_without_place),
    WrapSerializer(_written),
]
"""The type of an activation layer, which then has its default hyperparameters, or its whole record."""
