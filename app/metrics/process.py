"""What a serving process takes of the machine."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from app.metrics.families import (
    PROCESS_CPU,
    PROCESS_FDS,
    PROCESS_MAX_FDS,
    PROCESS_RESIDENT,
    PROCESS_STARTED,
    PROCESS_THREADS,
)
from app.metrics.metrics import Sample

_STATM = Path("/proc/self/statm")
_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")


def process_samples(number: int, started: float) -> Iterator[Sample]:
    """Yield what this process takes.

    Args:
        number: which of the serving processes it is.
        started: when it was started, in seconds since 1970.
    """
    label = (str(number),)
    yield PROCESS_CPU, label, time.process_time()
    yield PROCESS_THREADS, label, float(threading.active_count())
    yield PROCESS_STARTED, label, started
    yield PROCESS_MAX_FDS, label, float(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if (resident := _resident()) is not None:
        yield PROCESS_RESIDENT, label, resident
    if (descriptors := _descriptors()) is not None:
        yield PROCESS_FDS, label, descriptors


def _resident() -> float | None:
    """Return the memory that this process has; only Linux says it in a file."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except OSError:
        return None
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _descriptors() -> float | None:
    for folder in _DESCRIPTORS:
        try:
            return len(os.listdir(folder)) - 1.0  # noqa: PTH208 - names alone; and less that of the folder
        except OSError:
            continue
    return None
