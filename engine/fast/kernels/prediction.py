"""How long a kernel is likely to take, by what was measured of the machine: the sum of what its calls do.

Counted are products, by how deep and wide they are; what is gathered, by the length of its runs; what is copied or gone
through number by number; and the calls themselves. Each kernel is counted as it works, in training with both gradients.
What the kernels of one case have in common, such as the pass for a bias, is left out where it is the same.

It is good enough to tell kernels apart of which one takes a fifth less, see `docs/performance-tried.md`; it is no
forecast of the time of a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from engine.fast.kernels.columns import tile_of
from engine.fast.kernels.kernel import Case
from engine.fast.kernels.pooled import FEW_CHANNELS, pools_side_by_side, quartered_tile, widened
from engine.fast.kernels.winograd import winograd_tile
from engine.fast.layout.gemm import Tuning
from engine.machine.machine import Figures
from engine.ops.windows import Window

_FLOAT = 4
_POINTS, _ROWS = 6, 4


def predicted(kernel: str, case: Case, tuning: Tuning) -> float:
    """Return how many seconds a kernel is likely to take for a batch.

    Args:
        kernel: winograd, columns (also of channels first, where there are few) or quartered.
        case: what it has to do; it has to be one that the kernel can do.
        tuning: with the figures of the machine.
    """
    if tuning.figures is None:
        raise ValueError("no times can be predicted without figures: measure the machine first")
    work = _Work(tuning.figures, cut=tuning.gemm_edge > 0)
    seconds = _KERNELS[kernel](case, tuning, work)
    if case.pooled and kernel != "quartered":
        seconds += _halving(case, work)
    return seconds


class _Work(NamedTuple):
    """What pieces of work take."""

    figures: Figures
    cut: bool

    def product(self, rows: float, inner: int, columns: int) -> float:
        """Return the seconds of (rows, inner) @ (inner, columns)."""
        rate = self.figures.product_rate(inner, columns, cut=self.cut)
        return 2 * rows * inner * columns / rate

    def summed(self, rows: float, inner: int, columns: int) -> float:
        """Return those of (inner, rows) @ (rows, columns): dW, the deep way round."""
        wide, narrow = max(inner, columns), min(inner, columns)
        return self.product(rows, wide, narrow)

    def transform(self, operations: float) -> float:
        return operations / (1e9 * self.figures.transform)

    def pieces(self, count: float) -> float:
        return 1e-6 * count * self.figures.piece

    def calls(self, count: float) -> float:
        return 1e-6 * count * self.figures.call


def _columns(case: Case, tuning: Tuning, work: _Work) -> float:
    window, channels, filters = case.window, case.channels, case.filters
    seconds = _gathered_product(
        case.batch, window, channels, filters, tuning, work, few=channels <= FEW_CHANNELS
    )
    if not case.training:
        return seconds
    if window.is_padded:
        seconds += _map(case.batch, window, channels, work)
    if case.wants_dx:
        seconds += _input_gradient(case, tuning, work)
    if case.wants_dw:
        gathers = _gathered_product(
            case.batch, window, channels, 0, tuning, work, few=channels <= FEW_CHANNELS
        )
        depth = math.prod(window.kernel) * channels
        rows = case.batch * math.prod(window.output)
        seconds += gathers + work.summed(rows, depth, filters)
    return seconds


def _gathered_product(
    batch: int, window: Window, channels: int, filters: int, tuning: Tuning, work: _Work, *, few: bool
) -> float:
    """Return the seconds of gathering windows, and of their product with filters if there are any."""
    rows, depth = batch * math.prod(window.output), math.prod(window.kernel) * channels
    run = window.width.output if few else window.width.kernel * channels
    tiles = batch / tile_of(batch, window, channels, 4 * tuning.tile_bytes)
    seconds = work.figures.gather_seconds(_FLOAT * rows * depth, run) + work.calls(2 * tiles)
    return seconds + (work.product(rows, depth, filters) if filters else 0.0)


def _input_gradient(case: Case, tuning: Tuning, work: _Work) -> float:
    """Return the seconds of dX at stride 1, the only one that there is a choice of kernels for."""
    window, channels, filters = case.window, case.channels, case.filters
    if channels > FEW_CHANNELS:  # flipped
        back = _gathered_product(case.batch, window, filters, channels, tuning, work, few=False)
        return back + _map(case.batch, window, filters, work)
    rows, depth = case.batch * math.prod(window.output), math.prod(window.kernel) * channels
    scattered = work.figures.gather_seconds(_FLOAT * rows * depth, window.width.output)
    return work.product(rows, filters, depth) + scattered


def _map(batch: int, window: Window, channels: int, work: _Work) -> float:
    """Return the seconds of moving maps between zeros, row by row."""
    size = _FLOAT * batch * window.height.size * window.width.size * channels
    return work.figures.gather_seconds(size, window.width.size * channels)


def _winograd(case: Case, tuning: Tuning, work: _Work) -> float:
    height, width = case.window.height.size, case.window.width.size
    channels, filters, batch = case.channels, case.filters, case.batch
    q = 2 if min(channels, filters) <= 16 else 1
    bands, row = math.ceil(height / _ROWS), math.ceil((width + 1) / q) * q
    tiles = batch / winograd_tile(batch, (height, width), (channels, filters), tuning)

    def direction(inner: int, outer: int) -> float:
        transforms = 2 * _POINTS * batch * bands * (_POINTS * row * inner + _ROWS * width * outer)
        points = batch * _POINTS * bands * row / q
        filters_read = tiles * _FLOAT * _POINTS * (q + 2) * inner * q * outer
        return (
            work.transform(transforms)
            + work.pieces(2 * batch * bands)
            + work.product(points, (q + 2) * inner, q * outer)
            + work.figures.copy_seconds(filters_read)
            + work.calls(4 * tiles)
        )

    seconds = direction(channels, filters)
    if not case.training:
        return seconds
    seconds += _map(batch, case.window, channels, work)
    prepared = work.transform(2 * 2 * _POINTS * 3 * 3 * channels * filters)
    if case.wants_dx or case.wants_dw:
        seconds += prepared + _map(batch, case.window, filters, work)
    if case.wants_dx:
        seconds += direction(filters, channels)
    if case.wants_dw:
        rows = batch * _POINTS * bands * row
        seconds += work.transform(2 * _POINTS * _ROWS * batch * bands * width * channels)
        seconds += work.pieces(batch * bands)
        if not case.wants_dx:
            seconds += work.transform(2 * _POINTS * _POINTS * batch * bands * row * filters)
        if min(channels, filters) <= 16:
            seconds += work.summed(rows / q, (q + 2) * filters, q * channels)
        else:
            seconds += work.summed(rows, filters, 3 * channels)
    return seconds


def _quartered(case: Case, tuning: Tuning, work: _Work) -> float:
    channels, filters = case.channels, case.filters
    turned = case.training and channels <= FEW_CHANNELS
    pools = 1 if turned else pools_side_by_side(case.window, filters)
    wide = widened(case.window, pools)
    rows, depth, cells = (
        case.batch * math.prod(wide.output),
        math.prod(wide.kernel) * channels,
        4 * pools * filters,
    )
    tiles = case.batch / quartered_tile(case.batch, wide, channels)
    run = wide.width.output if turned else wide.width.kernel * channels
    gathers = work.figures.gather_seconds(_FLOAT * rows * depth, run) + work.calls(4 * tiles)
    seconds = gathers + work.product(rows, depth, cells)
    # maxima: of halves, then of halves of those
    halves = _FLOAT * rows * cells
    seconds += work.figures.pass_seconds(halves / 2) + work.figures.pass_seconds(halves / 4)
    if not case.training:
        return seconds
    seconds += _map(case.batch, case.window, channels, work)
    seconds += 3 * work.figures.pass_seconds(halves)  # masks, and gradients spread by them
    if case.wants_dx:
        seconds += _input_gradient(case, tuning, work) + work.figures.pass_seconds(halves)
    if case.wants_dw:
        again = gathers if tiles > 1 else 0.0
        seconds += again + work.summed(rows, depth, cells)
    return seconds


def _halving(case: Case, work: _Work) -> float:
    """Return the seconds of a 2x2 maximum after a kernel: rows in long runs, then pixels apart from each other."""
    full = _FLOAT * case.batch * math.prod(case.window.output) * case.filters
    seconds = work.figures.pass_seconds(full / 2) + work.figures.gather_seconds(full / 2, case.filters)
    if case.training:
        seconds = (
            3 * seconds + work.figures.pass_seconds(full) + work.figures.gather_seconds(full, case.filters)
        )
    return seconds


_KERNELS: Mapping[str, Callable[[Case, Tuning, _Work], float]] = {
    "winograd": _winograd,
    "columns": _columns,
    "quartered": _quartered,
}
