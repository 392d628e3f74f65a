"""Answers of single layers."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Body, JsonObject, Number, Numbers
from app.api.traces import NodeTrace, Trace


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

    inputs: list[Numbers]
    """dL/da for each input, in the shape of that input."""
    weights: JsonObject
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


class OperationTrace(Trace):
    """How one number of the output came about; of a block, the number that its last layer gives."""

    node: str
    """Name of the layer, as in `nodes`."""
    type: str
    inputs_from: list[str]
    """Where the layer's inputs come from: other nodes, or the `input`."""
    through: Trace | None
    """The same number after the layer's own activation: a = psi(z)."""
    on_the_way: list[NodeTrace]
    """Of a block: the numbers before it that it was made of one by one."""


class OperationAnswer(Body):
    """What a layer or block makes of its inputs."""

    output: Numbers = Field(examples=[[[1.5, 2.0]]])
    """The numbers, as lists (H, W), (H, W, C) or (C); null where one is not finite."""
    output_shape: list[int]
    """The shape of `output`."""
    formula: dict[str, str] = Field(examples=[{"height": "floor((6 + 2*0 - 3)/1) + 1 = 4"}])
    """How the output's size comes about, with the numbers put in."""
    weights: JsonObject | None
    """The weights that were used, by their names; null where they are more than 10,000 numbers."""
    parameters: int
    """Numbers of its weights, learned or fixed; running statistics are not counted."""
    multiply_adds: int
    """Multiplications with their additions."""
    nodes: list[OperationNode]
    """What the layer or block is made of, in the order in which it is computed."""
    precision: str = Field(examples=["float64"])
    """In what it was computed: `float64` for numbers, `float32` for pictures."""
    kernel: Numbers | None = None
    """Of `convolve`: the filter's numbers as they were used."""
    gradients: OperationGradients | None = None
    """Where `output_gradient` is given."""
    trace: list[OperationTrace] | None = None
    """Where `trace` is wanted: how single numbers of the output come about."""
    trace_total: int | None = None
    """Of how many numbers `trace` could be asked for: of all of the output."""
