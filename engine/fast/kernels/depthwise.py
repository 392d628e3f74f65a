"""Depthwise convolution: every channel by itself, so there is no matrix to multiply.

A row of pixels times a row of filters, added to a row of sums: `einsum` does that in one pass, reading the windows
where they lie in the padded map. It takes two fifths of the time of multiplying and adding whole maps, tap by tap.

- At a stride the windows of all columns are computed and every s-th is kept: rows stay long runs of numbers.
- dX is the same with the filters turned around, on dY with zeros between its columns. The rows of dX fall into as many
  classes as the stride has; each sees its own taps (as in `subpixel`).
- dW sums rows of pixels times rows of the same dY.

Howard et al. 2017, "MobileNets", section 3.1.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor, viewed
from engine.fast.layout.places import Bias, Call, Place, moved, surrounded
from engine.ops import windows
from engine.ops.windows import Window

_FLOAT = 4
_CONVOLVE = "tabrn,abn->trn"
_CORRELATE = "tabrn,trn->abn"


class Depthwise:
    """Kernel for filters (KH, KW, 1, C)."""

    name = "depthwise"

    def __init__(
        self,
        batch: int,
        window: Window,
        channels: int,
        tuning: Tuning,
        arena: Arena,
        *,
        wants_dx: bool,
        wants_dw: bool,
    ) -> None:
        rows, columns = window
        self._window, self._channels = window, channels
        self.tile = tile = largest_divisor(
            batch, tuning.tile_bytes / (_FLOAT * rows.padded * columns.padded * channels)
        )
        self._padded = arena.zeros((tile, rows.padded, columns.padded, channels))
        self._inside = windows.unpad(self._padded, window)
        self._across = (columns.output - 1) * columns.stride + 1  # columns that are computed
        of_t, of_h, of_w, _ = self._padded.strides
        self._view = np.lib.stride_tricks.as_strided(
            self._padded,
            (tile, *window.kernel, rows.output, self._across * channels),
            (of_t, of_h * rows.dilation, of_w * columns.dilation, of_h * rows.stride, _FLOAT),
            writeable=False,
        )
        shape = (*window.kernel, self._across * channels)
        self._filters = arena.prepared(shape)
        self._all = arena.scratch((tile, rows.output, self._across, channels)) if columns.stride > 1 else None
        self._bias = Bias()
        self._wants_dw = wants_dw
        if wants_dx or wants_dw:
            self._back = _Backward(window, channels, tile, self._across, arena, wants_dx=wants_dx)
        if wants_dw:
            self._sum, self._part = arena.scratch(shape), arena.scratch(shape)

    @staticmethod
    def fits(window: Window, channels: int, shape: tuple[int, ...]) -> bool:
        """Whether filters of this shape are one for each channel, and every window begins and ends as dX expects it."""
        return shape[2:] == (1, channels) and all(
            axis.before < axis.extent
            and (axis.output - 1) * axis.stride - axis.before < axis.size
            and (axis.stride == 1 or axis.dilation == 1)
            for axis in window
        )

    def prepare(self, weight: Array, bias: Array | None) -> list[Call]:
        """Take filters (KH, KW, 1, C) and bias (C,)."""
        filters = self._filters.reshape(*weight.shape[:2], -1, self._channels)
        return [partial(np.copyto, filters, weight), *self._bias.prepare(bias)]

    def prepare_backward(self, weight: Array) -> None:
        """Take the filters for dX, and begin a new dW."""
        self._back.prepare(weight)
        if self._wants_dw:
            self._sum[...] = 0

    @property
    def entry(self) -> Place | None:
        """Where a tile is put, between zeros."""
        return surrounded(self._padded, self._inside)

    @property
    def margins(self) -> Array:
        """Where a tile is put, with its padding above and below."""
        return windows.between_sides(self._padded, self._window)

    def bind(self, tile: slice, x: Array, y: Place) -> list[Call]:
        """Return what convolves one tile x (T, H, W, C) into y (T, OH, OW, C)."""
        calls = moved(x, self._inside)
        out = y.maps if self._all is None else self._all
        rows = viewed(out, (*out.shape[:2], -1))
        calls.append(partial(np.einsum, _CONVOLVE, self._view, self._filters, out=rows))
        if self._all is not None:
            calls.append(partial(np.copyto, y.maps, self._kept(self._all)))
        return [*calls, *self._bias.bind(y)]

    def backward(self, tile: slice, x: Array, dy: Array, dx: Array | None) -> None:
        """Add one tile to dW, and give its dX, each if wanted."""
        rows = self._back.spread(dy)
        if self._wants_dw:
            np.copyto(self._inside, x)
            np.einsum(_CORRELATE, self._view, rows, out=self._part)
            self._sum += self._part
        if dx is not None:
            self._back.run(dx)

    def weight_gradient(self, dweight: Array) -> None:
        """Write dW (KH, KW, 1, C) of all tiles since `prepare_backward`."""
        taps = self._sum.reshape(*dweight.shape[:2], -1, self._channels)
        taps.sum(axis=2, keepdims=True, out=dweight)

    def _kept(self, computed: Array) -> Array:
        return computed[:, :, :: self._window.width.stride]


class _Backward:
    """dY between zeros, and dX from it."""

    def __init__(
        self, window: Window, channels: int, tile: int, across: int, arena: Arena, *, wants_dx: bool
    ) -> None:
        rows, columns = window
        above = math.ceil((rows.kernel - 1) / rows.stride) * rows.dilation
        left = columns.extent - 1 - columns.before
        self._width = columns.size * channels
        self._padded = arena.zeros(
            (tile, above + rows.output + above, columns.size + columns.extent - 1, channels)
        )
        held = self._padded[:, above : above + rows.output, left : left + across]
        self._inside = held[:, :, :: columns.stride]
        self._rows = viewed(held, (tile, rows.output, across * channels))
        self._filters = arena.scratch((*window.kernel, self._width))
        self._parts: list[tuple[slice, Array | None, Array]] = []
        if wants_dx:
            self._parts = [self._part(window, above, part) for part in range(rows.stride)]

    def _part(self, window: Window, above: int, part: int) -> tuple[slice, Array | None, Array]:
        """Return one class of rows of dX, the rows of dY that each sees, and its filters."""
        axis = window.height
        first = (part - axis.before) % axis.stride
        target = slice(first, None, axis.stride)
        filters = self._filters[_turned(axis.kernel, axis.stride, part)]
        count, taps = len(range(first, axis.size, axis.stride)), len(filters)
        if not taps:
            return target, None, filters
        start = above + (first + axis.before - part) // axis.stride - (taps - 1) * axis.dilation
        of_t, of_h, of_w, _ = self._padded.strides
        view = np.lib.stride_tricks.as_strided(
            self._padded[:, start:],
            (len(self._padded), taps, window.width.kernel, count, self._width),
            (of_t, of_h * axis.dilation, of_w * window.width.dilation, of_h, _FLOAT),
            writeable=False,
        )
        return target, view, filters

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, 1, C): turned around."""
        taps = self._filters.reshape(*weight.shape[:2], -1, weight.shape[3])
        np.copyto(taps, weight[::-1, ::-1])

    def spread(self, dy: Array) -> Array:
        """Lay out dy (T, OH, OW, C) and return its rows, with zeros between the columns of a stride."""
        np.copyto(self._inside, dy)
        return self._rows

    def run(self, dx: Array) -> None:
        """Write dX (T, H, W, C)."""
        rows = dx.reshape(len(dx), dx.shape[1], -1)
        for target, view, filters in self._parts:
            if view is None:
                rows[:, target] = 0
            else:
                np.einsum(_CONVOLVE, view, filters, out=rows[:, target])


def _turned(kernel: int, stride: int, part: int) -> slice:
    """Return where, in filters that are turned around, the taps part, part + stride, ... stand, in rising order."""
    last = len(range(part, kernel, stride)) - 1
    if last < 0:
        return slice(0, 0)
    return slice(kernel - 1 - part - last * stride, kernel - part, stride)
