"""What one number of an input does to a layer's output: a column of the layer's Jacobian.

The gradient at a number is the sum, over the numbers q of the outputs that read it, of the gradient at q times the
derivative of q: dL/dx[p] = sum_q dL/dy[q] * dy[q]/dx[p] (Goodfellow, Bengio & Courville 2016, Deep learning, section
6.5.2). A column holds these derivatives. The arrays are those of one picture, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple, Protocol

import numpy as np

from engine.arrays import Array, Weights
from engine.layers.trace import Position
from engine.layers.trace_kinds import Line

_ROWS = 1 << 21
"""Numbers of the largest array while rows of a Jacobian are computed at a time."""


class Column(NamedTuple):
    """The derivatives of those numbers of an output that one number of an input leads to; all others are 0."""

    begins: Position
    """Where the first of them is in the output."""
    step: Position
    """How far apart they are, along each axis."""
    values: Array
    """(rows, columns, channels) or (numbers,), float64; without numbers where nothing reads the input's number."""

    @classmethod
    def along(cls, lines: Sequence[Line], values: Array) -> Column:
        """Return the derivatives where lines cross, one line for each axis of the output."""
        exact = values.astype(np.float64).reshape([line.length for line in lines])
        return cls(tuple(line.first for line in lines), tuple(line.step for line in lines), exact)

    @classmethod
    def trimmed(cls, values: Array) -> Column:
        """Return the derivatives of a whole output without the margins that are 0."""
        kept = []
        for axis in range(values.ndim):
            others = tuple(other for other in range(values.ndim) if other != axis)
            found = np.flatnonzero((values != 0).any(axis=others))
            kept.append(Line(int(found[0]), int(found[-1] - found[0]) + 1) if found.size else Line(0, 0))
        return cls.along(kept, values[np.ix_(*(line.indices for line in kept))])

    @classmethod
    def crossed(cls, rows: Array, columns: Array, channel: int) -> Column:
        """Return those of one channel of a map, each what its row takes times what its column takes."""
        _, _, values = cell = cls.trimmed(np.multiply.outer(rows, columns)[..., None])
        return cell._replace(begins=(*cell.begins[:2], channel), values=values)

    def of(self, output: Array) -> Array:
        """Return the numbers of an output that the derivatives belong to, float64."""
        places = [
            first + step * np.arange(length)
            for first, step, length in zip(self.begins, self.step, self.values.shape, strict=True)
        ]
        found: Array = output[np.ix_(*places)].astype(np.float64)
        return found


class Differentiable(Protocol):
    """What is needed of a layer; see its contract."""

    def forward(self, weights: Weights, *xs: Array, context: Any) -> tuple[Array, Any]:
        """Compute the output of a batch."""
        ...

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Any
    ) -> tuple[tuple[Array | None, ...], dict[str, Array]]:
        """Turn the gradient of the output into those of the inputs."""
        ...


def by_backward(
    layer: Differentiable,
    context: Any,
    lines: Sequence[Line],
    weights: Weights,
    xs: Sequence[Array],
    number: int,
    position: Position,
) -> Column:
    """Return the derivatives where lines cross: what `backward` gives for a gradient of 1 there, 0 elsewhere.

    Args:
        layer: whose they are.
        context: that records and wants no gradients of weights.
        lines: one for each axis of the output.
        weights: of the layer.
        xs: each input of one picture, without a batch axis.
        number: by which input the derivatives are.
        position: by which number of it.
    """
    cells = np.array(list(product(*(line.indices for line in lines))), np.intp)
    exact = {name: array.astype(np.float64) for name, array in weights.items()}
    inputs = [x.astype(np.float64) for x in xs]
    values = np.zeros(len(cells))
    size = max(1, _ROWS // max(x.size for x in inputs))
    for first in range(0, len(cells), size):
        some = cells[first : first + size]
        batch = [np.repeat(x[None], len(some), axis=0) for x in inputs]
        y, saved = layer.forward(exact, *batch, context=context)
        dy = np.zeros_like(y)
        dy[np.arange(len(some)), *some.T] = 1
        dx = layer.backward(exact, saved, dy, context=context)[0][number]
        if dx is not None:
            here: tuple[Any, ...] = (slice(None), *position)
            values[first : first + size] = dx[here]
    return Column.along(lines, values)
