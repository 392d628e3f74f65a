"""Answers of single layers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.api.common import Body, Number


class NumericCheck(Body):
    """Gradients compared with (L(x + h) - L(x - h)) / 2h in 64-bit floating point."""

    largest_difference: Number
    """The largest difference there is; null where nothing could be compared."""
    entries: int
    """How many numbers of inputs and weights were compared: a sample."""
    kinks: int
    """How many more of the sample have no gradient, since the slopes on their two sides differ: a relu at 0, a tie of a
    maximum."""


class OperationGradients(Body):
    """Gradients of L, the sum of `output_gradient` times the output."""

    inputs: list[list[Any]]
    """dL/da for each input, in the shape of that input."""
    weights: dict[str, Any]
    """dL/dw for each weight that is learned, by its name."""
    numeric_check: NumericCheck


class OperationNode(Body):
    """One layer of a block, or one with an activation of its own."""

    name: str
    """The weights of a block begin with it."""
    type: str
    output_shape: list[int]
    formula: dict[str, str]
    """How the output's size comes about, with the numbers put in."""
    parameters: int
    multiply_adds: int


class OperationAnswer(Body):
    """What a layer or block makes of its inputs."""

    output: list[Any] = Field(examples=[[[1.5, 2.0]]])
    """The numbers, as lists (H, W), (H, W, C) or (C); null where one is not finite."""
    output_shape: list[int]
    """The shape of `output`."""
    formula: dict[str, str] = Field(examples=[{"height": "floor((6 + 2*0 - 3)/1) + 1 = 4"}])
    """How the output's size comes about, with the numbers put in."""
    weights: dict[str, Any] | None
    """The weights that were used, by their names; null where they are more than 10,000 numbers."""
    parameters: int
    """Numbers that are learned."""
    multiply_adds: int
    """Multiplications with their additions."""
    nodes: list[OperationNode]
    """What the layer or block is made of, in the order in which it is computed."""
    precision: str = Field(examples=["float64"])
    """In what it was computed: `float64` for numbers, `float32` for pictures."""
    kernel: list[Any] | None = None
    """Of `convolve`: the filter's numbers as they were used."""
    gradients: OperationGradients | None = None
    """Where `output_gradient` is given."""
