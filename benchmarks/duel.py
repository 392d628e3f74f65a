"""Times several sides against each other, fairly.

Each side lives in a process of its own, because two thread pools in one process steal each other's
cores. The sides take turns in short chunks, so that a slow minute of the machine hits them all, and
ratios are taken within a round. Medians of chunks, with quartiles.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_WARM_UP = 4
_MOST_CALLS = 400
_GAP = 0.04


class Side(NamedTuple):
    """A function `module.function(**arguments)` that returns what is to be timed, and its BLAS threads."""

    module: str
    function: str
    arguments: dict[str, Any]
    threads: int


class Case(NamedTuple):
    """What is compared under a name, when it is measured in so many rounds."""

    name: str
    measure: Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Timing:
    """Seconds of one call: the median of each round."""

    rounds: list[float]

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def fast(self) -> float:
        """The fast quartile, for sides that are bimodal."""
        return sorted(self.rounds)[len(self.rounds) // 4]


class Ratio(NamedTuple):
    """Of one side's time to another's, within rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def run(sides: Mapping[str, Side], rounds: int = 11, chunk: float = 0.25) -> dict[str, Timing]:
    """Time all sides in alternation; one that cannot start is reported and left out."""
    context = multiprocessing.get_context("spawn")
    open_sides: dict[str, tuple[Any, Connection, int]] = {}
    for name, side in sides.items():
        os.environ.update(dict.fromkeys(_THREADS, str(side.threads)))
        here, there = context.Pipe()
        # not a daemon: those may have no processes of their own, and both sides do
        process = context.Process(target=_serve, args=(there, side))
        process.start()
        there.close()
        answer = here.recv()
        if isinstance(answer, str):
            print(f"{name} cannot be timed:\n{answer}", flush=True)
            continue
        open_sides[name] = process, here, max(1, min(_MOST_CALLS, int(chunk / answer)))
        time.sleep(_GAP)
    timings: dict[str, list[float]] = {name: [] for name in open_sides}
    for _ in range(rounds):
        for name, (_, here, calls) in open_sides.items():
            here.send(calls)
            timings[name].append(statistics.median(here.recv()))
            time.sleep(_GAP)
    for process, here, _ in open_sides.values():
        here.send(None)
        process.join(5)
        if process.is_alive():
            process.terminate()
    return {name: Timing(seconds) for name, seconds in timings.items()}


def value(side: Side) -> Any:
    """Return what the function of a side, called once in a process of its own, gives."""
    context = multiprocessing.get_context("spawn")
    os.environ.update(dict.fromkeys(_THREADS, str(side.threads)))
    here, there = context.Pipe()
    process = context.Process(target=_tell, args=(there, side))
    process.start()
    found = here.recv()
    process.join()
    if isinstance(found, str):
        raise RuntimeError(found)
    return found


def _tell(pipe: Connection, side: Side) -> None:
    try:
        pipe.send(getattr(importlib.import_module(side.module), side.function)(**side.arguments)())
    except Exception:
        pipe.send(traceback.format_exc())


def ratio(ours: Timing, theirs: Timing) -> Ratio:
    """Return our time as a share of theirs."""
    ratios = [one / other for one, other in zip(ours.rounds, theirs.rounds, strict=True)]
    low, median, high = statistics.quantiles(ratios, n=4)
    return Ratio(median, low, high)


def judge(name: str, timings: dict[str, Timing], *, quiet: bool = False) -> dict[str, Any]:
    """Compare our time with the best of the others, and print the line."""
    theirs = min((side for side in timings if side != "ours"), key=lambda side: timings[side].median)
    found = ratio(timings["ours"], timings[theirs])
    result: dict[str, Any] = {
        "case": name,
        "ratio": {key: round(part, 3) for key, part in found._asdict().items()},
        "against": theirs,
        "against_fast_quartile": round(timings["ours"].median / timings[theirs].fast, 3),
        "milliseconds": {side: round(1e3 * timing.median, 3) for side, timing in timings.items()},
    }
    if not quiet:
        print(line_of(result), flush=True)
    return result


def line_of(found: dict[str, Any]) -> str:
    """Return what is printed of a case."""
    middle, low, high = (found["ratio"][key] for key in ("median", "low", "high"))
    fast, theirs = found["against_fast_quartile"], found["against"]
    return f"{found['case']} ratio {middle:.2f} ({low:.2f}-{high:.2f}) vs {theirs}, {fast:.2f} vs its fast quartile"


def _serve(pipe: Connection, side: Side) -> None:
    try:
        work = getattr(importlib.import_module(side.module), side.function)(**side.arguments)
        for _ in range(_WARM_UP):
            work()
        pipe.send(_timed(work))
    except Exception:
        pipe.send(traceback.format_exc())
        return
    with contextlib.suppress(EOFError):
        while (calls := pipe.recv()) is not None:
            work()
            pipe.send([_timed(work) for _ in range(calls)])


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
