"""The arithmetic that traces of several layers share: windows, sums of products, averages, copies.

The arrays are those of one picture, (H, W, C) or (C,); all is computed in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.arrays import Array, Shape
from engine.layers.trace import Position, Source, Trace
from engine.layers.trace_text import cell, number, product, put, series, term
from engine.ops.windows import Axis, Window


class Cells(NamedTuple):
    """A window's numbers, and where they are in the input."""

    values: Array
    """(rows, columns, channels) or (numbers,), float64; 0 outside the input."""
    inside: Array
    begins: Position
    step: Position

    def fields(self) -> dict[str, Any]:
        """Return what a trace says about its window."""
        return {"window": self.values, "inside": self.inside, "begins": self.begins, "step": self.step}


class Line(NamedTuple):
    """Equally distant cells along one axis of an input; the first may be before it and the last behind."""

    first: int
    length: int
    step: int = 1

    @classmethod
    def under(cls, axis: Axis, position: int) -> Line:
        """Return the cells that a sliding window sees at a position."""
        return cls(position * axis.stride - axis.before, axis.kernel, axis.dilation)

    @classmethod
    def stamping(cls, axis: Axis, position: int, size: int) -> tuple[Line, list[int]]:
        """Return the cells of a transposed convolution's input whose filters reach an output's position.

        Beside them, in the same order, which row or column of its filter each contributes.
        """
        reached = [position + axis.before - tap * axis.dilation for tap in range(axis.kernel)]
        pairs = sorted(
            (at // axis.stride, tap)
            for tap, at in enumerate(reached)
            if at % axis.stride == 0 and 0 <= at // axis.stride < size
        )
        cells, taps = [at for at, _ in pairs], [tap for _, tap in pairs]
        # neighbours are as far apart as stride and dilation have it, which is one distance for all
        step = cells[1] - cells[0] if len(cells) > 1 else 1
        return cls(cells[0] if cells else 0, len(cells), step), taps

    @property
    def indices(self) -> Array:
        """The cells' indices, (length,)."""
        return self.first + self.step * np.arange(self.length)


def gather(x: Array, *lines: Line) -> Cells:
    """Return the cells of `x` where the lines cross, one line for each of its axes."""
    indices = [line.indices for line in lines]
    inside = [(at >= 0) & (at < size) for at, size in zip(indices, x.shape, strict=True)]
    nearest = [np.clip(at, 0, size - 1) for at, size in zip(indices, x.shape, strict=True)]
    grid = np.ones([line.length for line in lines], np.bool_)
    for axis, real in enumerate(inside):
        grid &= real.reshape([-1 if axis == other else 1 for other in range(len(lines))])
    values = np.where(grid, x[np.ix_(*nearest)].astype(np.float64), 0.0)
    begins, step = tuple(line.first for line in lines), tuple(line.step for line in lines)
    return Cells(values, grid, begins, step)


def under(x: Array, window: Window, position: Position, channels: Line) -> Cells:
    """Return what a sliding window sees of a map (H, W, C) at an output's position."""
    rows, columns = (Line.under(axis, at) for axis, at in zip(window, position[:2], strict=True))
    return gather(x, rows, columns, channels)


def channel(position: Position) -> Line:
    """Return the one channel of a layer that treats channels apart."""
    return Line(position[-1], 1)


def weighted(position: Position, cells: Cells, factors: Array, bias: Array | None) -> Trace:
    """Trace a sum of products: a window (any shape) times factors of its shape, and perhaps a bias."""
    factors = factors.astype(np.float64)
    products = cells.values * factors
    total = float(products.sum())
    output = total if bias is None else total + float(bias)
    text = series(product, cells.values, factors) or "0"
    if bias is not None:
        text += f" + {term(float(bias))}"
    return Trace(
        position,
        output,
        f"{text} = {number(output)}",
        **cells.fields(),
        factors=factors,
        products=products,
        sum=total,
        bias=None if bias is None else float(bias),
    )


def average(position: Position, cells: Cells, counted: Array) -> Trace:
    """Trace the mean of those cells of a window that are counted, bool of the window's shape."""
    count = int(np.count_nonzero(counted))
    factors = counted / count
    products = cells.values * factors
    output = float(products.sum())
    return Trace(
        position,
        output,
        f"({series(term, cells.values[counted])}) / {count} = {number(output)}",
        **cells.fields(),
        factors=factors,
        products=products,
        sum=output,
        count=count,
    )


def largest(position: Position, cells: Cells) -> Trace:
    """Trace the largest number of a window; what is outside the input never wins."""
    best = np.unravel_index(np.argmax(np.where(cells.inside, cells.values, -np.inf)), cells.inside.shape)
    winner = tuple(
        first + step * int(at) for first, step, at in zip(cells.begins, cells.step, best, strict=True)
    )
    output = float(cells.values[best])
    text = f"max({series(number, cells.values[cells.inside], joint=', ')}) = {number(output)}"
    return Trace(position, output, text, **cells.fields(), winner=winner)


def source(xs: Sequence[Array], position: Position, number: int = 0) -> Source:
    """Return one number of one of the inputs, which count from 0."""
    return Source(number, position, float(xs[number][position]))


def normalised(
    position: Position,
    found: Source,
    mean: float,
    variance: float,
    epsilon: float,
    affine: tuple[float, float] | None,
    count: int | None,
) -> Trace:
    """Trace a number brought to mean 0 and variance 1; `affine` are scale and shift."""
    numbers = {"a": found.value, "mean": mean, "variance": variance, "epsilon": epsilon}
    formula = "(a - mean) / sqrt(variance + epsilon)"
    with np.errstate(
        all="ignore"
    ):  # a variance that was sent can be negative: NaN, as the layer itself has it
        output = float((found.value - mean) / np.sqrt(np.float64(variance) + epsilon))
    if affine is not None:
        numbers |= {"scale": affine[0], "shift": affine[1]}
        formula = f"scale * {formula} + shift"
        output = affine[0] * output + affine[1]
    return Trace(
        position,
        output,
        f"{put(formula, numbers)} = {number(output)}",
        (found,),
        count=count,
        mean=mean,
        variance=variance,
        epsilon=epsilon,
        scale=None if affine is None else affine[0],
        shift=None if affine is None else affine[1],
    )


def copied(xs: Sequence[Array], position: Position, place: Position, number_of_input: int = 0) -> Trace:
    """Trace a number that was copied from `place` in one of the inputs, which count from 0."""
    found = source(xs, place, number_of_input)
    letter = "a" if len(xs) == 1 else f"a_{number_of_input + 1}"
    return Trace(position, found.value, f"{cell(place, letter)} = {number(found.value)}", (found,))


def moved(xs: Sequence[Array], position: Position, shape: Shape) -> Trace:
    """Trace a number of an output that holds the input's numbers in the same order, in another shape."""
    place = np.unravel_index(np.ravel_multi_index(position, shape), xs[0].shape)
    return copied(xs, position, tuple(int(at) for at in place))


def combined(position: Position, sources: Sequence[Source], output: float, joint: str) -> Trace:
    """Trace a number that is made of one number of each input, joined by an operator."""
    values = np.array([each.value for each in sources])
    text = f"{series(term, values, joint=joint)} = {number(output)}"
    return Trace(position, output, text, tuple(sources))


def applied(
    position: Position, found: Source, output: float, formula: str, numbers: Mapping[str, float]
) -> Trace:
    """Trace a function of one number: the right side of its formula, with the numbers put in."""
    whole = f"({formula})" if formula.startswith("z if ") else formula
    return Trace(position, output, f"{put(whole, numbers)} = {number(output)}", (found,))
