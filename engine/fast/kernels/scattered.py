"""dX by scattering (col2im): dY times the filters are the gradients of columns, added up where their windows lay.

- `Scattered`: rows are windows. Any convolution.
- `ScatteredPlanes`: the same matrix transposed, for few channels. The product has a row for each tap and channel, and
  all pixels of a tile as columns, so that whole rows of pixels are added; at a stride of a plane (`layout.planes`).
  Gathering dY instead, as `Flipped` does, takes as many columns as there are filters, for a product of few columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from engine.arrays import Array
from engine.fast.kernels.columns import tile_of
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor, pieces
from engine.fast.layout.planes import sides
from engine.ops import windows
from engine.ops.windows import Window


class Scattered:
    """dX at any stride."""

    def __init__(
        self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning, arena: Arena
    ) -> None:
        self._window, self._filters = window, filters
        rows = tile * window.output[0] * window.output[1]
        depth = window.kernel[0] * window.kernel[1] * channels
        self._parts = pieces(rows, depth * filters, tuning.gemm_edge)
        self._columns = arena.scratch((self._parts, rows // self._parts, depth))
        self._taps = self._columns.reshape(tile, *window.output, *window.kernel, channels)
        self._padded = arena.scratch((tile, window.height.padded, window.width.padded, channels))
        self._matrix = np.empty((0, 0), np.float32)

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""
        self._matrix = weight.reshape(-1, self._filters).T

    def run(self, dy: Array, dx: Array) -> None:
        """Turn dy (T, OH, OW, O) into dx (T, H, W, C)."""
        np.matmul(dy.reshape(self._parts, -1, self._filters), self._matrix, out=self._columns)
        self._padded[...] = 0
        for row in range(self._window.kernel[0]):
            for column in range(self._window.kernel[1]):
                target = windows.tap(self._padded, self._window, row, column)
                target += self._taps[:, :, :, row, column]
        np.copyto(dx, windows.unpad(self._padded, self._window))


class ScatteredPlanes:
    """dX at any stride, for few channels."""

    def __init__(
        self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning, arena: Arena
    ) -> None:
        self._window, self._filters = window, filters
        rows, columns = window
        # a tile of forward may hold more than stays in the cache here
        self._tile = own = largest_divisor(tile, tile_of(tile, window, channels, 2 * tuning.tile_bytes))
        shape = (*window.kernel, channels, own, *window.output)
        depth, pixels = math.prod(shape[:3]), math.prod(shape[3:])
        self._parts = pieces(pixels, depth * filters, tuning.gemm_edge)
        held = arena.scratch((depth, pixels))
        self._columns = held.reshape(shape)  # (KH, KW, C, T, OH, OW)
        self._products = held.reshape(depth, self._parts, -1).transpose(1, 0, 2)
        across = math.ceil(columns.padded / columns.stride)
        self._padded = arena.scratch((columns.stride, channels, own, rows.padded, across))
        self._taps = list(self._targets())
        self._matrix = np.empty((0, 0), np.float32)

    def _targets(self) -> Iterator[tuple[Array, Array]]:
        """Yield the gradients of each tap (C, T, OH, OW), and the pixels that it saw."""
        rows, columns = self._window
        for row in range(rows.kernel):
            seen = slice(
                row * rows.dilation, row * rows.dilation + (rows.output - 1) * rows.stride + 1, rows.stride
            )
            for column in range(columns.kernel):
                start, plane = divmod(column * columns.dilation, columns.stride)
                yield (
                    self._columns[row, column],
                    self._padded[plane, :, :, seen, start : start + columns.output],
                )

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""
        self._matrix = weight.reshape(-1, self._filters)

    def run(self, dy: Array, dx: Array) -> None:
        """Turn dy (T, OH, OW, O) into dx (T, H, W, C)."""
        rows, columns = self._window
        inside = slice(rows.before, rows.before + rows.size)
        for first in range(0, len(dy), self._tile):
            tile = slice(first, first + self._tile)
            pixels = dy[tile].reshape(self._parts, -1, self._filters).transpose(0, 2, 1)
            np.matmul(self._matrix, pixels, out=self._products)
            self._padded[...] = 0
            for gradients, target in self._taps:
                np.add(target, gradients, out=target)
            for plane, across, side in sides(dx[tile], columns, columns.stride):
                np.copyto(side, self._padded[plane, :, :, inside, across].transpose(1, 2, 3, 0))
