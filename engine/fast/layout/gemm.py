"""How tall matrix products are cut.

OpenBLAS's AVX-512 kernels multiply small matrices without first copying them into packed form, and
take that path while m * n * k does not exceed an edge of one million. A convolution's matrix is tall,
(many pixels, K) @ (K, N): cut into a batch of equal pieces under the edge, one batched `matmul` runs
1.3 to 2 times as fast as a single product. Its AVX2 kernels have no such path; whether others have
(Accelerate, those of ARM) is measured: `Tuning.measure`, or `Tuning.of` with all that was measured of a machine.
"""

from __future__ import annotations

import math
import statistics
import time

import numpy as np
from pydantic import BaseModel, ConfigDict

from engine.arrays import Array
from engine.environment import products_use_avx512, uses_avx512
from engine.machine.machine import Figures, Machine

OPENBLAS_EDGE = 1_000_000
_MOST_SUMMED = 1 << 22  # numbers in the partial results of one product; more do not fit any cache
_ROWS, _INNER, _COLUMNS = 4096, 144, 16
_ROUNDS = 15
_CLEARLY = 0.8
"""Of the time, or the speed, of what is usual: what is measured beyond that is no chance."""
_LEAST_ROWS = 16
"""Thinner pieces read the right matrix too often for their few rows: no quicker than the product in one."""
_LEAST_SUMMED_ROWS = 32
"""Thinner pieces write more than they read: half as quick as the product in one."""


class Tuning(BaseModel):
    """What was measured of this machine; part of a plan, and pinned by a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gemm_edge: int = 0
    """Largest m * n * k of a piece; 0 leaves products whole."""
    tile_bytes: int = 1 << 19
    """Working set of one tile of a convolution."""
    figures: Figures | None = None
    """What times are predicted by; without them kernels are chosen by their rules alone."""

    @classmethod
    def of(cls, machine: Machine) -> Tuning:
        """Return what follows from all that was measured of a machine.

        Whether products are cut is known of OpenBLAS's kernels, and stays so unless what was measured says clearly
        otherwise: two servers on one machine are not to differ by chance.
        """
        gains = [each.cut / each.whole for each in machine.figures.products if each.cut is not None]
        gain = statistics.median(gains) if gains else 1.0
        known = uses_avx512(machine.kernels) if machine.kernels else None
        cuts = gain > (_CLEARLY if known else 1 / _CLEARLY)
        return cls(gemm_edge=OPENBLAS_EDGE if cuts else 0, figures=machine.figures)

    @classmethod
    def measure(cls) -> Tuning:
        """Time one tall product whole and cut, a few times each, and keep the quicker way.

        Where it is known which way is the quicker one, nothing is measured: noise could only be mistaken for the
        other, and two runs that should be equal would differ.
        """
        known = products_use_avx512()
        if known is not None:
            return cls(gemm_edge=OPENBLAS_EDGE if known else 0)
        a = np.ones((_ROWS, _INNER), np.float32)
        b = np.ones((_INNER, _COLUMNS), np.float32)
        out = np.empty((_ROWS, _COLUMNS), np.float32)
        parts = pieces(_ROWS, _INNER * _COLUMNS, OPENBLAS_EDGE)
        cut_a, cut_out = a.reshape(parts, -1, _INNER), out.reshape(parts, -1, _COLUMNS)
        whole, cut = [], []
        for _ in range(_ROUNDS):  # alternating, so that a busy machine slows both
            whole.append(_seconds(a, b, out))
            cut.append(_seconds(cut_a, b, cut_out))
        return cls(gemm_edge=OPENBLAS_EDGE if min(cut) < 0.9 * min(whole) else 0)


def pieces(rows: int, each: int, edge: int, copies: int = 0) -> int:
    """Return into how many equal pieces `rows` rows, `each` multiplications a row, are cut; 1 where none fit.

    Args:
        rows: height of the left matrix.
        each: multiplications a row.
        edge: the most of one piece; 0 leaves it whole.
        copies: how many results of `each` numbers a piece has that are summed over the pieces afterwards, 0 for
            none. With many channels they would take more memory than all the rest, and more time than is won.
    """
    least = _LEAST_SUMMED_ROWS if copies else _LEAST_ROWS
    if edge == 0 or edge < least * each:
        return 1
    count = max(1, math.ceil(rows * each / edge))
    while rows % count:
        count += 1
    if rows // count < least or count * each * copies > _MOST_SUMMED:
        return 1
    return count


def ragged_pieces(rows: int, each: int, edge: int) -> int:
    """Return as `pieces` into how many pieces rows are cut where there is room for a last one that is not full."""
    if edge == 0 or edge < _LEAST_ROWS * each:
        return 1
    return max(1, min(math.ceil(rows * each / edge), rows // _LEAST_ROWS))


def _seconds(a: Array, b: Array, out: Array) -> float:
    # the time of this thread: what else the machine does has no say in it
    start = time.thread_time()
    np.matmul(a, b, out=out)
    return time.thread_time() - start


def largest_divisor(number: int, most: float) -> int:
    """Return the largest divisor of `number` that is at most `most`, at least 1."""
    return next(size for size in range(max(1, min(number, int(most))), 0, -1) if number % size == 0)


def viewed(array: Array, shape: tuple[int, ...]) -> Array:
    """Return the same memory in another shape, or raise ValueError where `reshape` would copy."""
    view = array.reshape(shape)
    if not np.may_share_memory(view, array):
        raise ValueError(f"memory of {array.shape} at {array.strides} cannot be seen as {shape}")
    return view


def row_of(values: Array, width: int) -> Array:
    """Repeat a vector (C,) into a row (width * C,): adding rows is quicker than broadcasting channels."""
    repeated: Array = np.tile(values, width)
    return repeated
