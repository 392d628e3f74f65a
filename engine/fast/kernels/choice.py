"""Which kernel a convolution takes: the rule, from its shape alone.

    3x3, stride 1, padding 1, 16 or more channels in and out (see `Winograd.fits`)     winograd
    1x1, stride 1, no padding                                                          pointwise
    a filter for each channel                                                          depthwise
    up to four channels in                                                             channel_major
    anything else                                                                      columns

and its dX:

    winograd, pointwise, depthwise the same kernel
    stride 1                       flipped
    3x3, stride 2, even size       sub-pixel
    anything else                  scattered

Where 2x2 max-pooling follows, a kernel of stride 1 that is not winograd is `quartered`: see `pooled`.

Measured in `docs/performance.md`. Other grouped convolutions are no business of this floor: a plan runs them
through their layer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from engine.arrays import Array, Shape
from engine.fast.kernels.columns import (
    ChannelMajor,
    Columns,
    Flipped,
    InputGradient,
    Kernel,
    Pointwise,
    Scattered,
    tile_of,
)
from engine.fast.kernels.depthwise import Depthwise
from engine.fast.kernels.pooled import FEW_CHANNELS, Quartered, Separate, TiledKernel, Unpooled, widened
from engine.fast.kernels.pooled_gradient import RowGradient, Spread
from engine.fast.kernels.subpixel import SubPixel
from engine.fast.kernels.winograd import Winograd
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor
from engine.fast.layout.places import FEW_WEIGHTS
from engine.ops.windows import Window

_POINTWISE_BYTES = 1 << 20


class Case(NamedTuple):
    """What a kernel has to do."""

    batch: int
    window: Window
    weight: Shape
    """(KH, KW, channels that a filter sees, O)."""
    channels: int
    training: bool
    needs_input_gradient: bool

    @property
    def filters(self) -> int:
        """Channels of the output."""
        return self.weight[3]

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has a filter of its own."""
        return self.channels > 1 and self.weight[2] == 1

    @property
    def takes_winograd(self) -> bool:
        """Whether it is a 3x3 convolution that Winograd's transform is the quickest for."""
        sides = {(axis.kernel, axis.stride, axis.before, axis.after, axis.dilation) for axis in self.window}
        rows, columns = self.window
        fits = Winograd.fits(self.batch, (rows.size, columns.size), self.channels, self.filters)
        return sides == {(3, 1, 1, 1, 1)} and fits and not self.is_depthwise


def choose(case: Case, tuning: Tuning, arena: Arena) -> Kernel:
    """Return the kernel for a batch of maps."""
    batch, window, _, channels, training, needs_input_gradient = case
    filters = case.filters
    sides = {(axis.kernel, axis.stride, axis.before, axis.after, axis.dilation) for axis in window}
    height, width = window.height.size, window.width.size
    if case.is_depthwise:
        return Depthwise(
            batch, window, channels, tuning, arena, training=training, needs_dx=needs_input_gradient
        )
    if case.takes_winograd:
        return Winograd(batch, height, width, channels, filters, tuning, arena, training=training)
    if sides == {(1, 1, 0, 0, 1)}:
        tile = largest_divisor(batch, _POINTWISE_BYTES / (4 * height * width * max(channels, filters)))
        pointwise = Pointwise(window, channels, filters, tile, tuning, arena, training=training)
        pointwise.input_gradient = _Transposed(filters)
        return pointwise
    # a gathered tile is read once and multiplied at once: it may be larger than one that is transformed
    filters_bytes = 4 * math.prod(case.weight)  # are read once for each tile
    tile = tile_of(batch, window, channels, max(4 * tuning.tile_bytes, filters_bytes))
    layout: type[Columns | ChannelMajor] = ChannelMajor if channels <= FEW_CHANNELS else Columns
    few = math.prod(window.kernel) * channels * filters <= FEW_WEIGHTS
    kernel = layout(
        window, channels, filters, tile, tuning, arena, ones=few and not training, training=training
    )
    if training and needs_input_gradient:
        kernel.input_gradient = _input_gradient(window, channels, filters, tile, tuning, arena)
    return kernel


def choose_tiled(case: Case, tuning: Tuning, arena: Arena, *, pooled: bool) -> TiledKernel:
    """Return the kernel for a batch of maps, with or without the 2x2 max-pooling that follows."""
    batch, window, _, channels, training, needs_input_gradient = case
    filters = case.filters
    if not pooled:
        return Unpooled(choose(case, tuning, arena))
    if case.is_depthwise or case.takes_winograd or not Quartered.pays(window, filters):
        return Separate(
            choose(case, tuning, arena), batch, (*window.output, filters), arena, training=training
        )
    kernel = Quartered(batch, window, channels, filters, tuning, arena, training=training)
    if training and needs_input_gradient:
        if RowGradient.pays(window, channels, filters):
            kernel.input_gradient = RowGradient(widened(window, 1), channels, filters, kernel.tile, arena)
        else:
            whole = _input_gradient(window, channels, filters, kernel.tile, tuning, arena)
            kernel.input_gradient = Spread(whole, window, filters, kernel.tile, arena)
    return kernel


def _input_gradient(
    window: Window, channels: int, filters: int, tile: int, tuning: Tuning, arena: Arena
) -> InputGradient:
    if SubPixel.fits(window):
        return SubPixel(window, channels, filters, tile, arena)
    strides = (window.height.stride, window.width.stride)
    padding = [
        side
        for axis in window
        for side in (axis.extent - 1 - axis.before, axis.size - axis.output + axis.before)
    ]
    if strides == (1, 1) and min(padding) >= 0:
        return Flipped(window, channels, filters, tile, tuning, arena)
    return Scattered(window, channels, filters, tile, tuning, arena)


class _Transposed:
    """dX of a 1x1 window: the product with the transposed filters."""

    def __init__(self, filters: int) -> None:
        self._filters = filters

    def prepare(self, weight: Array) -> None:
        self._matrix = weight.reshape(-1, self._filters).T

    def run(self, dy: Array, dx: Array) -> None:
        rows = dy.reshape(-1, self._filters)
        rows.dot(self._matrix, out=dx.reshape(-1, dx.shape[-1]))
