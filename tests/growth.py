"""How work grows: compared in processor time of one thread, which a busy machine changes little."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any


def seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of this thread for some work, the least of three."""
    found = []
    for _ in range(3):
        # What other tests have left in memory is looked through again and again otherwise.
        gc.collect()
        gc.disable()
        try:
            start = time.thread_time()
            work()
            found.append(time.thread_time() - start)
        finally:
            gc.enable()
    return min(found)


def grows_no_faster_than_its_size(work: Callable[[int], Callable[[], Any]], size: int) -> bool:
    """Compare the work of a size with that of four times the size: sixteen times is what a square would take."""
    small, large = work(size), work(4 * size)
    small()
    return seconds(large) < 9 * seconds(small) + 0.01
