"""How single numbers of an output came about."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.api.common import Body, Number, Numbers


class SourceNumber(Body):
    """One number of an input that was read by itself."""

    input: int
    """Which of the layer's inputs it is in, from 0."""
    position: list[int]
    """[row, column, channel], or [index] of a vector."""
    value: Number


class Trace(Body):
    """How one number of an output came about: the layer's formula with its numbers.

    Computed in double precision, as in inference. What does not apply to a layer is null.
    """

    position: list[int] = Field(examples=[[0, 0, 0]])
    """Where the number is in the output: [row, column, channel], or [index] of a vector; each from 0."""
    output: Number
    """The number itself."""
    expression: str = Field(examples=["10*1 + 10*0 + 0*(-1) = 10"])
    """The formula with the numbers put in, to four significant digits; of long sums the middle is left out."""
    sources: list[SourceNumber]
    """The numbers that were read one by one: what an activation was applied to, what was added, multiplied,
    normalised or copied."""
    window: Numbers | None = None
    """The numbers of the input that were read together, [row][column][channel] or [number]; 0 for padding."""
    inside: list[Any] | None = None
    """Of the window's shape: true where the number is one of the input, false where it is padding."""
    begins: list[int] | None = None
    """Where in the input the window's first number is; below 0 in the padding."""
    step: list[int] | None = None
    """How far apart the window's numbers are in the input, along each axis: the dilation, mostly 1."""
    factors: Numbers | None = None
    """What each number of the window is multiplied by: of a convolution its filter."""
    products: Numbers | None = None
    """The window times the factors, number by number."""
    sum: Number = None
    """The sum of the products."""
    bias: Number = None
    """What is added to the sum."""
    winner: list[int] | None = None
    """Where in the input the largest number of a pool's window is; of equal ones the first."""
    count: int | None = None
    """How many numbers a pool averages, or the mean and the variance of a normalisation are taken over; null for
    statistics that were gathered in training."""
    mean: Number = None
    """What a normalisation subtracts."""
    variance: Number = None
    """Its root, after epsilon is added, is what a normalisation divides by."""
    epsilon: Number = None
    """What is added to the variance."""
    scale: Number = None
    """What the normalised number is multiplied by."""
    shift: Number = None
    """What is added at the end of a normalisation."""


class NodeTrace(Body):
    """How one number of one node of a network came about."""

    node: str = Field(examples=["conv2d_1"])
    """Name of the node; of a block, its last one."""
    type: str = Field(examples=["conv2d"])
    """Type of the node's layer."""
    inputs_from: list[str]
    """The nodes that the layer's inputs come from, in their order; `input` is the picture."""
    trace: Trace
    through: NodeTrace | None = None
    """The same number after the activation that belongs to the layer: a = psi(z)."""
    on_the_way: list[NodeTrace]
    """The single numbers before it that it was made of, as far back as they are in the same block."""


class GradientReader(Body):
    """What flows back to a number from one node that reads it.

    The arrays are [row][column][channel] or [number] of the node's output: those numbers that the one in question leads
    to.
    """

    node: str = Field(examples=["conv2d_2"])
    type: str = Field(examples=["conv2d"])
    """Type of the node's layer."""
    input: int
    """Which of the layer's inputs the number is in, from 0."""
    begins: list[int]
    """Where the first of the numbers that it leads to is in the node's output."""
    step: list[int]
    """How far apart these are, along each axis."""
    gradients: Numbers
    """The gradients at them."""
    derivatives: Numbers
    """By how much each of them grows with the number: of a convolution the weights that it is multiplied by."""
    products: Numbers
    """The gradients times the derivatives, number by number."""
    sum: Number
    """The sum of the products."""


class GradientTrace(Body):
    """How the gradient at one number of a node comes about; computed in double precision, as in inference."""

    node: str = Field(examples=["max_pool2d_1"])
    type: str = Field(examples=["max_pool2d"])
    """Type of the node's layer; `input` for the picture."""
    position: list[int] = Field(examples=[[3, 4, 0]])
    """Where the number is in the node's output: [row, column, channel], or [index] of a vector; each from 0."""
    gradient: Number
    """The sum over the readers; at the end, where none reads, the derivative of the score or the loss."""
    expression: str = Field(examples=["0.25*2 + 0.5*(-1) = 0"])
    """The sum with its numbers, to four significant digits; of long ones the middle is left out."""
    readers: list[GradientReader]
    """The nodes that read the number, in the order in which they are computed; of a block, its inside."""
