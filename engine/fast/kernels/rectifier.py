"""ReLU and ReLU6 in place, and where their gradient passes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.fast.layout.places import Call, Place
from engine.graph.network import Node

_ZERO = np.float32(0)
_ENDLESS = np.float32(np.inf)
RECTIFIERS = {"relu": None, "relu6": np.float32(6)}
"""By type of layer, what stops them from growing."""


class Rectifier:
    """max(z, 0), or min(max(z, 0), most)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._most = RECTIFIERS[name]
        self._below = np.empty(0, np.bool_)

    def apply(self, rows: Array, zeros: Array) -> None:
        """Apply it in place to rows (n, m), given m zeros."""
        self._call(rows, zeros)()

    def bind(self, y: Place, zeros: Array) -> list[Call]:
        """Return what applies it to maps, given zeros (1, M or more)."""
        return [self._call(y.flat, zeros[:, : y.flat.shape[1]])]

    def _call(self, rows: Array, zeros: Array) -> Call:
        """Return what applies it in place.

        NumPy has vector code for the maximum of two arrays and for `clip` by two numbers, not for the maximum with
        one number.
        """
        if self._most is None:
            return partial(np.maximum, rows, zeros, out=rows)
        return partial(np.clip, rows, _ZERO, self._most, out=rows)

    def moves(self, source: Array, target: Array) -> Call:
        """Return what writes it of one array to another, which may be the same."""
        return partial(np.clip, source, _ZERO, _ENDLESS if self._most is None else self._most, out=target)

    def passes(self, y: Array, out: Array) -> Array:
        """Write to `out` where the gradient of the output y passes, and return it."""
        np.greater(y, 0, out=out)
        if self._most is not None:
            if self._below.size < y.size:
                self._below = np.empty(y.size, np.bool_)
            below = self._below[: y.size].reshape(y.shape)
            np.logical_and(out, np.less(y, self._most, out=below), out=out)
        return out


def rectifier_of(nodes: Sequence[Node]) -> Rectifier | None:
    """Return that of the nodes of a step."""
    return next((Rectifier(node.layer.type) for node in nodes if node.layer.type in RECTIFIERS), None)
