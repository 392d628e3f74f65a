"""What one number of an input does to a layer's output: a column of the layer's Jacobian.

The gradient at a number is the sum, over the numbers q of the outputs that read it, of the gradient at q times the
derivative of q: dL/dx[p] = sum_q dL/dy[q] * dy[q]/dx[p] (Goodfellow, Bengio & Courville 2016, Deep learning, section
6.5.2). A column holds these derivatives. The arrays are those of one picture, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.arrays import Array
from engine.layers.trace import Position
from engine.layers.trace_kinds import Line


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
