"""Measures a machine in about a second: the least of many short passes, by the time of the thread that computes.

What else runs on a machine makes some passes longer and none shorter, and has no part in the time of a thread. So the
least of passes that are spread over the whole second is nearly the same from one measurement to the next.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.environment import blas_kernels, processor_name
from engine.machine.machine import Figures, Gather, Machine, Pass, Product
from engine.workspace import aligned

PIECE = 1_000_000
"""The most multiplications of a piece of a product: OpenBLAS's edge, see `engine.fast.layout.gemm`."""

Work = Callable[[], object]

_INNER = (32, 144, 576)
_COLUMNS = (4, 8, 16, 32, 64, 128)
_MULTIPLICATIONS = 2_400_000
"""Of a tall product: three pieces."""
_MOST_ROWS, _MULTIPLE = 4080, 48
_LEAST_ROWS = 16
"""Of a piece."""
_OTHERS = ((49, 576, 160), (512, 512, 512))
"""A flat product, as of a small map with many filters, and a square one: rows, inner and columns."""
_BYTES = (1 << 14, 1 << 17, 1 << 20, 1 << 22, 1 << 25)
"""Within the first, the second and the third cache of most machines, and beyond."""
_RUNS = (3, 12, 48, 192)
_GATHERED = 1 << 19
_TRANSFORM = (16, 6, 1024)
"""Bands, points and numbers of a row of them."""
_PIECES = 256
_ROUNDS = 12
_LEAST_SECONDS = 50e-6
"""What is over sooner is repeated in a pass: the clock is asked once for so much."""
_MOST_SECONDS = 2e-3
"""What takes longer is done in every third round only."""
_HAND_OFFS = 200
_CALLS = 500


def measure() -> Machine:
    """Measure this machine, on one core at a time but for what all do together; takes about a second."""
    works = dict(_works())
    least = _least(works)

    def rate(key: tuple[object, ...], amount: float) -> float:
        return _rounded(amount / least[key] / 1e9)

    def product(rows: int, inner: int, columns: int) -> Product:
        key, amount = (rows, inner, columns), 2 * rows * inner * columns
        cut = rate(("cut", *key), amount) if ("cut", *key) in least else None
        return Product(rows=rows, inner=inner, columns=columns, whole=rate(("whole", *key), amount), cut=cut)

    bands, points, row = _TRANSFORM
    figures = Figures(
        products=tuple(product(*shape) for shape in _tall()),
        transform=rate(("transform",), 2 * bands * points * points * row),
        passes=tuple(
            Pass(
                bytes=size, copy_rate=rate(("copy", size), size), multiply_rate=rate(("multiply", size), size)
            )
            for size in _BYTES
        ),
        gathers=tuple(Gather(run=run, rate=rate(("gather", run), 4 * run * _gathered(run))) for run in _RUNS),
        call=_rounded(1e6 * least["call",]),
        piece=_rounded(1e6 * least["pieces",] / _PIECES),
    )
    return Machine(
        processor=processor_name(),
        kernels=blas_kernels(),
        numpy=np.__version__,
        cores=_cores(),
        together=_rounded(_together()),
        others=tuple(product(*shape) for shape in _OTHERS),
        hand_off=_rounded(1e6 * _hand_off()),
        figures=figures,
    )


def _tall() -> Iterator[tuple[int, int, int]]:
    for inner in _INNER:
        for columns in _COLUMNS:
            rows = _MULTIPLICATIONS // (inner * columns) // _MULTIPLE * _MULTIPLE
            yield max(_MULTIPLE, min(_MOST_ROWS, rows)), inner, columns


