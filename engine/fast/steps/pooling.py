"""Max-pooling that no convolution took along."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from engine.arrays import Array, elements
from engine.fast.arena import Arena
from engine.fast.columns import empty
from engine.fast.gemm import largest_divisor
from engine.fast.places import Call, Place
from engine.fast.pooled import Halving
from engine.fast.steps.base import BLOCK, Gradients, LayerStep, Map, Step, stored
from engine.layers import Context
from engine.network import Node
from engine.ops.windows import Axis, Window


class PoolStep(Step):
    """2x2 max-pooling of stride 2."""

    hands_on = False

    kind = "max_pool"

    def __init__(self, nodes: tuple[Node, ...], batch: int, *, training: bool) -> None:
        super().__init__(nodes)
        self._batch, self._training = batch, training

    def lay_out(self, arena: Arena) -> None:
        batch, shape = self._batch, self.nodes[0].input_shapes[0]
        tile = largest_divisor(batch, 2 * BLOCK / elements(shape))
        self._tiles = [slice(first, first + tile) for first in range(0, batch, tile)]
        self._pool = Halving(batch, tile, shape, arena, training=self._training)
        self._y = arena.kept((batch, *self.shape))
        self._dx = arena.gradient((batch, *shape)) if self._training and self.learns else None

    def forward(self, xs: tuple[Map, ...], context: Context) -> Array:
        x = stored(xs[0])
        for tile in self._tiles:
            self._pool.forward(tile, x[tile], self._y[tile])
        return self._y

    def backward(
        self, dy: Map, context: Context, *, needs_dx: bool, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if self._dx is None or not needs_dx:
            return (None,), {}
        d = stored(dy)
        for tile in self._tiles:
            self._pool.backward(tile, d[tile], self._dx[tile])
        return (self._dx,), {}


class WindowPoolStep(LayerStep):
    """Max-pooling by any window: in inference first of rows, in long runs, and then of what is left of each row."""

    kind = "max_pool"

    def bind(self, xs: tuple[Place, ...], y: Place, zeros: Array) -> tuple[list[Call], Place]:
        layer: Any = self.nodes[0].layer
        x = xs[0].maps
        window: Window = layer.window(x.shape[1:])
        rows = empty((len(x), window.height.output, *x.shape[2:]))
        by_rows = _maxima(window.height, x, rows)
        by_columns = _maxima(window.width, rows.transpose(0, 2, 1, 3), y.maps.transpose(0, 2, 1, 3))
        return by_rows + by_columns, y


def _maxima(axis: Axis, x: Array, y: Array) -> list[Call]:
    """Return the calls that write the largest of each window along the second axis of x to y."""

    def seen(tap: int) -> tuple[slice, slice]:
        """Return the windows whose tap is a pixel, and those pixels."""
        first = max(0, -(-(axis.before - tap) // axis.stride))
        end = min(axis.output, (axis.size - 1 + axis.before - tap) // axis.stride + 1)
        start = first * axis.stride + tap - axis.before
        return slice(first, end), slice(start, start + (end - first - 1) * axis.stride + 1, axis.stride)

    taps = [seen(tap) for tap in range(axis.kernel)]
    whole = next((tap for tap in taps if tap[0] == slice(0, axis.output)), None)
    calls: list[Call] = []
    if whole is None:
        calls.append(partial(y.fill, -np.inf))
    else:
        taps.remove(whole)
        calls.append(partial(np.copyto, y, x[:, whole[1]]))
    targets = [(y[:, windows], x[:, pixels]) for windows, pixels in taps if windows.start < windows.stop]
    return calls + [partial(np.maximum, target, pixels, out=target) for target, pixels in targets]
