"""Which kernel a convolution takes: by its shape, the rule, and by predicted times where the machine was measured.

    3x3, stride 1, padding 1, large maps (see `Winograd.fits`), 16 or more channels    winograd
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

Where 2x2 max-pooling follows, a kernel of stride 1 with few filters that is not winograd is `quartered`: see `pooled`.

With figures of the machine, the times are predicted of winograd with any channels, of columns, and of quartered where
the rule would take it; the rule's kernel stays unless another takes clearly less.

Measured in `docs/performance.md`. Other grouped convolutions are no business of this floor: a plan runs them
through their layer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

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
from engine.fast.kernels.prediction import predicted
from engine.fast.kernels.scattered import Scattered, ScatteredPlanes
from engine.fast.kernels.subpixel import SubPixel
from engine.fast.kernels.winograd import MANY_CHANNELS, Winograd
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, largest_divisor
from engine.fast.layout.places import FEW_WEIGHTS
from engine.ops.windows import Window

_POINTWISE_BYTES = 1 << 20
_CLEARLY = 0.75
"""Of the time that the rule's kernel is predicted to take: what is not below that may be chance, and a fault of the
prediction."""
_RULES = {
    "depthwise": "each channel has a filter of its own",
    "pointwise": "a window of one pixel: pictures are their own columns",
    "winograd": "3x3 of stride 1 with many channels: half of the multiplications",
    "quartered": "few filters and a 2x2 pool behind: one wider convolution gives its four cells",
    "columns": "windows are gathered and multiplied, which is always possible",
}


class Decision(NamedTuple):
    """Which kernel a convolution takes.

    Attributes:
        kernel: winograd, pointwise, depthwise, quartered, or columns, which are channel-major where there are few.
        why: in words: the rule, and predicted times where there is a choice and they can be predicted.
    """

    kernel: str
    why: str


def choose(case: Case, tuning: Tuning, arena: Arena) -> Kernel:
    """Return the kernel for a batch of maps."""
    taken = decide(case, tuning).kernel
    batch, window, channels, filters = case.batch, case.window, case.channels, case.filters
    if taken != "quartered":
        kernel = _whole(taken, case, tuning, arena)
        if not case.pooled:
            return kernel
        return Separate(kernel, batch, (*window.output, filters), arena, training=case.training)
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


def decide(case: Case, tuning: Tuning) -> Decision:
    """Return which kernel is taken, and why: that of the rule unless another is predicted to be clearly quicker."""
    rule, *others = _possible(case)
    if not others or tuning.figures is None:
        return Decision(rule, _RULES[rule])
    times = {kernel: predicted(kernel, case, tuning) for kernel in (rule, *others)}
    said = ", ".join(f"{kernel} {1e3 * seconds:.3g} ms" for kernel, seconds in times.items())
    quickest = min(times, key=lambda kernel: times[kernel])
    if quickest == rule:
        return Decision(rule, f"{_RULES[rule]}; predicted: {said}")
    if times[quickest] >= _CLEARLY * times[rule]:
        return Decision(rule, f"{_RULES[rule]}; predicted: {said}, which is no clear difference")
    return Decision(quickest, f"predicted: {said}; the rule would take {rule}: {_RULES[rule]}")


def _possible(case: Case) -> list[str]:
    """Return the kernels that there is a choice of, that of the rule first."""
    if case.is_depthwise:
        return ["depthwise"]
    if case.sides == {(1, 1, 0, 0, 1)}:
        return ["pointwise"]
    size = case.window.height.size, case.window.width.size
    found = ["columns"]
    if case.pooled and Quartered.pays(case.window, case.filters):
        found.insert(0, "quartered")
    if case.sides == {(3, 1, 1, 1, 1)} and Winograd.fits(case.batch, size, case.channels, case.filters):
        many = min(case.channels, case.filters) >= MANY_CHANNELS
        found.insert(0 if many else len(found), "winograd")
    return found


def _whole(taken: str, case: Case, tuning: Tuning, arena: Arena) -> Kernel:
    """Return the kernel for maps as they are before a pool."""
    batch, window, channels, filters = case.batch, case.window, case.channels, case.filters
    height, width = window.height.size, window.width.size
    training, wants_dx, wants_dw = case.training, case.wants_dx, case.wants_dw
    if taken == "depthwise":
        return Depthwise(batch, window, channels, tuning, arena, wants_dx=wants_dx, wants_dw=wants_dw)
    if taken == "winograd":
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
    if taken == "pointwise":
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
