"""How work grows: compared in processor time of one thread, which a busy machine changes little."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any


def seconds(work: Callable[[], Any]) -> float:
    """Return the processor time of this thread for some work."""
    # What other tests have left in memory would be looked through again and again.
    gc.disable()
    try:
        start = time.thread_time()
        work()
        return time.thread_time() - start
    finally:
        gc.enable()


def grows_no_faster_than_its_size(work: Callable[[int], Callable[[], Any]], size: int) -> bool:
    """Compare the work of a size with that of four times the size: sixteen times is what a square would take.

    Other programs make work longer, never shorter: of three times the least counts, and the large work is done
    again only while it is over the limit.
    """
    small, large = work(size), work(4 * size)
    small()
    limit = 9 * min(seconds(small) for _ in range(3)) + 0.01
    return any(seconds(large) < limit for _ in range(3))
