"""Max-pooling that no convolution took along."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from engine.arrays import Array, Shape, elements
from engine.fast.kernels.pooled import Halving
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import largest_divisor
from engine.fast.layout.places import Call, Place
from engine.fast.steps.base import BLOCK, Claim, Current, Given, Gradients, Map, Step, Task, placed, stored
from engine.fast.steps.margins import OwnMargins, halo_of
from engine.graph.network import Node
from engine.layers import Context
from engine.layers.pooling import MaxPool2D
from engine.ops.windows import Axis, Window


class PoolStep(Step):
    """2x2 max-pooling of stride 2."""

    types = frozenset({"max_pool2d"})
    hands_on = False

    kind = "max_pool"
    halo = 0, 0

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        self._batch, self._training = task.batch, task.training

    @classmethod
    def claim(cls, chain: Sequence[Node], *, training: bool) -> Claim:
        return 1 if pools_by_two(chain[0]) else "its windows are not 2x2, side by side"

    def lay_out(self, arena: Arena) -> None:
        batch, shape = self._batch, self.nodes[0].input_shapes[0]
        tile = largest_divisor(batch, 2 * BLOCK / elements(shape))
        self._tiles = [slice(first, first + tile) for first in range(0, batch, tile)]
        self._pool = Halving(batch, tile, shape, arena, training=self._training)
        if self._training:
            self._dx = arena.gradient((batch, *shape)) if self.learns else None

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        x = placed(xs[0]).maps
        calls: list[Call] = []
        for tile in self._tiles:
            calls += self._pool.bind(tile, x[tile], y.maps[tile])
        return calls, y

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if self._dx is None:
            return (None,), {}
        d = stored(dy)
        for tile in self._tiles:
            self._pool.backward(tile, d[tile], self._dx[tile])
        return (self._dx,), {}


def pools_by_two(node: Node) -> bool:
    """Whether it is a max-pool with 2x2 windows that lie side by side and cover the map."""
    layer = node.layer
    if not isinstance(layer, MaxPool2D):
        return False
    shape = node.input_shapes[0]
    sides = (
        (axis.kernel, axis.stride, axis.before, axis.after, axis.dilation) for axis in layer.window(shape)
    )
    return shape[0] % 2 == shape[1] % 2 == 0 and set(sides) == {(2, 2, 0, 0, 1)}


class WindowPoolStep(OwnMargins):
    """Max-pooling by any window: first of rows, in long runs, and then of what is left of each row.

    Where several cells tie one of them gets the gradient; the layer's own way back takes the first.
    """

    types = frozenset({"max_pool2d"})
    hands_on = False
    kind = "max_pool"

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        self._batch, self._training = task.batch, task.training
        layer: Any = nodes[0].layer
        window: Window = layer.window(nodes[0].input_shapes[0])
        self._height = window.height
        self.halo = halo_of(window.height)
        self._by_rows, self._by_columns = _Maxima(window.height), _Maxima(window.width, turned=True)

    def lay_out(self, arena: Arena) -> None:
        batch, shape = self._batch, self.nodes[0].input_shapes[0]
        tile = largest_divisor(batch, 2 * BLOCK / elements(shape))
        self._tiles = [slice(first, first + tile) for first in range(0, batch, tile)]
        rows = (self.shape[0], *shape[1:])
        self._rows = arena.scratch((tile, *rows))
        if self._training:
            self._dy = arena.scratch((tile, *self.shape))
            self._by_rows.remember((batch, *rows), arena)
            self._by_columns.remember((batch, *self.shape), arena)
            widest = max(shape[1], self.shape[1])
            self._share = arena.scratch((tile, self.shape[0], widest, shape[2]))
            self._dx = arena.gradient((batch, *shape)) if self.learns else None

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        calls, x = self.between_margins(placed(xs[0]).maps)
        by_rows = self._by_rows if not any(self.beyond) else _Maxima(self._seen(len(x[0])))
        for tile in self._tiles:
            calls += by_rows.bind(tile, x[tile], self._rows)
            calls += self._by_columns.bind(tile, _turned(self._rows), _turned(y.maps[tile]))
        return calls, y

    def _seen(self, size: int) -> Axis:
        """Return the same windows over so many rows, of which some are the other half's and no padding."""
        axis = self._height
        before = axis.before - self.beyond[0]
        after = (axis.output - 1) * axis.stride + axis.extent - before - size
        return axis._replace(size=size, before=before, after=after, round_up=False)

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if self._dx is None:
            return (None,), {}
        d, share = stored(dy), self._share
        narrow, share = share[:, :, : self.shape[1]], share[:, :, : self._rows.shape[2]]
        for tile in self._tiles:
            np.copyto(self._dy, d[tile])
            self._by_columns.backward(tile, _turned(self._dy), _turned(self._rows), _turned(narrow))
            self._by_rows.backward(tile, self._rows, self._dx[tile], share)
        return (self._dx,), {}


