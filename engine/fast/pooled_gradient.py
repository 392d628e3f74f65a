"""dX of a convolution whose output is pooled, from the gradient of the four cells of each pool.

- `RowGradient`: for few channels on narrow maps. Along the width the filters are a banded (block-Toeplitz) matrix, most
  of it zeros: a row of dY times that is its part of KH + 1 rows of dX. Nothing is gathered and the product is wide.
- `Spread`: the gradient of the four cells is put where they lie, and a kernel for the map in full takes it from there.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from engine.arrays import Array
from engine.fast.columns import InputGradient, empty
from engine.fast.gemm import viewed
from engine.ops.windows import Window

_NARROW = 8
_MOST_WASTE = 2


class PooledInputGradient(Protocol):
    """Computes dX of one tile from the gradient of the four cells of each pool."""

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""

    def run(self, cells: Array, dx: Array) -> None:
        """Turn cells (T, OH / 2, Q, P, 2, 2, O), with Q * P = OW / 2 and in any order, into dx (T, H, W, C)."""


class RowGradient:
    """dX by rows of cells; see the top of this file."""

    def __init__(self, wide: Window, channels: int, filters: int, tile: int) -> None:
        rows, columns = wide
        self._cell = (2, 2, filters)
        # (OW / 2, 2, 2, O, KH + 1, padded width, C)
        band = np.zeros((columns.output, *self._cell, rows.kernel, columns.padded, channels), np.float32)
        self._matrix = band.reshape(columns.output * 4 * filters, -1)
        output, *cell, row, pixel, channel = band.strides
        self._diagonal = np.lib.stride_tricks.as_strided(
            band,
            (columns.output, *self._cell, rows.kernel, columns.kernel, channels),
            (output + 2 * pixel, *cell, row, pixel, channel),
        )
        line = columns.padded * channels
        self._left = empty((tile * rows.output, len(self._matrix)))
        self._product = empty((tile * rows.output, rows.kernel * line))
        parts = self._product.reshape(tile, rows.output, rows.kernel, line)
        padded = np.zeros((tile, rows.padded + rows.kernel, line), np.float32)
        self._padded = padded
        # windows of KH + 1 rows two rows apart: every so many do not overlap
        apart = -(-rows.kernel // 2)
        picture, down, along = padded.strides
        self._sums = [
            (
                np.lib.stride_tricks.as_strided(
                    padded[:, 2 * first :],
                    (tile, len(range(first, rows.output, apart)), rows.kernel, line),
                    (picture, 2 * apart * down, down, along),
                ),
                parts[:, first::apart],
            )
            for first in range(min(apart, rows.output))
        ]
        pixels = padded.reshape(tile, -1, columns.padded, channels)
        self._inside = pixels[
            :, rows.before : rows.before + rows.size, columns.before : columns.before + columns.size
        ]

    @staticmethod
    def pays(window: Window, channels: int, filters: int) -> bool:
        """Whether the banded product is worth its zeros."""
        rows, columns = window
        banded = rows.output * columns.output * (rows.kernel + 1) * columns.padded
        return channels <= _NARROW and banded <= _MOST_WASTE * rows.size * columns.size * math.prod(
            window.kernel
        )

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""
        height, width = weight.shape[:2]
        turned = weight.transpose(3, 0, 1, 2)  # (O, KH, KW, C)
        for row in range(2):
            for column in range(2):
                self._diagonal[:, row, column, :, row : row + height, column : column + width] = turned

    def run(self, cells: Array, dx: Array) -> None:
        """Turn cells (T, OH / 2, Q, P, 2, 2, O), with Q * P = OW / 2 and in any order, into dx (T, H, W, C)."""
        left = self._left
        if cells.flags.c_contiguous:
            left = cells.reshape(left.shape)
        else:
            np.copyto(left.reshape(cells.shape), cells)
        np.matmul(left, self._matrix, out=self._product)
        self._padded[...] = 0
        for target, part in self._sums:
            target += part
        np.copyto(dx, self._inside)


class Spread:
    """dX by a kernel for the map in full."""

    def __init__(self, kernel: InputGradient, window: Window, filters: int, tile: int) -> None:
        rows, columns = window.output
        self._kernel, self.prepare = kernel, kernel.prepare
        self._full = empty((tile, rows, columns, filters))
        # (T, OH / 2, OW / 2, 2, 2, O)
        split = self._full.reshape(tile, rows // 2, 2, columns // 2, 2, filters)
        self._by_cell = split.transpose(0, 1, 3, 2, 4, 5)

    def run(self, cells: Array, dx: Array) -> None:
        """Turn cells into dx."""
        np.copyto(viewed(self._by_cell, cells.shape), cells)
        self._kernel.run(self._full, dx)
