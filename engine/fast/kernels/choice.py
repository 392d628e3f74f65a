"""Which kernel a convolution takes: the rule, from its shape alone.

    3x3, stride 1, padding 1, 16 or more channels in and out (see `Winograd.fits`)     winograd
    1x1, stride 1, no padding                                                          pointwise
    a filter for each channel                                                          depthwise
    up to four channels in                                                             channel_major
    anything else                                                                      columns

and its dX:

    winograd, pointwise, depthwise the same kernel
    up to four channels            scattered, in planes
    stride 1                       flipped
    3x3, stride 2, even size       sub-pixel
    anything else                  scattered

Where 2x2 max-pooling follows, a kernel of stride 1 that is not winograd is `quartered`: see `pooled`.

Measured in `docs/performance.md`. Other grouped convolutions are no business of this floor: a plan runs them
through their layer.
"""

from __future__ import annotations

import math

from engine.arrays import Array
from engine.fast.kernels.columns import (
    ChannelMajor,
    Columns,
    Flipped,
    Pointwise,
    tile_of,
)
from engine.fast.kernels.depthwise import Depthwise
from engine.fast.kernels.kernel import Case, InputGradient, Kernel
from engine.fast.kernels.pooled import FEW_CHANNELS, Quartered, Separate, widened
from engine.fast.kernels.pooled_gradient import RowGradient, Spread
from engine.fast.kernels.scattered import Scattered, ScatteredPlanes
from engine.fast.kernels.subpixel import SubPixel
from engine.fast.kernels.winograd import Winograd
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor
from engine.fast.layout.places import FEW_WEIGHTS
from engine.ops.windows import Window

_POINTWISE_BYTES = 1 << 20


def choose(case: Case, tuning: Tuning, arena: Arena) -> Kernel:
    """Return the kernel for a batch of maps."""
    if not case.pooled:
        return _whole(case, tuning, arena)
    batch, window, channels, filters = case.batch, case.window, case.channels, case.filters
    if case.is_depthwise or takes_winograd(case) or not Quartered.pays(window, filters):
        kernel, shape = _whole(case, tuning, arena), (*window.output, filters)
        return Separate(kernel, batch, shape, arena, training=case.training)
    quartered = Quartered(
        batch, window, channels, filters, tuning, arena, training=case.training, wants_dw=case.wants_dw
    )
    tile = quartered.tile
    if case.wants_dx and RowGradient.pays(window, channels, filters):
        quartered.input_gradient = RowGradient(widened(window, 1), channels, filters, tile, arena)
    elif case.wants_dx:
        whole = _input_gradient(window, channels, filters, tile, tuning, arena)
        quartered.input_gradient = Spread(whole, window, filters, tile, arena)
    return quartered


def takes_winograd(case: Case) -> bool:
    """Whether it is a 3x3 convolution that Winograd's transform is the quickest for."""
    size = case.window.height.size, case.window.width.size
    fits = Winograd.fits(case.batch, size, case.channels, case.filters)
    return case.sides == {(3, 1, 1, 1, 1)} and fits and not case.is_depthwise


def _whole(case: Case, tuning: Tuning, arena: Arena) -> Kernel:
    """Return the kernel for maps that no pool follows."""
    batch, window, channels, filters = case.batch, case.window, case.channels, case.filters
    height, width = window.height.size, window.width.size
    training, wants_dx, wants_dw = case.training, case.wants_dx, case.wants_dw
    if case.is_depthwise:
        return Depthwise(batch, window, channels, tuning, arena, wants_dx=wants_dx, wants_dw=wants_dw)
    if takes_winograd(case):
        return Winograd(
            batch,
            height,
            width,
            channels,
            filters,
            tuning,
            arena,
            training=training,
            wants_dx=wants_dx,
            wants_dw=wants_dw,
        )
    if case.sides == {(1, 1, 0, 0, 1)}:
        tile = largest_divisor(batch, _POINTWISE_BYTES / (4 * height * width * max(channels, filters)))
        pointwise = Pointwise(window, channels, filters, tile, tuning, arena, wants_dw=wants_dw)
        pointwise.input_gradient = _Transposed(filters)
        return pointwise
    # a gathered tile is read once and multiplied at once: it may be larger than one that is transformed
    filters_bytes = 4 * math.prod(case.weight)  # are read once for each tile
    tile = tile_of(batch, window, channels, max(4 * tuning.tile_bytes, filters_bytes))
    layout: type[Columns | ChannelMajor] = ChannelMajor if channels <= FEW_CHANNELS else Columns
    few = math.prod(window.kernel) * channels * filters <= FEW_WEIGHTS
    kernel = layout(
        window, channels, filters, tile, tuning, arena, ones=few and not training, wants_dw=wants_dw
    )
    if wants_dx:
        kernel.input_gradient = _input_gradient(window, channels, filters, tile, tuning, arena)
    return kernel


def _input_gradient(
    window: Window, channels: int, filters: int, tile: int, tuning: Tuning, arena: Arena
) -> InputGradient:
    if channels <= FEW_CHANNELS:
        return ScatteredPlanes(window, channels, filters, tile, tuning, arena)
    if SubPixel.fits(window):
        return SubPixel(window, channels, filters, tile, tuning, arena)
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