class _Maxima:
    """The largest of each window along the second axis of a map, and the way of its gradient.

    A tap that is seen by all windows comes first; each other takes what it is larger than. On the way back the last
    takes its share of the gradient first, and what is left is the first one's. `turned` says that the second axis is
    that of columns.
    """

    def __init__(self, axis: Axis, *, turned: bool = False) -> None:
        self._turned = turned
        taps = [_seen(axis, offset) for offset in range(0, axis.extent, axis.dilation)]
        self._first = next((pixels for windows, pixels in taps if windows == slice(0, axis.output)), None)
        self._others = [tap for tap in taps if tap[1] != self._first and tap[0].start < tap[0].stop]
        self._taken: list[Array] = []

    def remember(self, shape: Shape, arena: Arena) -> None:
        """Get room for which tap took which window of maps (N, OH, OW, C)."""
        self._taken = [arena.kept(shape, np.bool_) for _ in self._others]

    def bind(self, tile: slice, x: Array, y: Array) -> list[Call]:
        """Return the calls that write the largest of x to y, and in training where they were."""
        begin = partial(y.fill, -np.inf) if self._first is None else partial(np.copyto, y, x[:, self._first])
        calls: list[Call] = [begin]
        for number, (windows, pixels) in enumerate(self._others):
            seen, largest = x[:, pixels], y[:, windows]
            if self._taken:
                taken = self._by_axis(self._taken[number][tile])[:, windows]
                calls.append(partial(np.greater, seen, largest, out=taken))
            calls.append(partial(np.maximum, largest, seen, out=largest))
        return calls

    def backward(self, tile: slice, d: Array, dx: Array, share: Array) -> None:
        """Spread d over dx; d and share, which is like it, are used up."""
        dx[...] = 0
        for taken, (windows, pixels) in zip(reversed(self._taken), reversed(self._others), strict=True):
            left, part = d[:, windows], share[:, windows]
            np.multiply(left, self._by_axis(taken[tile])[:, windows], out=part)
            np.subtract(left, part, out=left)
            target = dx[:, pixels]
            target += part
        if self._first is not None:
            target = dx[:, self._first]
            target += d

    def _by_axis(self, taken: Array) -> Array:
        return _turned(taken) if self._turned else taken


def _turned(maps: Array) -> Array:
    """View maps with columns before rows."""
    return maps.transpose(0, 2, 1, 3)


def _seen(axis: Axis, offset: int) -> tuple[slice, slice]:
    """Return the windows whose cell at an offset is a pixel, and those pixels."""
    first = max(0, -(-(axis.before - offset) // axis.stride))
    end = min(axis.output, (axis.size - 1 + axis.before - offset) // axis.stride + 1)
    start = first * axis.stride + offset - axis.before
    return slice(first, end), slice(start, start + (end - first - 1) * axis.stride + 1, axis.stride)
