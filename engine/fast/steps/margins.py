"""Rows that steps read beyond those that they are given: the other half of a picture's."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from engine.arrays import Array
from engine.fast.layout.places import Call, moved
from engine.fast.steps.base import Step
from engine.ops.windows import Axis


def halo_of(axis: Axis) -> tuple[int, int] | None:
    """Return how many rows above and below a window reads beyond those that rows of its output stand for.

    None where its windows would not be in half a map where they are in all of it.
    """
    if axis.output * axis.stride != axis.size:
        return None
    return axis.before, max(0, axis.extent - axis.stride - axis.before)


class OwnMargins(Step):
    """A step that has no padded map of its own to which the rows of others could be copied."""

    @cached_property
    def margins(self) -> Array:
        height, *row = self.nodes[0].input_shapes[0]
        return np.zeros((self.task.batch, height + sum(self.halo or ()), *row), np.float32)

    def between_margins(self, x: Array) -> tuple[list[Call], Array]:
        """Return what copies maps (N, H, W, C), and where they are with the rows that are filled in (`beyond`)."""
        if not any(self.beyond):
            return [], x
        above, below = self.beyond
        first, height = (self.halo or (0, 0))[0], x.shape[1]
        calls = moved(x, self.margins[:, first : first + height])
        return calls, self.margins[:, first - above : first + height + below]
