"""Convolution by gathered columns (im2col), a tile of images at a time, in three layouts.

Chellapilla et al. 2006, section 3, gather every window as a row of a matrix. What is new is only how
little is gathered at once: a tile that stays in the cache, cut for BLAS by the rule of `gemm`.

- `Columns`: rows are windows, (T * OH * OW, KH * KW * C). Any convolution.
- `ChannelMajor`: the same matrix transposed, (KH * KW * C, T * OH * OW). With few channels a row of a
  window is short, but a row of pixels is long: copies run along the width.
- `Toeplitz`: for one channel. Only rows are gathered, KH-fold; along the width a block-Toeplitz weight
  matrix makes q neighbouring outputs from one run of numbers, so the GEMM does what gathering did.
- `Pointwise`: a 1x1 window at stride 1 already is its matrix.

The gradient of the input is `flipped`: at stride 1 it is the convolution of dY with the filters flipped
and padding f - 1 - p. Scattering columns back (col2im) is what is left for other strides.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from engine.arrays import Array
from engine.fast.gemm import Tuning, largest_divisor, pieces
from engine.ops import windows
from engine.ops.windows import Axis, Window
from engine.workspace import aligned

_FLOAT = 4


class Kernel(Protocol):
    """Computes a convolution tile by tile; a tile is `tile` images, which divides the batch."""

    name: str
    tile: int

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""

    def prepare_backward(self, weight: Array) -> None:
        """Take filters for dX, and begin a new dW."""

    def forward(self, x: Array, y: Array) -> None:
        """Convolve one tile x (T, H, W, C) into y (T, OH, OW, O)."""

    def backward(self, x: Array, dy: Array, dx: Array | None) -> None:
        """Add one tile to dW, and give its dX if wanted."""

    def weight_gradient(self, dweight: Array) -> None:
        """Write dW (KH, KW, C, O) of all tiles since `prepare_backward`."""


class InputGradient(Protocol):
    """Computes dX of one tile."""

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""

    def run(self, dy: Array, dx: Array) -> None:
        """Turn dy (T, OH, OW, O) into dx (T, H, W, C)."""


def empty(shape: tuple[int, ...]) -> Array:
    """Return uninitialised float32 memory that begins at a cache line."""
    return aligned(math.prod(shape) * _FLOAT).view(np.float32).reshape(shape)


class _Gathered:
    """What the layouts share: columns of a tile, and sums over tiles for dW."""

    name = ""

    def __init__(self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning) -> None:
        self.tile = tile
        self.window, self.channels, self.filters = window, channels, filters
        self._depth = window.kernel[0] * window.kernel[1] * channels
        rows = tile * window.output[0] * window.output[1]
        self._parts = pieces(rows, self._depth * filters, tuning.gemm_edge, copies=1)
        # (parts, K, O) and (K, O); only training needs them
        self._dweights: Array = np.empty(0, np.float32)
        self._dweight: Array = np.empty(0, np.float32)
        self._matrix = np.empty((0, 0), np.float32)
        self.input_gradient: InputGradient | None = None
        # (parts, rows, depth) and its transpose, views of the columns in whatever layout they have
        self._rows: Array = np.empty(0, np.float32)
        self._rows_t: Array = np.empty(0, np.float32)

    def prepare(self, weight: Array) -> None:
        self._matrix = weight.reshape(self._depth, self.filters)

    def prepare_backward(self, weight: Array) -> None:
        if not self._dweights.size:
            self._dweights = empty((self._parts, self._depth, self.filters))
            self._dweight = empty((self._depth, self.filters))
        self._dweight[...] = 0
        if self.input_gradient is not None:
            self.input_gradient.prepare(weight)

    def forward(self, x: Array, y: Array) -> None:
        self._gather(x)
        np.matmul(self._rows, self._matrix, out=y.reshape(self._parts, -1, self.filters))

    def backward(self, x: Array, dy: Array, dx: Array | None) -> None:
        self._gather(x)
        np.matmul(self._rows_t, dy.reshape(self._parts, -1, self.filters), out=self._dweights)
        self._dweight += self._dweights.sum(axis=0)
        if dx is not None and self.input_gradient is not None:
            self.input_gradient.run(dy, dx)

    def weight_gradient(self, dweight: Array) -> None:
        np.copyto(dweight, self._dweight.reshape(dweight.shape))

    def _gather(self, x: Array) -> None:
        raise NotImplementedError


class Columns(_Gathered):
    """Windows as rows."""

    name = "columns"

    def __init__(self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning) -> None:
        super().__init__(window, channels, filters, tile, tuning)
        padded = np.zeros((tile, window.height.padded, window.width.padded, channels), np.float32)
        self._inside = windows.unpad(padded, window)
        self._view = windows.view(padded, window)  # (T, OH, OW, KH, KW, C)
        self._columns = empty(self._view.shape)
        self._rows = self._columns.reshape(self._parts, -1, self._depth)
        self._rows_t = self._rows.transpose(0, 2, 1)

    def _gather(self, x: Array) -> None:
        np.copyto(self._inside, x)
        np.copyto(self._columns, self._view)


class ChannelMajor(_Gathered):
    """Windows as columns: for up to four channels."""

    name = "channel_major"

    def __init__(self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning) -> None:
        super().__init__(window, channels, filters, tile, tuning)
        rows, columns = window
        padded = np.zeros((channels, tile, rows.padded, columns.padded), np.float32)
        self._inside = padded[
            :, :, rows.before : rows.before + rows.size, columns.before : columns.before + columns.size
        ]
        of_c, of_t, of_h, of_w = padded.strides
        shape = (*window.kernel, channels, tile, *window.output)
        self._view = np.lib.stride_tricks.as_strided(
            padded,
            shape,
            (
                of_h * rows.dilation,
                of_w * columns.dilation,
                of_c,
                of_t,
                of_h * rows.stride,
                of_w * columns.stride,
            ),
            writeable=False,
        )
        self._columns = empty(shape)  # (KH, KW, C, T, OH, OW)
        flat = self._columns.reshape(self._depth, self._parts, -1)
        self._rows = flat.transpose(1, 2, 0)
        self._rows_t = flat.transpose(1, 0, 2)

    def _gather(self, x: Array) -> None:
        np.copyto(self._inside, x.transpose(3, 0, 1, 2))
        np.copyto(self._columns, self._view)


class Pointwise(_Gathered):
    """A 1x1 window at stride 1 without padding: a matrix product on the images as they lie."""

    name = "pointwise"

    def _gather(self, x: Array) -> None:
        self._rows = x.reshape(self._parts, -1, self.channels)
        self._rows_t = self._rows.transpose(0, 2, 1)


class Toeplitz:
    """Rows gathered KH-fold, and along the width a block-Toeplitz matrix; for one channel, stride 1."""

    name = "toeplitz"
    pixels = 2
    """Neighbouring outputs of one run of numbers (q)."""

    def __init__(self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning) -> None:
        q, rows, columns = self.pixels, window.height, window.width
        self.tile, self.window, self.channels, self.filters = tile, window, channels, filters
        # a run covers the windows of q outputs, rounded up so that `phases` runs lie end to end
        self._phases = math.ceil((columns.kernel + q - 1) / q)
        self._run = self._phases * q
        self._row = math.ceil(max(columns.padded, columns.output) / q) * q
        groups = tile * rows.output * self._row // q
        self._groups = math.ceil(groups / self._phases) * self._phases
        each = rows.kernel * channels  # numbers gathered per pixel
        inner = self._run * each
        memory = np.zeros((groups * q + 2 * self._run) * each, np.float32)
        self._pixels = memory[: groups * q * each].reshape(
            tile, rows.output, self._row, rows.kernel, channels
        )
        count = self._groups // self._phases
        self._left = [
            memory[p * q * each :][: count * inner].reshape(count, inner) for p in range(self._phases)
        ]
        self._product = np.zeros((self._groups, q * filters), np.float32)
        self._outputs = self._product[:groups].reshape(tile, rows.output, self._row, filters)[
            :, :, : columns.output
        ]
        self._slots = [self._product[p :: self._phases] for p in range(self._phases)]
        self._matrix = np.zeros((self._run, rows.kernel, channels, q, filters), np.float32)
        self._dmatrix = np.zeros((inner, q * filters), np.float32)
        self._part = np.empty_like(self._dmatrix)
        self.input_gradient: InputGradient | None = None

    def prepare(self, weight: Array) -> None:
        for pixel in range(self.pixels):
            for column in range(weight.shape[1]):
                self._matrix[pixel + column, :, :, pixel] = weight[:, column]

    def prepare_backward(self, weight: Array) -> None:
        self._dmatrix[...] = 0
        self._product[...] = 0  # what the forward pass left between the rows must not count
        if self.input_gradient is not None:
            self.input_gradient.prepare(weight)

    def forward(self, x: Array, y: Array) -> None:
        self._gather(x)
        matrix = self._matrix.reshape(self._dmatrix.shape)
        for left, slot in zip(self._left, self._slots, strict=True):
            np.matmul(left, matrix, out=slot)
        np.copyto(y, self._outputs)

    def backward(self, x: Array, dy: Array, dx: Array | None) -> None:
        self._gather(x)
        np.copyto(self._outputs, dy)
        for left, slot in zip(self._left, self._slots, strict=True):
            np.matmul(left.T, slot, out=self._part)
            self._dmatrix += self._part
        if dx is not None and self.input_gradient is not None:
            self.input_gradient.run(dy, dx)

    def weight_gradient(self, dweight: Array) -> None:
        blocks = self._dmatrix.reshape(self._matrix.shape)
        for column in range(dweight.shape[1]):
            dweight[:, column] = sum(blocks[pixel + column, :, :, pixel] for pixel in range(self.pixels))

    def _gather(self, x: Array) -> None:
        rows, columns = self.window
        for row in range(rows.kernel):
            shift = row - rows.before
            first, last = max(0, -shift), min(rows.output, rows.size - shift)
            if last > first:
                self._pixels[:, first:last, columns.before : columns.before + columns.size, row] = x[
                    :, first + shift : last + shift
                ]


class Flipped:
    """dX at stride 1: the convolution of dY with the filters flipped, inputs and outputs exchanged."""

    def __init__(self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning) -> None:
        self._kernel = Columns(_full(window), filters, channels, tile, tuning)

    def prepare(self, weight: Array) -> None:
        self._kernel.prepare(np.ascontiguousarray(weight[::-1, ::-1].transpose(0, 1, 3, 2)))

    def run(self, dy: Array, dx: Array) -> None:
        self._kernel.forward(dy, dx)


class Scattered:
    """dX at any stride: columns of gradients, added back where their windows lay (col2im)."""

    def __init__(self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning) -> None:
        self._window, self._filters = window, filters
        rows = tile * window.output[0] * window.output[1]
        depth = window.kernel[0] * window.kernel[1] * channels
        self._parts = pieces(rows, depth * filters, tuning.gemm_edge)
        self._columns = empty((self._parts, rows // self._parts, depth))
        self._taps = self._columns.reshape(tile, *window.output, *window.kernel, channels)
        self._padded = empty((tile, window.height.padded, window.width.padded, channels))
        self._matrix = np.empty((0, 0), np.float32)

    def prepare(self, weight: Array) -> None:
        self._matrix = weight.reshape(-1, self._filters).T

    def run(self, dy: Array, dx: Array) -> None:
        np.matmul(dy.reshape(self._parts, -1, self._filters), self._matrix, out=self._columns)
        self._padded[...] = 0
        for row in range(self._window.kernel[0]):
            for column in range(self._window.kernel[1]):
                target = windows.tap(self._padded, self._window, row, column)
                target += self._taps[:, :, :, row, column]
        np.copyto(dx, windows.unpad(self._padded, self._window))


def _full(window: Window) -> Window:
    """Return the window over dY whose output is as large as X."""
    return Window(
        *(
            Axis(
                axis.output,
                axis.kernel,
                1,
                axis.extent - 1 - axis.before,
                axis.size - axis.output + axis.before,
                axis.dilation,
            )
            for axis in window
        )
    )


def tile_of(batch: int, window: Window, channels: int, tile_bytes: int) -> int:
    """Return how many images make a tile whose columns take about `tile_bytes`."""
    each = window.output[0] * window.output[1] * window.kernel[0] * window.kernel[1] * channels * _FLOAT
    return largest_divisor(batch, tile_bytes / each)
