"""dX of a convolution whose output is pooled, from the gradient of the four cells of each pool.

- `RowGradient`: for few channels on narrow maps. Along the width the filters are a banded (block-Toeplitz) matrix, most
  of it zeros: a row of dY times that is its part of KH + 1 rows of dX. Nothing is gathered and products are wide.
- `Spread`: the gradient of the four cells is put where they lie, and a kernel for the map in full takes it from there.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from engine.arrays import Array
from engine.fast.kernels.kernel import InputGradient
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import viewed
from engine.ops.windows import Window

_NARROW = 8
_MOST_WASTE = 2
_POOLS_OF_A_BAND = 3


class PooledInputGradient(Protocol):
    """Computes dX of one tile from the gradient of the four cells of each pool."""

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""

    def run(self, cells: Array, dx: Array) -> None:
        """Turn cells (T, OH / 2, Q, P, 2, 2, O), with Q * P = OW / 2 and in any order, into dx (T, H, W, C)."""


class RowGradient:
    """dX by rows of cells; see the top of this file."""

    def __init__(self, wide: Window, channels: int, filters: int, tile: int, arena: Arena) -> None:
        rows, columns = wide
        self._left = arena.scratch((tile * rows.output, columns.output * 4 * filters))
        # windows of KH + 1 rows two rows apart stick out of the picture by less than one
        self._padded = arena.scratch((tile, rows.padded + rows.kernel, columns.padded, channels))
        self._bands = [
            _Band(wide, filters, self._left, self._padded, (first, last), arena)
            for first, last in _cuts(columns.output)
        ]
        self._inside = self._padded[
            :, rows.before : rows.before + rows.size, columns.before : columns.before + columns.size
        ]

    @staticmethod
    def pays(window: Window, channels: int, filters: int) -> bool:
        """Whether the banded products are worth their zeros."""
        rows, columns = window
        pools, taps = (rows.output // 2) * (rows.kernel + 1), math.prod(window.kernel)
        banded = sum(
            4 * pools * (last - first) * (2 * (last - first) + columns.kernel - 1)
            for first, last in _cuts(columns.output // 2)
        )
        return channels <= _NARROW and banded <= _MOST_WASTE * rows.size * columns.size * taps

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""
        for band in self._bands:
            band.prepare(weight)

    def run(self, cells: Array, dx: Array) -> None:
        """Turn cells (T, OH / 2, Q, P, 2, 2, O), with Q * P = OW / 2 and in any order, into dx (T, H, W, C)."""
        np.copyto(self._left.reshape(cells.shape), cells)
        self._padded[...] = 0
        for band in self._bands:
            band.add()
        np.copyto(dx, self._inside)


def _cuts(pools: int) -> list[tuple[int, int]]:
    """Cut a row of pools into groups of up to three: fewer zeros than in one band, wider products than for each."""
    groups = -(-pools // _POOLS_OF_A_BAND)
    return [(pools * group // groups, pools * (group + 1) // groups) for group in range(groups)]


class _Band:
    """The banded matrix of neighbouring pools, and where its products belong."""

    def __init__(
        self, wide: Window, filters: int, left: Array, padded: Array, cut: tuple[int, int], arena: Arena
    ) -> None:
        rows, columns = wide
        first, last = cut
        tile, channels = len(padded), padded.shape[3]
        pixels = 2 * (last - first - 1) + columns.kernel
        # (pools, 2, 2, O, KH + 1, pixels, C)
        band = arena.zeros((last - first, 2, 2, filters, rows.kernel, pixels, channels))
        self._matrix = band.reshape((last - first) * 4 * filters, -1)
        output, *cell, row, pixel, channel = band.strides
        # where the filters of each cell stand: (pools, 2, 2, O, KH + 1, KW + 1, C)
        self._diagonal = np.lib.stride_tricks.as_strided(
            band,
            (last - first, 2, 2, filters, rows.kernel, columns.kernel, channels),
            (output + 2 * pixel, *cell, row, pixel, channel),
        )
        self._left = left[:, first * 4 * filters : last * 4 * filters]
        self._product = arena.scratch((tile * rows.output, self._matrix.shape[1]))
        parts = self._product.reshape(tile, rows.output, rows.kernel, pixels * channels)
        apart = -(-rows.kernel // 2)  # every so many windows do not overlap
        picture, down, _, one = padded.strides
        self._sums = [
            (
                np.lib.stride_tricks.as_strided(
                    padded[:, 2 * start :, 2 * first :],
                    (tile, len(range(start, rows.output, apart)), rows.kernel, pixels * channels),
                    (picture, 2 * apart * down, down, one),
                ),
                parts[:, start::apart],
            )
            for start in range(min(apart, rows.output))
        ]

    def prepare(self, weight: Array) -> None:
        height, width = weight.shape[:2]
        turned = weight.transpose(3, 0, 1, 2)  # (O, KH, KW, C)
        for row in range(2):
            for column in range(2):
                self._diagonal[:, row, column, :, row : row + height, column : column + width] = turned

    def add(self) -> None:
        np.matmul(self._left, self._matrix, out=self._product)
        for target, part in self._sums:
            target += part


class Spread:
    """dX by a kernel for the map in full."""

    def __init__(self, kernel: InputGradient, window: Window, filters: int, tile: int, arena: Arena) -> None:
        rows, columns = window.output
        self._kernel, self.prepare = kernel, kernel.prepare
        self._full = arena.scratch((tile, rows, columns, filters))
        # (T, OH / 2, OW / 2, 2, 2, O)
        split = self._full.reshape(tile, rows // 2, 2, columns // 2, 2, filters)
        self._by_cell = split.transpose(0, 1, 3, 2, 4, 5)

    def run(self, cells: Array, dx: Array) -> None:
        """Turn cells into dx."""
        np.copyto(viewed(self._by_cell, cells.shape), cells)
        self._kernel.run(self._full, dx)
