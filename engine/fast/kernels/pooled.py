"""Convolution with the 2x2 max-pooling that follows it, in one kernel.

- `Separate`: any kernel, then `Halving` on the tile while it is in the cache.
- `Quartered`: for stride 1. All four cells of a pool see no more than (KH + 1) x (KW + 1) pixels; so one convolution
  with that window, stride 2 and four times the filters, each shifted by a row or a column or both, gives the four
  cells side by side, and pooling is the maximum of halves of a matrix. A third of the columns is gathered, and
  products are four times as wide, which is what BLAS wants where there are few filters: 6 columns run at 27 GFLOP/s,
  24 at 70. With very few filters a window can see several pools, for the same reason.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from engine.arrays import Array, Shape
from engine.fast.kernels.columns import ChannelMajor, Columns
from engine.fast.kernels.kernel import Kernel
from engine.fast.kernels.pooled_gradient import PooledInputGradient
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor, viewed
from engine.fast.layout.places import Bias, Call, Place, close
from engine.ops.windows import Window

_FLOAT = 4
_TILE_BYTES = 1 << 20
_NARROW_FILTERS = 16
_RUN = 18
"""Filters of all pools that a window sees, at most."""
FEW_CHANNELS = 4
_NO_WINDOW = 2
"""Kernels of up to this size have no more than what would be shifted in."""


class Halving:
    """2x2 max-pooling of stride 2 on tiles: rows first, in long runs; two bytes of masks per output.

    Where several cells tie, the upper row and then the left column wins: one cell, as it should be.
    """

    def __init__(self, batch: int, tile: int, shape: Shape, arena: Arena, *, training: bool) -> None:
        height, width, channels = shape
        self._shape = (height // 2, width // 2, channels)
        self._rows = arena.scratch((tile, height // 2, width * channels))
        self._pairs = self._rows.reshape(tile, height // 2, width // 2, 2, channels)
        if training:
            self._upper = arena.kept((batch, height // 2, width * channels), np.bool_)
            self._left = arena.kept((batch, *self._shape), np.bool_)
        self._training = training

    def bind(self, tile: slice, full: Array, y: Array) -> list[Call]:
        """Return what pools full (T, H, W, C) into y (T, H/2, W/2, C), both of which stay where they are."""
        pairs = viewed(full, (len(full), self._shape[0], 2, -1))
        upper, left = (self._upper[tile], self._left[tile]) if self._training else (None, None)
        return [
            *_larger(pairs[:, :, 0], pairs[:, :, 1], self._rows, upper),
            *_larger(self._pairs[..., 0, :], self._pairs[..., 1, :], y, left),
        ]

    def backward(self, tile: slice, dy: Array, dfull: Array) -> None:
        """Spread dy (T, H/2, W/2, C) over dfull (T, H, W, C): every cell of it is written."""
        first = self._pairs[..., 0, :]
        np.multiply(dy, self._left[tile], out=first)
        np.subtract(dy, first, out=self._pairs[..., 1, :])
        pairs = dfull.reshape(len(dfull), self._shape[0], 2, -1)
        first = pairs[:, :, 0]
        np.multiply(self._rows, self._upper[tile], out=first)
        np.subtract(self._rows, first, out=pairs[:, :, 1])


def _larger(first: Array, second: Array, out: Array, is_first: Array | None = None) -> list[Call]:
    """Return what writes the larger of two to `out`, and where that is the first to `is_first`."""
    noted = [] if is_first is None else [partial(np.greater_equal, first, second, out=is_first)]
    return [*noted, partial(np.maximum, first, second, out=out)]


class Separate:
    """Any kernel, and the pool on its tile."""

    def __init__(self, kernel: Kernel, batch: int, shape: Shape, arena: Arena, *, training: bool) -> None:
        self._kernel, self.name, self.tile = kernel, kernel.name, kernel.tile
        self.prepare, self.prepare_backward = kernel.prepare, kernel.prepare_backward
        self.weight_gradient = kernel.weight_gradient
        self._pool = Halving(batch, kernel.tile, shape, arena, training=training)
        self._full = close(arena.scratch((kernel.tile, *shape)))

    @property
    def entry(self) -> Place | None:
        """Where a tile is put."""
        return self._kernel.entry

    @property
    def margins(self) -> Array:
        """Where a tile is put, with its padding above and below."""
        return self._kernel.margins

    def bind(self, tile: slice, x: Array, y: Place) -> list[Call]:
        """Return what convolves and pools a tile."""
        return [*self._kernel.bind(tile, x, self._full), *self._pool.bind(tile, self._full.maps, y.maps)]

    def backward(self, tile: slice, x: Array, dy: Array, dx: Array | None) -> None:
        """Add the tile to dW, and give its dX, each if wanted."""
        self._pool.backward(tile, dy, self._full.maps)
        self._kernel.backward(tile, x, self._full.maps, dx)


class Quartered:
    """The four cells of a pool by one convolution of stride 2; see the top of this file."""

    name = "quartered"

    def __init__(
        self,
        batch: int,
        window: Window,
        channels: int,
        filters: int,
        tuning: Tuning,
        arena: Arena,
        *,
        training: bool,
        wants_dw: bool,
    ) -> None:
        # In training, columns of few channels and cells stand transposed: halves are long runs of numbers then, and it
        # is numbers, not products, that take the time. In inference a window sees several pools instead.
        self._turned = training and channels <= FEW_CHANNELS
        pools = 1 if self._turned else pools_side_by_side(window, filters)
        self._pools, self._filters = pools, filters
        self.window = widened(window, pools)
        self.tile = quartered_tile(batch, self.window, channels)
        layout: type[Columns | ChannelMajor] = ChannelMajor if self._turned else Columns
        wide, whole = 4 * pools * filters, self.tile == batch
        self._columns = layout(
            self.window, channels, wide, self.tile, tuning, arena, ones=not training, keeps=whole
        )
        self._outputs = (self.tile, *self.window.output)
        count, half, axis = math.prod(self._outputs), 2 * pools * filters, 0 if self._turned else 1
        larger = (half, count) if self._turned else (count, half)
        self._cells = arena.scratch((2 * half, count) if self._turned else (count, 2 * half))
        self._larger = arena.scratch(larger)
        self._rows, self._sides = np.split(self._cells, 2, axis), np.split(self._larger, 2, axis)
        shape = (*self.window.kernel, channels, 2, 2, pools, filters)
        self._with_bias = arena.zeros((math.prod(shape[:3]) + 1, 2 * half))
        self._matrix = self._with_bias[:-1]
        self._wide = self._matrix.reshape(shape)
        self._last = self._with_bias[-1].reshape(4 * pools, filters)
        self._bias = Bias()
        self._training = training
        if training:
            tiles = batch // self.tile
            self._upper = arena.kept((tiles, *larger), np.bool_)
            self._left = arena.kept((tiles, *self._sides[0].shape), np.bool_)
        self._wants_dw = wants_dw
        if wants_dw:
            self._sum, self._part = (arena.scratch(self._matrix.shape) for _ in range(2))
        self.input_gradient: PooledInputGradient | None = None

    @staticmethod
    def pays(window: Window, filters: int) -> bool:
        """Whether it is possible, and products are narrow enough for it."""
        return (
            all((axis.stride, axis.dilation, axis.output % 2) == (1, 1, 0) for axis in window)
            and filters <= _NARROW_FILTERS
            and min(window.kernel) > _NO_WINDOW
        )

    def prepare(self, weight: Array, bias: Array | None) -> list[Call]:
        """Take filters (KH, KW, C, O) and bias (O,)."""
        wide = partial(np.copyto, _shifted(self._wide, weight.shape), weight[:, :, :, None, None, None, :])
        if self._training:
            return [wide, *self._bias.prepare(bias)]
        return [wide, partial(np.copyto, self._last, 0 if bias is None else bias)]

    def prepare_backward(self, weight: Array) -> None:
        """Take filters for dX, and begin a new dW."""
        self._started = False
        if self.input_gradient is not None:
            self.input_gradient.prepare(weight)

    @property
    def entry(self) -> Place | None:
        """Where a tile is put, between zeros."""
        return self._columns.entry

    @property
    def margins(self) -> Array:
        """Where a tile is put, with its padding above and below."""
        return self._columns.margins

    def bind(self, tile: slice, x: Array, y: Place) -> list[Call]:
        """Return what convolves and pools a tile; the bias commutes with the maximum."""
        columns = self._columns.gathered
        (upper, lower), (left, right) = self._rows, self._sides
        if not self._training:
            shape = (*self._outputs, -1)
            return [
                *self._columns.gathers(x),
                partial(np.matmul, columns, self._with_bias, out=self._cells),
                *_larger(upper, lower, self._larger),
                *_larger(viewed(left, shape), viewed(right, shape), viewed(y.maps, shape)),
            ]
        factors = (self._matrix.T, columns) if self._turned else (columns, self._matrix)
        number = tile.start // self.tile
        return [
            *self._columns.gathers(x),
            partial(np.matmul, *factors, out=self._cells),
            *_larger(upper, lower, self._larger, self._upper[number]),
            *_larger(left, right, self._as_sides(y.maps), self._left[number]),
            *self._bias.bind(y),
        ]

    def backward(self, tile: slice, x: Array, dy: Array, dx: Array | None) -> None:
        """Add the tile to dW, and give its dX, each if wanted."""
        number = tile.start // self.tile
        (upper, lower), (left, right) = self._rows, self._sides
        d = self._as_sides(dy)
        np.multiply(d, self._left[number], out=left)
        np.subtract(d, left, out=right)
        np.multiply(self._larger, self._upper[number], out=upper)
        np.subtract(self._larger, upper, out=lower)
        if self._wants_dw:
            if len(self._upper) > 1:  # else the columns of forward are still there
                self._columns.gather(x)
            self._add_weight_gradient()
        if dx is not None and self.input_gradient is not None:
            self.input_gradient.run(self._by_pool(), dx)

    def _add_weight_gradient(self) -> None:
        target = self._part if self._started else self._sum
        columns, cells = self._columns.gathered, self._cells
        left_matrix, right_matrix = (columns, cells.T) if self._turned else (columns.T, cells)
        np.matmul(left_matrix, right_matrix, out=target)
        if self._started:
            self._sum += self._part
        self._started = True

    def weight_gradient(self, dweight: Array) -> None:
        """Write dW (KH, KW, C, O) of all tiles since `prepare_backward`."""
        cells = _shifted(self._sum.reshape(self._wide.shape), dweight.shape)
        cells.sum(axis=(3, 4, 5), out=dweight)

    def _as_sides(self, pooled: Array) -> Array:
        """View (T, OH / 2, OW / 2, O) as the halves of the larger cells lie."""
        pixels = pooled.reshape(math.prod(self._outputs), self._pools * self._filters)
        return pixels.T if self._turned else pixels

    def _by_pool(self) -> Array:
        """View the cells as (T, OH / 2, Q, P, 2, 2, O)."""
        cells = (2, 2, self._pools, self._filters)
        if self._turned:
            return self._cells.reshape(*cells, *self._outputs).transpose(4, 5, 6, 2, 0, 1, 3)
        return self._cells.reshape(*self._outputs, *cells).transpose(0, 1, 2, 5, 3, 4, 6)


def _shifted(wide: Array, shape: Shape) -> Array:
    """View where in wide filters (KH', KW', C, 2, 2, P, O) those of each cell stand: (KH, KW, C, 2, 2, P, O).

    A cell's filters are as many rows and columns further as the cell is.
    """
    row, column, channel, lower, right, pool, one = wide.strides
    return np.lib.stride_tricks.as_strided(
        wide,
        (*shape[:3], *wide.shape[3:]),
        (row, column, channel, row + lower, column + right, 2 * column + pool, one),
    )


def pools_side_by_side(window: Window, filters: int) -> int:
    """Return how many pools a window of `Quartered` sees in inference: more where there are few filters."""
    return largest_divisor(window.width.output // 2, _RUN / filters)


def widened(window: Window, pools: int) -> Window:
    """Return the window that sees all cells of so many pools."""
    rows, columns = window
    return Window(
        rows._replace(kernel=rows.kernel + 1, stride=2),
        columns._replace(kernel=columns.kernel + 2 * pools - 1, stride=2 * pools),
    )


def quartered_tile(batch: int, wide: Window, channels: int) -> int:
    """Return how many pictures a tile of `Quartered` has, given its wider window."""
    columns = math.prod(wide.output) * math.prod(wide.kernel) * channels
    return largest_divisor(batch, _TILE_BYTES / (_FLOAT * columns))
