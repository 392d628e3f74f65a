"""3x3 convolution of stride 1 and padding 1 by one-dimensional Winograd F(4, 3), without gathering.

Lavin & Gray 2015, "Fast algorithms for convolutional neural networks", section 4: four outputs of a
three-tap filter from six inputs take 6 multiplications instead of 12. Here along the height only, where a last band
of rows may stick out of the map:

    Y = A^T [ (G w) * (B^T x) ]        x: 6 rows, w: 3 rows of the filter, Y: 4 rows

- B^T x is one matrix product over an overlapping view of the padded tile: nothing is copied.
- Along the width nothing is gathered either: in a flat row of pixels the K = (q + 2) * C numbers from a
  pixel on *are* the window of q outputs. Every third of them (every second for q = 2) make a plain
  matrix, so three phases (two) cover all. Neighbouring rows share their one column of zeros. Only a small map of
  one picture is gathered after all: three products of few rows would read the filters three times.
- Backward, B^T dY serves both gradients: dX is the same convolution with flipped filters, and dW takes
  the products of B^T dY with A X.

In float32 the error against direct convolution is a few 1e-6 of the largest output (the transform's
constants are up to 8); `tests/engine/fast` measures and bounds it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor, pieces, ragged_pieces, row_of, viewed
from engine.fast.layout.places import Call, Place, moved, surrounded

_BT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
_G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    np.float32,
)
_AT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32
)
_AT_WITH_BIAS = np.concatenate([_AT, np.ones((4, 1), np.float32)], axis=1)
_FLOAT = 4
_POINTS = 6
_ROWS = 4
MANY_CHANNELS = 16
"""In and out, from which on it is the quickest on every machine that it was tried on."""
_MOST_WASTE = 1.25
_CACHE_BYTES = 1 << 20
_MANY_ROWS = 64
"""Rows of a product that are worth reading filters that do not fit the cache."""
_FEW_ROWS = 8
"""Rows of a product in each phase up to which it is quicker to gather the windows for a single one."""


def _strided(array: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """View memory at strides counted in numbers."""
    return np.lib.stride_tricks.as_strided(array, shape, tuple(_FLOAT * step for step in strides))


def _slab(numbers: int) -> int:
    """Round a slab up to an odd multiple of 64 bytes: six slabs at multiples of 4 KB evict each other."""
    return numbers + (16 - numbers % 1024) % 1024 + 16


class _Direction:
    """Maps of C channels to maps of O channels, a tile of images at a time."""

    def __init__(
        self,
        images: int,
        height: int,
        width: int,
        channels: int,
        filters: int,
        q: int,
        tuning: Tuning,
        arena: Arena,
        *,
        training: bool,
        tiles: int = 1,
    ) -> None:
        """Lay out the work on a tile of `images` maps, and room for so many tiles between zeros."""
        self.shape = (images, height, width, channels)
        self.filters, self.q = filters, q
        bands = self.bands = math.ceil(height / _ROWS)
        row = self.row = math.ceil((width + 1) / q) * q  # pixels in a padded row, one of them zero
        gathers = self._gathers = not training and q == 1 and images * bands * row <= 3 * _FEW_ROWS
        phases = self.phases = 1 if gathers else 3 if q == 1 else 2
        out_row = width if gathers else row
        self.inner, self.outer = (q + 2) * channels, q * filters
        rows = math.ceil(images * bands * out_row // q / phases)
        self.parts = ragged_pieces(rows, self.inner * self.outer, tuning.gemm_edge)
        self.part_rows = math.ceil(rows / self.parts)
        covered = self.parts * self.part_rows * phases * q  # pixels that all phases reach, slack included

        lines = bands * _ROWS + 2  # what a last band sticks out of the map stays zero, as its padding does
        size = images * lines * row
        padded = arena.zeros(((tiles * size + 8) * channels,))
        self.pixels = padded[: tiles * size * channels].reshape(tiles * images, lines, row, channels)
        # (N, H, W, C): where all tiles are put, or the only one
        self.everything = self.pixels[:, 1 : 1 + height, 1 : 1 + width]
        self.insides = [self.everything[first : first + images] for first in range(0, tiles * images, images)]
        line = row * channels
        shape, strides = (images, bands, _POINTS, line), (lines * line, _ROWS * line, line, 1)
        self._views = [_strided(padded[tile * size * channels :], shape, strides) for tile in range(tiles)]
        self.slab = _slab((max(covered, images * bands * row) + 2 * q + 2) * channels)
        self.transformed = arena.prepared((_POINTS * self.slab,))
        self._slack = self.transformed.reshape(_POINTS, self.slab)[:, images * bands * line :]
        self._transformed_rows = _strided(
            self.transformed, (images, bands, _POINTS, line), (bands * line, line, self.slab, 1)
        )
        stride = phases * q * channels
        self._left = _strided(
            self.transformed,
            (_POINTS, phases, self.parts, self.part_rows, self.inner),
            (self.slab, q * channels, self.part_rows * stride, stride, 1),
        )
        if gathers:
            shape = (_POINTS, images * bands, width, self.inner)
            self._seen = _strided(self.transformed, shape, (self.slab, line, channels, 1))
            self._gathered = arena.scratch((_POINTS, self.parts * self.part_rows, self.inner))
            self._left = self._gathered.reshape(self._left.shape)
            self._gathered = viewed(self._gathered[:, :rows], shape)
        self.product_slab = _slab(covered * filters)
        # behind the points there is room for a bias
        self.product = arena.prepared(((_POINTS + 1) * self.product_slab,))
        stride = phases * q * filters
        self._out = _strided(
            self.product,
            (_POINTS, phases, self.parts, self.part_rows, self.outer),
            (self.product_slab, q * filters, self.part_rows * stride, stride, 1),
        )
        self._rows_with_bias = _strided(
            self.product,
            (images, bands, _POINTS + 1, width * filters),
            (bands * out_row * filters, out_row * filters, self.product_slab, 1),
        )
        self._points = arena.prepared((_POINTS, 3, channels, filters))
        # (6, q + 2, C, q, O): the filters once for each of q neighbouring outputs
        self._wide = arena.zeros((_POINTS, q + 2, channels, q, filters)) if q > 1 else self._points
        self._right = self._wide.reshape(_POINTS, 1, 1, self.inner, self.outer)

    def prepare(self, weight: Array, bias: Array | None) -> None:
        """Transform filters (3, 3, C, O): once a step, and once for all in inference.

        A bias (O,) is one more term of each sum of the last transform.
        """
        self._rows_with_bias[:, :, _POINTS] = 0 if bias is None else row_of(bias, self.shape[2])
        self._slack[...] = 0  # what the last windows see behind the map
        np.matmul(_G, weight.reshape(3, -1), out=self._points.reshape(_POINTS, -1))
        if self.q > 1:
            for pixel in range(self.q):
                self._wide[:, pixel : pixel + 3, :, pixel] = self._points

    def transforms(self, x: Array) -> list[Call]:
        """Return what computes B^T x of a tile: where it lies, or in place of the first."""
        number = next((tile for tile, inside in enumerate(self.insides) if not moved(x, inside)), 0)
        return [
            *moved(x, self.insides[number]),
            partial(np.matmul, _BT, self._views[number], out=self._transformed_rows),
        ]

    def products(self, y: Array, *, has_bias: bool = False) -> list[Call]:
        """Return what computes the products at the six points, and A^T of them and the bias, into y (T, H, W, O)."""
        left, points = (_AT_WITH_BIAS, _POINTS + 1) if has_bias else (_AT, _POINTS)
        return [
            *([partial(np.copyto, self._gathered, self._seen)] if self._gathers else []),
            partial(np.matmul, self._left, self._right, out=self._out),
            *(
                partial(np.matmul, left[:rows], self._rows_with_bias[:, bands, :points], out=part)
                for bands, rows, part in _bands(y)
            ),
        ]


def _bands(maps: Array) -> Iterator[tuple[slice, int, Array]]:
    """Yield bands, how many rows each has, and those rows (N, bands, rows, W * C): whole bands, and the rest."""
    pictures, height, width, channels = maps.shape
    whole, rest = divmod(height, _ROWS)
    if whole:
        shape = (pictures, whole, _ROWS, width * channels)
        yield slice(0, whole), _ROWS, viewed(maps[:, : whole * _ROWS], shape)
    if rest:
        shape = (pictures, 1, rest, width * channels)
        yield slice(whole, whole + 1), rest, viewed(maps[:, whole * _ROWS :], shape)


def _product_rows(size: tuple[int, int]) -> float:
    """Return how many rows a picture has in each of the three phases."""
    return math.ceil(size[0] / _ROWS) * (size[1] + 1) / 3


def winograd_tile(batch: int, size: tuple[int, int], depths: tuple[int, int], tuning: Tuning) -> int:
    """Return how many pictures a tile has: what the cache holds, and enough for filters to be worth reading."""
    each = 3 * _POINTS * _product_rows(size) * max(depths) * _FLOAT
    return largest_divisor(batch, max(tuning.tile_bytes / each, _MANY_ROWS / _product_rows(size)))


class Winograd:
    """Kernel for 3x3, stride 1, padding 1."""

    name = "winograd"

    def __init__(
        self,
        batch: int,
        height: int,
        width: int,
        channels: int,
        filters: int,
        tuning: Tuning,
        arena: Arena,
        *,
        training: bool,
        wants_dx: bool,
        wants_dw: bool,
    ) -> None:
        # two pixels a row of the product keep narrow matrices busy
        q = 2 if min(channels, filters) <= 16 else 1
        self.tile = winograd_tile(batch, (height, width), (channels, filters), tuning)
        self._channels, self._filters, self._q = channels, filters, q
        tiles = 1 if training else batch // self.tile
        self._there = _Direction(
            self.tile, height, width, channels, filters, q, tuning, arena, training=training, tiles=tiles
        )
        self._wants_dw = wants_dw
        if wants_dx or wants_dw:
            self._back = _Direction(
                self.tile, height, width, filters, channels, q, tuning, arena, training=True
            )
            self._turned = arena.scratch((3, 3, filters, channels))
        if wants_dw:
            self._weight_gradient(height, width, tuning, arena)

    @staticmethod
    def fits(batch: int, size: tuple[int, int], channels: int, filters: int) -> bool:
        """Whether maps of this size are large enough for the kernel; what else it needs is in `choice`."""
        height, width = size
        worth = math.ceil(height / _ROWS) * _ROWS <= _MOST_WASTE * height
        cached = 3 * _POINTS * channels * filters * _FLOAT <= _CACHE_BYTES
        large = cached or batch * _product_rows(size) >= _MANY_ROWS
        return worth and large and width >= 2

    def prepare(self, weight: Array, bias: Array | None) -> list[Call]:
        """Take filters (3, 3, C, O) and bias (O,)."""
        self._has_bias = bias is not None
        return [partial(self._there.prepare, weight, bias)]

    def prepare_backward(self, weight: Array) -> None:
        """Take the filters for dX: flipped, with inputs and outputs exchanged."""
        np.copyto(self._turned, weight[::-1, ::-1].transpose(0, 1, 3, 2))
        self._back.prepare(self._turned, None)
        if self._wants_dw:
            self._x_slack[...] = 0
            self._x_margin[...] = 0
            self._started = False

    @property
    def entry(self) -> Place | None:
        """Where all tiles are put, between zeros."""
        return surrounded(self._there.pixels, self._there.everything)

    @property
    def margins(self) -> Array:
        """Where a tile is put, with its padding above and below."""
        _, height, width, _ = self._there.shape
        return self._there.pixels[:, : height + 2, 1 : 1 + width]

    def bind(self, tile: slice, x: Array, y: Place) -> list[Call]:
        """Return what convolves one tile x (T, H, W, C) into y (T, H, W, O)."""
        return [*self._there.transforms(x), *self._there.products(y.maps, has_bias=self._has_bias)]

    def backward(self, tile: slice, x: Array, dy: Array, dx: Array | None) -> None:
        """Add one tile to dW, and give its dX, each if wanted."""
        calls = self._back.transforms(dy)
        if dx is not None:
            calls += self._back.products(dx)
        for call in calls:
            call()
        if self._wants_dw:
            self._add_weight_gradient(x)

    def _add_weight_gradient(self, x: Array) -> None:
        for bands, rows, part in _bands(x):
            np.matmul(self._a[:, :rows], part, out=self._x_rows[:, bands])
        if self._started:
            np.matmul(self._left, self._right, out=self._part)
            self._sum += self._part
        else:
            np.matmul(self._left, self._right, out=self._sum)
            self._started = True

    def weight_gradient(self, dweight: Array) -> None:
        """Write dW (3, 3, C, O) of all tiles since `prepare_backward`."""
        # what products were added up from is free now, and so are the filters of dX
        summed = self._part.reshape(-1)[: self._sum[:, :, 0].size].reshape(self._sum[:, :, 0].shape)
        points = np.add.reduce(self._sum, axis=2, out=summed)
        if not self._phased:
            np.matmul(_G.T, points.reshape(_POINTS, -1), out=self._turned.reshape(3, -1))
            np.copyto(dweight, self._turned[::-1, ::-1].transpose(0, 1, 3, 2))
            return
        wide = points.sum(axis=1).reshape(_POINTS, self._q, self._channels, self._q + 2, self._filters)
        taps = wide[:, 0, :, 0:3]  # (6, C, 3, O)
        for pixel in range(1, self._q):
            taps = taps + wide[:, pixel, :, pixel : pixel + 3]
        turned = self._turned.reshape(3, self._channels, 3, self._filters)
        np.matmul(_G.T, taps.reshape(_POINTS, -1), out=turned.reshape(3, -1))
        np.copyto(dweight, turned[::-1, :, ::-1].transpose(0, 2, 1, 3))

    def _weight_gradient(self, height: int, width: int, tuning: Tuning, arena: Arena) -> None:
        """Lay out the products of B^T dY and A X; A X lies as the product of the way back would."""
        back, channels, filters, q = self._back, self._channels, self._filters, self._q
        bands, row, slab = back.bands, back.row, back.product_slab
        self._a = np.ascontiguousarray(_AT.T)  # (6, 4)
        x = arena.scratch((_POINTS * slab,))
        lines = self.tile * bands
        points, used = x.reshape(_POINTS, slab), lines * row * channels
        self._x_slack = points[:, used:]
        # the column between the rows of pixels
        self._x_margin = points[:, :used].reshape(_POINTS, lines, row, channels)[:, :, width:]
        self._x_rows = _strided(
            x,
            (self.tile, bands, _POINTS, width * channels),
            (bands * row * channels, row * channels, slab, 1),
        )
        self._phased = min(channels, filters) <= 16
        if self._phased:  # (q C, m) @ (m, (q + 2) O) in each phase
            rows = back.parts * back.part_rows
            parts = pieces(rows, back.inner * q * channels, tuning.gemm_edge, copies=_POINTS * back.phases)
            m, phases = rows // parts, back.phases
            stride = phases * q
            self._left = _strided(
                x,
                (_POINTS, phases, parts, q * channels, m),
                (slab, q * channels, m * stride * channels, 1, stride * channels),
            )
            self._right = _strided(
                back.transformed,
                (_POINTS, phases, parts, m, back.inner),
                (back.slab, q * filters, m * stride * filters, stride * filters, 1),
            )
            shape = (_POINTS, phases, parts, q * channels, back.inner)
        else:  # (O, m) @ (m, C) at three offsets, one for each column of the filter
            rows = self.tile * bands * row
            parts = pieces(rows, filters * channels, tuning.gemm_edge, copies=_POINTS * 3)
            m = rows // parts
            self._left = _strided(
                back.transformed,
                (_POINTS, 3, parts, filters, m),
                (back.slab, filters, m * filters, 1, filters),
            )
            self._right = _strided(x, (_POINTS, 1, parts, m, channels), (slab, 0, m * channels, channels, 1))
            shape = (_POINTS, 3, parts, filters, channels)
        self._sum, self._part = arena.scratch(shape), arena.scratch(shape)
        self._started = False