def _works() -> Iterator[tuple[tuple[object, ...], Work]]:
    """Yield all that is measured, by what it is."""
    for rows, inner, columns in [*_tall(), *_OTHERS]:
        a, b, out = _ones(rows, inner), _ones(inner, columns), _ones(rows, columns)
        yield ("whole", rows, inner, columns), partial(np.matmul, a, b, out=out)
        parts = next((n for n in (1, 2, 3, 4) if rows * inner * columns <= n * PIECE), 1)
        if parts > 1 and rows // parts >= _LEAST_ROWS:
            cut_a, cut_out = a.reshape(parts, -1, inner), out.reshape(parts, -1, columns)
            yield ("cut", rows, inner, columns), partial(np.matmul, cut_a, b, out=cut_out)
    bands, points, row = _TRANSFORM
    transform, maps, transformed = (
        _ones(points, points),
        _ones(bands, points, row),
        _ones(bands, points, row),
    )
    yield ("transform",), partial(np.matmul, transform, maps, out=transformed)
    for size in _BYTES:
        x, y = _ones(size // 4), _ones(size // 4)
        yield ("copy", size), partial(np.copyto, y, x)
        yield ("multiply", size), partial(np.multiply, x, y, out=y)
    for run in _RUNS:
        count = _gathered(run) // 32
        # windows overlap: a run begins some numbers after the one before, and is read from the cache
        lines = _ones(32, count + run)
        apart = np.lib.stride_tricks.sliding_window_view(lines, run, axis=1)[:, :count]
        yield ("gather", run), partial(np.copyto, _ones(32, count, run), apart)
    small = _ones(_PIECES, points, 16)
    yield ("pieces",), partial(np.matmul, transform, small, out=_ones(_PIECES, points, 16))
    few = _ones(16)
    yield ("call",), partial(np.multiply, few, few, out=few)


def _gathered(run: int) -> int:
    """Return how many runs of so many numbers are copied."""
    return _GATHERED // (4 * run * 32) * 32


def _least(works: dict[tuple[object, ...], Work]) -> dict[tuple[object, ...], float]:
    """Return the least seconds of each, of passes that take turns with those of all others."""
    repeats = {}
    least: dict[tuple[object, ...], float] = {}
    for key, work in works.items():
        work()  # memory that is touched for the first time
        seconds = _seconds(work, 1)
        repeats[key] = max(1, min(_CALLS, round(_LEAST_SECONDS / max(seconds, 1e-9))))
        least[key] = seconds
    for number in range(_ROUNDS):
        for key, work in works.items():
            if least[key] < _MOST_SECONDS or number % 3 == 0:
                least[key] = min(least[key], _seconds(work, repeats[key]))
    return least


def _seconds(work: Work, repeats: int) -> float:
    work()  # what it reads is in the cache then, whatever was computed before
    # the time of this thread: what else the machine does has no say in it
    start = time.thread_time()
    for _ in range(repeats):
        work()
    return (time.thread_time() - start) / repeats


def _together() -> float:
    """Return the speed of a product on a core while all others compute the same, of that of one alone."""
    cores = _cores()
    if cores == 1:
        return 1.0
    works = []
    for _ in range(cores):
        a, b = _ones(240, 256), _ones(256, 240)
        works.append(partial(np.matmul, a, b, out=_ones(240, 240)))
    repeats = max(1, round(2e-3 / max(_seconds(works[0], 3), 1e-9)))
    alone = min(_seconds(works[0], repeats) for _ in range(_ROUNDS))
    with ThreadPoolExecutor(cores) as pool:
        rounds = [list(pool.map(partial(_seconds, repeats=repeats), works)) for _ in range(_ROUNDS)]
    return min(1.0, alone / min(max(each) for each in rounds))


def _hand_off() -> float:
    """Return how many seconds pass until another thread has answered: the middle one, for it is waited for."""
    taken = []
    with ThreadPoolExecutor(1) as pool:
        for _ in range(_HAND_OFFS):
            start = time.perf_counter()
            pool.submit(int).result()
            taken.append(time.perf_counter() - start)
    return sorted(taken)[_HAND_OFFS // 2]


def _cores() -> int:
    # a process may be held to some of them, which macOS does not know
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _ones(*shape: int) -> Array:
    """Return memory as plans have it: copies to numbers that lie off a cache line can take ten times as long."""
    array: Array = aligned(4 * math.prod(shape)).view(np.float32).reshape(shape)
    array.fill(1)
    return array


def _rounded(value: float) -> float:
    """Keep three digits: the others are chance."""
    return float(f"{value:.3g}")
