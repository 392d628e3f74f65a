"""Convolution by gathered columns (im2col), a tile of images at a time, in two layouts.

Chellapilla et al. 2006, section 3, gather every window as a row of a matrix. What is new is only how
little is gathered at once: a tile that stays in the cache, cut for BLAS by the rule of `gemm`.

- `Columns`: rows are windows, (T * OH * OW, KH * KW * C). Any convolution.
- `ChannelMajor`: the same matrix transposed, (KH * KW * C, T * OH * OW). With few channels a row of a
  window is short, but a row of pixels is long: copies run along the width.
- `Pointwise`: a 1x1 window at stride 1 already is its matrix.

The gradient of the input is `flipped`: at stride 1 it is the convolution of dY with the filters flipped
and padding f - 1 - p. What is left is scattered: see `scattered`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.fast.kernels.kernel import InputGradient
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor, pieces, viewed
from engine.fast.layout.places import Bias, Call, Place, moved, surrounded
from engine.fast.layout.planes import sides
from engine.ops import windows
from engine.ops.windows import Axis, Window
from engine.workspace import aligned

_FLOAT = 4
_LONG_ROW = 32
"""Pixels of a row that are worth a product of their own, rather than a copy of the map."""


def empty(shape: tuple[int, ...]) -> Array:
    """Return uninitialised float32 memory that begins at a cache line."""
    return aligned(math.prod(shape) * _FLOAT).view(np.float32).reshape(shape)


class _Gathered:
    """What the layouts share: columns of a tile, and sums over tiles for dW."""

    name = ""

    def __init__(
        self,
        window: Window,
        channels: int,
        filters: int,
        tile: int,
        tuning: Tuning,
        arena: Arena,
        *,
        ones: bool = False,
        keeps: bool = False,
        wants_dw: bool = False,
    ) -> None:
        """Lay out the columns.

        Args:
            window: of the filters.
            channels: of a picture.
            filters: of the output.
            tile: how many pictures are gathered at once.
            tuning: what was measured of the machine.
            arena: where memory comes from.
            ones: put ones behind the columns, which add a bias without a call of its own.
            keeps: whether backward finds the columns of forward.
            wants_dw: whether there will be a dW.
        """
        self.tile = tile
        self.window, self.channels, self.filters = window, channels, filters
        self._depth = window.kernel[0] * window.kernel[1] * channels
        self._ones = ones
        self._memory = arena.kept if ones or keeps else arena.scratch
        rows = tile * window.output[0] * window.output[1]
        each = self._depth * filters
        self._edge = tuning.gemm_edge
        self._parts = pieces(rows, each, tuning.gemm_edge)
        self._summed_parts = pieces(rows, each, tuning.gemm_edge, copies=1)
        self._wants_dw = wants_dw
        if wants_dw:
            self._dweights = arena.scratch(
                (self._summed_parts if self._summed_parts > 1 else 0, self._depth, filters)
            )
            self._dweight, self._part = (arena.scratch((1, self._depth, filters)) for _ in range(2))
        self._matrix = arena.kept((self._depth + ones, filters)) if ones else np.empty((0, 0), np.float32)
        self._bias = Bias()
        self.input_gradient: InputGradient | None = None
        # (parts, rows, depth), and with other parts its transpose: views of the columns in whatever layout they have
        self._rows: Array = np.empty(0, np.float32)
        self._rows_t: Array = np.empty(0, np.float32)
        self.gathered: Array = np.empty(0, np.float32)
        """The columns of a tile as a matrix: (T * OH * OW, KH * KW * C), channel-major its transpose."""
        self._apart: Array = np.empty(0, np.float32)
        self._lay_out(arena)

    def _lay_out(self, arena: Arena) -> None:
        """Make room for a tile and its columns."""

    def prepare(self, weight: Array, bias: Array | None) -> list[Call]:
        matrix = weight.reshape(self._depth, self.filters)
        if not self._ones:
            self._matrix = matrix
            return self._bias.prepare(bias)
        last = 0 if bias is None else bias
        return [
            partial(np.copyto, self._matrix[:-1], matrix),
            partial(np.copyto, self._matrix[-1], last),
        ]

    def prepare_backward(self, weight: Array) -> None:
        self._started = False
        if self.input_gradient is not None:
            self.input_gradient.prepare(weight)

    @property
    def entry(self) -> Place | None:
        """Where a tile is put."""
        return None

    @property
    def margins(self) -> Array:
        """Where a tile is put, with its padding above and below."""
        raise TypeError(f"{self.name} has no padding")

    def bind(self, tile: slice, x: Array, y: Place) -> list[Call]:
        """Return what computes a tile."""
        after = [] if self._ones else self._bias.bind(y)
        target = y.maps
        if not target.flags.c_contiguous:
            # rows of the output lie apart: one product and a copy take less than a product for each
            if self._apart.shape != target.shape:
                self._apart = empty(target.shape)
            target = self._apart
            after = [partial(np.copyto, y.maps, target), *after]
        return [*self.gathers(x), self.product(target), *after]

    def product(self, y: Array) -> Call:
        """Return what multiplies the columns by the filters, into y (T, OH, OW, O), which is contiguous."""
        return partial(np.matmul, self._rows, self._matrix, out=y.reshape(self._parts, -1, self.filters))

    def gathers(self, x: Array) -> list[Call]:
        """Return what gathers the windows of a tile (T, H, W, C) that stays where it is."""
        raise NotImplementedError

    def gather(self, x: Array) -> None:
        """Gather the windows of a tile (T, H, W, C)."""
        for call in self.gathers(x):
            call()

    def backward(self, tile: slice, x: Array, dy: Array, dx: Array | None) -> None:
        if self._wants_dw:
            self._add_weight_gradient(x, dy)
        if dx is not None and self.input_gradient is not None:
            self.input_gradient.run(dy, dx)

    def _add_weight_gradient(self, x: Array, dy: Array) -> None:
        self.gather(x)
        part = self._part if self._started else self._dweight
        if self._summed_parts == 1:
            np.matmul(self._rows_t, dy.reshape(1, -1, self.filters), out=part)
        else:
            np.matmul(self._rows_t, dy.reshape(self._summed_parts, -1, self.filters), out=self._dweights)
            np.add.reduce(self._dweights, axis=0, out=part[0])
        if self._started:
            self._dweight += part
        self._started = True

    def weight_gradient(self, dweight: Array) -> None:
        np.copyto(dweight, self._dweight.reshape(dweight.shape))


class Columns(_Gathered):
    """Windows as rows."""

    name = "columns"

    def _lay_out(self, arena: Arena) -> None:
        window, ones = self.window, self._ones
        padded = self._padded = arena.zeros(
            (self.tile, window.height.padded, window.width.padded, self.channels)
        )
        self._inside = windows.unpad(padded, window)
        self._view = windows.view(padded, window)  # (T, OH, OW, KH, KW, C)
        self.gathered = self._memory((math.prod(self._view.shape[:3]), self._depth + ones))
        self.gathered[:, self._depth :] = 1
        self._columns = viewed(self.gathered[:, : self._depth], self._view.shape)
        self._rows = self.gathered.reshape(self._parts, -1, self._depth + ones)
        self._rows_t = self.gathered.reshape(self._summed_parts, -1, self._depth + ones).transpose(0, 2, 1)

    @property
    def entry(self) -> Place | None:
        """Where a tile is put, between zeros."""
        return surrounded(self._padded, self._inside)

    @property
    def margins(self) -> Array:
        """Where a tile is put, with its padding above and below."""
        return windows.between_sides(self._padded, self.window)

    def gathers(self, x: Array) -> list[Call]:
        """Return what gathers a tile; without padding the windows of x are seen where it lies."""
        if self.window.is_padded:
            return [*moved(x, self._inside), partial(np.copyto, self._columns, self._view)]
        return [partial(np.copyto, self._columns, windows.view(x, self.window))]


class ChannelMajor(_Gathered):
    """Windows as columns: for up to four channels.

    Copies are quick where their numbers lie side by side: rows that are long are kept in planes (`layout.planes`).
    """

    name = "channel_major"

    def _lay_out(self, arena: Arena) -> None:
        window, channels, tile, ones = self.window, self.channels, self.tile, self._ones
        rows, columns = window
        self._planes = columns.stride if columns.output >= _LONG_ROW else 1
        across = math.ceil(columns.padded / self._planes)
        self._padded = arena.zeros((self._planes, channels, tile, rows.padded, across))
        shape = (*window.kernel, channels, tile, *window.output)
        self.gathered = self._memory((self._depth + ones, math.prod(shape[3:])))
        self.gathered[self._depth :] = 1
        self._columns = self.gathered[: self._depth].reshape(shape)  # (KH, KW, C, T, OH, OW)
        self._rows = self.gathered.reshape(self._depth + ones, self._parts, -1).transpose(1, 2, 0)
        self._rows_t = self.gathered.reshape(self._depth + ones, self._summed_parts, -1).transpose(1, 0, 2)
        self._margins: Array | None = None

    @property
    def margins(self) -> Array:
        """Where a tile is put, with its padding above and below."""
        if self._margins is None:
            _, channels, tile, height, _ = self._padded.shape
            self._margins = np.zeros((tile, height, self.window.width.size, channels), np.float32)
        return self._margins

    def gathers(self, x: Array) -> list[Call]:
        """Return what gathers a tile."""
        rows, columns = self.window
        calls: list[Call] = []
        inside = slice(rows.before, rows.before + rows.size)
        if self._margins is not None:  # who asked for them has filled in rows that are no padding
            calls += moved(x, self._margins[:, inside])
            x, inside = self._margins, slice(None)
        for plane, across, side in sides(x, columns, self._planes):
            target = self._padded[plane, :, :, inside, across]
            calls += moved(side, target.transpose(1, 2, 3, 0))
        return [*calls, *(partial(np.copyto, target, view) for target, view in self._taps())]

    def _taps(self) -> Iterator[tuple[Array, Array]]:
        """Yield columns of the filters that see the same plane: where their pixels go, and where they are."""
        rows, columns = self.window
        _, of_c, of_t, of_h, of_w = self._padded.strides
        every = self._planes // math.gcd(self._planes, columns.dilation)
        for tap in range(min(every, columns.kernel)):
            start, plane = divmod(tap * columns.dilation, self._planes)
            target = self._columns[:, tap::every]
            view = np.lib.stride_tricks.as_strided(
                self._padded[plane, ..., start:],
                target.shape,
                (
                    of_h * rows.dilation,
                    of_w * (every * columns.dilation // self._planes),
                    of_c,
                    of_t,
                    of_h * rows.stride,
                    of_w * (columns.stride // self._planes),
                ),
                writeable=False,
            )
            yield target, view


class Pointwise(_Gathered):
    """A 1x1 window at stride 1 without padding: a matrix product on the images as they lie."""

    name = "pointwise"

    def bind(self, tile: slice, x: Array, y: Place) -> list[Call]:
        """Return what computes a tile."""
        return [*multiplied(x, self._matrix, y.maps, self._edge), *self._bias.bind(y)]

    def gather(self, x: Array) -> None:
        """See a tile as its own transposed matrix."""
        self._rows_t = x.reshape(self._summed_parts, -1, self.channels).transpose(0, 2, 1)


def multiplied(x: Array, matrix: Array, y: Array, edge: int) -> list[Call]:
    """Return what multiplies pixels x (T, H, W, C) by a matrix (C, O) into y (T, H, W, O), cut at `edge`.

    That is one product, or one for each row where those are long and lie apart.
    """
    before, after = list[Call](), list[Call]()
    target = y
    if x.shape[2] < _LONG_ROW:
        if not x.flags.c_contiguous:
            held = empty(x.shape)
            before, x = [partial(np.copyto, held, x)], held
        if not target.flags.c_contiguous:
            target = empty(target.shape)
            after = [partial(np.copyto, y, target)]
    if x.flags.c_contiguous and target.flags.c_contiguous:
        parts = pieces(math.prod(x.shape[:3]), matrix.size, edge)
        x, target = (array.reshape(parts, -1, array.shape[3]) for array in (x, target))
    return [*before, partial(np.matmul, x, matrix, out=target), *after]


class Flipped:
    """dX at stride 1: the convolution of dY with the filters flipped, inputs and outputs exchanged."""

    def __init__(
        self, window: Window, channels: int, filters: int, tile: int, tuning: Tuning, arena: Arena
    ) -> None:
        back = _full(window)
        # its columns are as many times larger as there are more filters than channels: it has a tile of its own
        most = max(2 * tuning.tile_bytes, _FLOAT * math.prod(window.kernel) * channels * filters)
        own = largest_divisor(tile, tile_of(tile, back, filters, most))
        self._kernel = Columns(back, filters, channels, own, tuning, arena)
        self._turned = arena.scratch((*window.kernel, filters, channels))

    def prepare(self, weight: Array) -> None:
        np.copyto(self._turned, weight[::-1, ::-1].transpose(0, 1, 3, 2))
        self._kernel.prepare(self._turned, None)

    def run(self, dy: Array, dx: Array) -> None:
        for first in range(0, len(dy), self._kernel.tile):
            tile = slice(first, first + self._kernel.tile)
            self._kernel.gather(dy[tile])
            self._kernel.product(dx[tile])()


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
