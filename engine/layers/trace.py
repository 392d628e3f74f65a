"""The arithmetic of one number of a layer's output, as a record.

Every layer says how one of its numbers came about. One record serves all kinds of layers; a field that says nothing
about a kind is None:

    a window times factors      window, inside, begins, step, factors, products, sum, bias: convolutions, the fully
                                connected layer, averages (count), interpolation, squares of neighbouring channels
    the largest of a window     window, inside, begins, step, winner
    a few single numbers        sources: what activations, sums, products and normalisations read, and what layers
                                that only move numbers have copied
    normalisation               mean, variance, epsilon, scale, shift, beside the number in sources
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from engine.arrays import Array, Shape
from engine.errors import ShapeError

Position = tuple[int, ...]
"""Where a number is in one picture's map, (row, column, channel), or vector, (index,); each counts from 0."""


class Source(NamedTuple):
    """One number of an input that is read by itself."""

    input: int
    """Which of the layer's inputs it is in, from 0."""
    position: Position
    value: float


@dataclass(frozen=True)
class Trace:
    """How one number of an output came about, computed in float64 with running statistics."""

    position: Position
    """Where the number is in the output."""
    output: float
    """The number itself."""
    expression: str
    """The layer's formula with the numbers put in, to four significant digits; long sums are shortened."""
    sources: tuple[Source, ...] = ()
    """The numbers that were read one by one, in the order of the expression."""
    window: Array | None = None
    """The numbers of the first input that were read together: (rows, columns, channels), or (numbers,) of a vector.
    Cells outside the input are 0."""
    inside: Array | None = None
    """Which cells of the window are numbers of the input, bool of the window's shape; the others are padding."""
    begins: Position | None = None
    """Where the window's first cell is in the input; below 0 in the padding."""
    step: Position | None = None
    """How far apart the window's cells are in the input, along each of its axes: the dilation, mostly 1."""
    factors: Array | None = None
    """What each cell of the window is multiplied by; of the window's shape."""
    products: Array | None = None
    """The window times the factors."""
    sum: float | None = None
    """The sum of the products."""
    bias: float | None = None
    """What is added to the sum."""
    winner: Position | None = None
    """Where in the input the largest number of the window is; of equal ones the first."""
    count: int | None = None
    """How many numbers an average, or the mean of a normalisation, is taken over; None of a running mean."""
    mean: float | None = None
    """What a normalisation subtracts."""
    variance: float | None = None
    """What a normalisation divides by, as a square."""
    epsilon: float | None = None
    """What a normalisation adds to the variance."""
    scale: float | None = None
    """What the normalised number is multiplied by."""
    shift: float | None = None
    """What is added to the normalised and scaled number."""


def require_position(shape: Shape, position: Position) -> None:
    """Raise ShapeError unless an output of `shape` has a number at `position`."""
    if len(position) == len(shape) and all(0 <= at < n for at, n in zip(position, shape, strict=True)):
        return
    axes = "[row, column, channel]" if len(shape) == 3 else "[index]"
    last = ", ".join(str(n - 1) for n in shape)
    raise ShapeError(
        f"there is no number at [{', '.join(map(str, position))}] of an output of {'x'.join(map(str, shape))}",
        hint=f"a position here is {axes}, each from 0: the last is [{last}]",
    )
