"""dX of a 3x3 convolution of stride 2 and padding 1 by sub-pixel products, without scattering.

An even pixel of X was seen by one window in each direction, an odd pixel by two. So 2x2 windows of dY hold all that a
2x2 block of dX needs. Its pixels are four images, and four products give them: with one cell of the window, two beside
each other, two above each other, and all four. (Shi et al. 2016, "Is the deconvolution layer the same as a
convolutional layer?", on the equivalence.) The cells are gathered in such an order that those of each product lie side
by side: nothing is gathered twice or multiplied by zeros, and each product has all pixels of a tile as rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.arrays import Array
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, pieces
from engine.ops.windows import Window

_CELLS: tuple[tuple[int, int], ...] = ((0, 1), (0, 0), (1, 0), (1, 1))
"""Row and column of a cell in a 2x2 window of dY, in the order in which they are gathered."""
_IMAGES = ((0, 0, slice(1, 2)), (0, 1, slice(0, 2)), (1, 0, slice(1, 3)), (1, 1, slice(0, 4)))
"""Parity of the row and of the column of a pixel of dX, and which cells it sees."""


class _Image(NamedTuple):
    """One of the four images that dX is made of."""

    row: int
    column: int
    cells: slice
    columns: Array
    """(parts, rows, cells * O): where the windows are gathered."""
    matrix: Array
    """(cells * O, C)."""
    product: Array
    """(parts, rows, C): the image before its pixels are put between those of the others."""


class SubPixel:
    """Kernel for dX where height and width are even."""

    def __init__(
        self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning, arena: Arena
    ) -> None:
        rows, columns = window.output
        pixels = tile * rows * columns
        self._columns = arena.scratch((tile, rows, columns, len(_CELLS), filters))
        self._result = arena.scratch((tile, rows, columns, channels))
        self._images: list[_Image] = []
        for row, column, cells in _IMAGES:
            depth = (cells.stop - cells.start) * filters
            parts = pieces(pixels, depth * channels, tuning.gemm_edge)
            seen = self._columns.reshape(parts, pixels // parts, -1)
            seen = seen[:, :, cells.start * filters : cells.stop * filters]
            matrix = arena.scratch((depth, channels))
            product = self._result.reshape(parts, -1, channels)
            self._images.append(_Image(row, column, cells, seen, matrix, product))

    @staticmethod
    def fits(window: Window) -> bool:
        """Whether the convolution is 3x3, stride 2, padding 1 before, of even size."""
        return all(
            (axis.kernel, axis.stride, axis.before, axis.dilation, axis.size % 2) == (3, 2, 1, 1, 0)
            and axis.output == axis.size // 2
            for axis in window
        )

    def prepare(self, weight: Array) -> None:
        """Take filters (3, 3, C, O)."""
        turned = weight.transpose(0, 1, 3, 2)  # (3, 3, O, C)
        filters = turned.shape[2]
        for image in self._images:
            for number, (row, column) in enumerate(_CELLS[image.cells]):
                target = image.matrix[number * filters : (number + 1) * filters]
                np.copyto(target, turned[_tap(image.row, row), _tap(image.column, column)])

    def run(self, dy: Array, dx: Array) -> None:
        """Turn dy (T, OH, OW, O) into dx (T, 2*OH, 2*OW, C)."""
        _, rows, columns, _ = dy.shape
        for number, (row, column) in enumerate(_CELLS):
            cell = self._columns[:, :, :, number]
            np.copyto(cell[:, : rows - row, : columns - column], dy[:, row:, column:])
            if row:
                cell[:, -1] = 0
            if column:
                cell[:, :, -1] = 0
        for image in self._images:
            np.matmul(image.columns, image.matrix, out=image.product)
            np.copyto(dx[:, image.row :: 2, image.column :: 2], self._result)


def _tap(parity: int, cell: int) -> int:
    """Return which row of the filters, or column, a pixel of dX of this parity was seen by from a cell of dY."""
    return 1 if parity == 0 else 2 - 2 * cell
