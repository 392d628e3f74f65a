"""A depthwise convolution between two 1x1 convolutions, for predictions: a band of rows at a time.

    wide = act(x E + e)         a product, where there is one before
    deep = act(filter wide + d)
    y    = deep P + p           a product

The maps in between have up to six times as many channels as those around them: stored whole they leave the cache
between any two calls. Here some rows are expanded, convolved and projected while they are in the cache; only x and y
are whole maps. What the next band sees of the same rows is moved to its front.

- The activation moves rows to where the windows see them, between zeros. Neighbouring rows share their zeros.
- At a stride s, the columns j, j + s, j + 2s, ... of a row lie side by side, for each j below s: every tap then sees a
  long run of numbers, and nothing is computed that is not kept. The product writes columns in that order.

Howard et al. 2017, "MobileNets", section 3.1; Sandler et al. 2018, "MobileNetV2", section 5.1, who cut the maps in
between by channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from engine.arrays import Array
from engine.fast.kernels.columns import multiplied
from engine.fast.kernels.rectifier import Rectifier
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor, viewed
from engine.fast.layout.places import Bias, Call, Place, moved
from engine.ops.windows import Window

_FLOAT = 4
_CONVOLVE = "tabrn,abn->trn"


class Part(NamedTuple):
    """Filters, bias and activation of one of the convolutions."""

    weight: Array
    bias: Array | None


class Channels(NamedTuple):
    """Of the maps x, in between, and y."""

    inputs: int
    wide: int
    outputs: int


class Rectifiers(NamedTuple):
    """What follows each of the convolutions."""

    expanded: Rectifier | None
    convolved: Rectifier | None
    projected: Rectifier | None


class _Band(NamedTuple):
    """Rows of y that are computed at once, and the rows of x that they see."""

    first: int
    last: int
    top: int
    """The first row of x that is seen: below 0 it is padding."""
    seen: int
    kept: int
    """How many of the rows that are seen the band before has computed."""
    shift: int
    """How far down they were there."""


class _Taps(NamedTuple):
    """Columns of a filter whose columns lie side by side: every s-th, from the tap `first` on."""

    first: int
    plane: int
    """Among the columns j, j + s, ..., with this j."""
    shift: int
    """How many such columns the first tap of the first window is behind the first one: below 0 it is padding."""
    taps: int


class Separable:
    """Kernel for [1x1,] depthwise, 1x1."""

    name = "separable"

    def __init__(
        self,
        batch: int,
        window: Window,
        channels: Channels,
        rectifiers: Rectifiers,
        tuning: Tuning,
        arena: Arena,
        *,
        expands: bool,
    ) -> None:
        """Lay out the work on a band.

        Args:
            batch: pictures.
            window: of the depthwise convolution.
            channels: of the maps.
            rectifiers: what follows each of the convolutions.
            tuning: what was measured of the machine.
            arena: where memory comes from.
            expands: whether there is a 1x1 convolution before.
        """
        self._batch, self._window, self._channels = batch, window, channels
        self._rectifiers, self._expands, self._edge = rectifiers, expands, tuning.gemm_edge
        rows, columns = window
        self._widths = [len(range(j, columns.size, columns.stride)) for j in range(columns.stride)]
        self._taps = list(_taps(window))
        beyond = (
            max(-taps.shift, columns.output + taps.shift + taps.taps - 1 - self._widths[taps.plane])
            for taps in self._taps
        )
        self._gap = max(0, *beyond)  # zeros between the runs of columns
        self._pitch = max(self._widths) + self._gap
        self._line = columns.stride * self._pitch
        # a call for fewer rows costs more than the faster cache gives
        self.tile, height = self._sizes(4 * tuning.tile_bytes)
        self._bands = list(_bands(window, height))
        seen = max(band.seen for band in self._bands)
        new = max(band.seen - band.kept for band in self._bands)
        across = columns.output * channels.wide
        memory = arena.scratch(((self._gap + self.tile * seen * self._line) * channels.wide,))
        self._memory = memory
        self._cells = memory[self._gap * channels.wide :].reshape(
            self.tile, seen, columns.stride, self._pitch, channels.wide
        )
        expanded = new * columns.size * channels.wide if expands else 0
        self._held = arena.scratch((self.tile * max(expanded, height * across),))  # what is not between zeros
        self._sum = arena.scratch((self.tile * height * across if len(self._taps) > 1 else 0,))
        turned = new * columns.size * channels.inputs if expands and columns.stride > 1 else 0
        self._turned = arena.scratch((self.tile * turned,))
        self._filters = [arena.prepared((rows.kernel, taps.taps, across)) for taps in self._taps]
        width = columns.size if expands else 0
        self._expanded = _Epilogue(rectifiers.expanded, arena.prepared((width, channels.wide)))
        self._convolved = _Epilogue(rectifiers.convolved, arena.prepared((columns.output, channels.wide)))
        self._bias = Bias()

    @staticmethod
    def fits(window: Window, channels: int, shape: tuple[int, ...]) -> bool:
        """Whether filters of this shape are one for each channel, and undilated."""
        return shape[2:] == (1, channels) and all(axis.dilation == 1 for axis in window)

    def _sizes(self, most: int) -> tuple[int, int]:
        """Return how many pictures, and how many rows of y, are computed at once."""
        rows, columns = self._window
        wide = self._channels.wide * _FLOAT
        row = wide * (rows.stride * self._line + max(rows.stride * columns.size, columns.output))
        above = wide * max(0, rows.kernel - rows.stride) * self._line
        height = max(1, min(rows.output, int((most - above) / row)))
        bands = math.ceil(rows.output / height)
        pictures = largest_divisor(self._batch, most / (row * rows.output + above)) if bands == 1 else 1
        return pictures, math.ceil(rows.output / bands)

    def prepare(self, expand: Part | None, depthwise: Part, project: Part) -> list[Call]:
        """Take filters (1, 1, C, D), (KH, KW, 1, D) and (1, 1, D, O), and what is added to their outputs."""
        wide = self._channels.wide
        self._project = project.weight.reshape(wide, -1)
        calls: list[Call] = []
        if expand is not None:
            self._expand = expand.weight.reshape(-1, wide)
            calls += self._expanded.prepare(expand.bias)
        for taps, filters in zip(self._taps, self._filters, strict=True):
            side = depthwise.weight[:, taps.first :: self._window.width.stride]
            calls.append(partial(np.copyto, filters.reshape(*filters.shape[:2], -1, wide), side))
        return [*calls, *self._convolved.prepare(depthwise.bias), *self._bias.prepare(project.bias)]

    def bind(self, x: Array, y: Place, zeros: Array, beyond: tuple[int, int] = (0, 0)) -> list[Call]:
        """Return what computes x (N, H, W, C) into y (N, OH, OW, O).

        Args:
            x: stays where it is.
            y: where the output is wanted.
            zeros: (1, M) for the longest run of y.
            beyond: how many rows of x stand for padding above and below.
        """
        before = self._memory[: self._gap * self._channels.wide]
        gaps = [self._cells[:, :, plane, width:] for plane, width in enumerate(self._widths)]
        calls: list[Call] = [partial(cells.fill, 0) for cells in (before, *gaps) if cells.size]
        for first in range(0, self._batch, self.tile):
            pictures = slice(first, first + self.tile)
            for band in self._bands:
                calls += self._widened(x[pictures], band, beyond)
                deep, convolved = self._depthwise(band)
                calls += convolved
                target = y.maps[pictures, band.first : band.last]
                calls += multiplied(deep, self._project, target, self._edge)
            part = y.tile(pictures)
            calls += self._bias.bind(part)
            if self._rectifiers.projected is not None:
                calls += self._rectifiers.projected.bind(part, zeros)
        return calls

    def _widened(self, x: Array, band: _Band, beyond: tuple[int, int]) -> list[Call]:
        """Return what lays out the rows that a band sees: zeros, those of the band before, and new ones."""
        calls: list[Call] = []
        cells, above, below = self._cells, -beyond[0], self._window.height.size + beyond[1]
        if band.kept:
            kept = cells[:, band.shift : band.shift + band.kept]
            calls.append(partial(np.copyto, cells[:, : band.kept], kept))
        if band.top < above:
            calls.append(partial(cells[:, : above - band.top].fill, 0))
        if band.top + band.seen > below:
            calls.append(partial(cells[:, max(0, below - band.top) : band.seen].fill, 0))
        new = slice(max(above, band.top + band.kept), min(below, band.top + band.seen))
        if new.start >= new.stop:
            return calls
        x, lines = (
            x[:, new.start - above : new.stop - above],
            cells[:, new.start - band.top : new.stop - band.top],
        )
        if not self._expands:
            planes = self._planes(x)
        else:
            wide = self._held[: x[..., 0].size * self._channels.wide].reshape(*x.shape[:3], -1)
            calls += [*self._products(x, wide), *self._expanded.adds(wide)]
            planes = self._sides(wide)
        for plane, side in enumerate(planes):
            calls += self._expanded.moves(side, lines[:, :, plane, : side.shape[2]])
        return calls

    def _products(self, x: Array, wide: Array) -> list[Call]:
        """Return what multiplies rows of x; columns of the result come plane by plane."""
        planes = self._planes(x)
        copies: list[Call] = []
        if len(planes) > 1:
            x = self._turned[: x.size].reshape(x.shape)
            copies = [
                partial(np.copyto, side, plane) for side, plane in zip(self._sides(x), planes, strict=True)
            ]
        return [*copies, *multiplied(x, self._expand, wide, self._edge)]

    def _planes(self, maps: Array) -> list[Array]:
        """Return the columns j, j + s, ... of maps (T, H, W, C), for each j there is."""
        stride = self._window.width.stride
        return [maps[:, :, plane::stride] for plane, width in enumerate(self._widths) if width]

    def _sides(self, maps: Array) -> list[Array]:
        """Return the same where they lie side by side."""
        ends = accumulate(self._widths)
        return [maps[:, :, end - width : end] for end, width in zip(ends, self._widths, strict=True) if width]

    def _depthwise(self, band: _Band) -> tuple[Array, list[Call]]:
        """Return where rows of the depthwise convolution are, (T, R, OW, C), and what computes them."""
        rows, columns = self._window
        wide, count = self._channels.wide, band.last - band.first
        shape = (self.tile, count, columns.output * wide)
        line = self._line * wide
        deep = self._held[: math.prod(shape)].reshape(shape)
        calls: list[Call] = []
        for number, (taps, filters) in enumerate(zip(self._taps, self._filters, strict=True)):
            start = (self._gap + taps.plane * self._pitch + taps.shift) * wide
            view = np.lib.stride_tricks.as_strided(
                self._memory[start:],
                (self.tile, rows.kernel, taps.taps, count, shape[2]),
                tuple(_FLOAT * step for step in (self._cells[0].size, line, wide, rows.stride * line, 1)),
                writeable=False,
            )
            out = deep if number == 0 else self._sum[: deep.size].reshape(shape)
            calls.append(partial(np.einsum, _CONVOLVE, view, filters, out=out))
            if number > 0:
                calls.append(partial(np.add, deep, out, out=deep))
        maps = deep.reshape(self.tile, count, -1, wide)
        return maps, [*calls, *self._convolved.adds(maps), *self._convolved.moves(maps, maps)]


class _Epilogue:
    """What follows a convolution: a bias and an activation."""

    def __init__(self, rectifier: Rectifier | None, row: Array) -> None:
        """Take room for the bias of each pixel of a row (W, C)."""
        self._rectifier, self._row = rectifier, row
        self._has_bias = False

    def prepare(self, bias: Array | None) -> list[Call]:
        """Take a bias (C,)."""
        self._has_bias = bias is not None
        return [] if bias is None else [partial(np.copyto, self._row, bias)]

    def adds(self, maps: Array) -> list[Call]:
        """Return what adds the bias to maps (T, H, W, C)."""
        rows = viewed(maps, (-1, self._row.size)) if self._has_bias else maps
        return [partial(np.add, rows, self._row.reshape(-1), out=rows)] if self._has_bias else []

    def moves(self, source: Array, target: Array) -> list[Call]:
        """Return what writes the activation of maps (T, H, W, C) elsewhere, or in place."""
        if self._rectifier is None:
            return moved(source, target)
        source, target = (viewed(maps, (*maps.shape[:2], -1)) for maps in (source, target))
        return [self._rectifier.moves(source, target)]


def _taps(window: Window) -> Iterator[_Taps]:
    """Yield the taps of a row, those together whose columns lie side by side."""
    _, columns = window
    for first in range(min(columns.stride, columns.kernel)):
        shift, plane = divmod(first - columns.before, columns.stride)
        yield _Taps(first, plane, shift, len(range(first, columns.kernel, columns.stride)))


def _bands(window: Window, height: int) -> Iterator[_Band]:
    """Yield bands of so many rows of y, of which the last may have fewer."""
    rows = window.height
    for first in range(0, rows.output, height):
        last = min(first + height, rows.output)
        seen = (last - first - 1) * rows.stride + rows.kernel
        kept = max(0, rows.kernel - rows.stride) if first else 0
        yield _Band(first, last, first * rows.stride - rows.before, seen, kept, height * rows.stride)
