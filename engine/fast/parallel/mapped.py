"""Memory that processes share: arrays in a mapped file, and a meeting in them.

A file rather than /dev/shm, which is small in a container. It has no name and is gone with its last user.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from engine.arrays import Array, Shape, elements
from engine.fast.parallel.share import Reducer, ShareLost, alone, total

_LINE = 64  # bytes of a cache line: what two processes write lies on lines of its own
_SPINS = 2_000
_PAUSE_SECONDS = 1e-4
_BLOCK = 1 << 20


class Layout:
    """Where each array of a mapped file begins; equal layouts come from equal calls."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[int, Shape, np.dtype[Any]]] = {}
        self.bytes = 0

    def add(self, name: str, shape: Shape, dtype: DTypeLike = np.float32) -> None:
        """Make room for an array."""
        kind = np.dtype(dtype)
        self._places[name] = self.bytes, shape, kind
        self.bytes += -(-elements(shape) * kind.itemsize // _LINE) * _LINE

    def arrays(self, memory: mmap.mmap) -> dict[str, Array]:
        """Return the arrays of a mapped file, by name."""
        return {
            name: np.frombuffer(memory, kind, elements(shape), begin).reshape(shape)
            for name, (begin, shape, kind) in self._places.items()
        }


def create(size: int, directory: Path | None = None) -> int:
    """Return the descriptor of a new file of zeros, to be mapped and closed by the caller.

    Its blocks are written now: a disk that is full is an OSError here instead of a fault in the middle of a sum.
    """
    with tempfile.TemporaryFile(dir=directory) as file:
        for begin in range(0, size, _BLOCK):
            file.write(bytes(min(_BLOCK, size - begin)))
        file.flush()
        return os.dup(file.fileno())


class Fence:
    """What was written before it is seen before what is written after it, on processors that reorder that, too.

    The same goes for reads. Letting go of a lock keeps what was earlier before it, taking it what is later behind.
    """

    def __init__(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        self._leave, self._enter = lock.release, lock.acquire

    def __call__(self) -> None:
        """Pass it."""
        self._leave()
        self._enter()


class Counters:
    """How far each of some processes has come."""

    def __init__(self, arrays: Mapping[str, Array], share: int, lost: Callable[[], bool]) -> None:
        """Count as `share`; `lost` tells whether there is nobody to wait for any more."""
        self._counters: Any = arrays["counters"].reshape(-1).data
        self._own = share * (_LINE // 8)
        self._lost = lost
        self._fence = Fence()

    @staticmethod
    def lay_out(layout: Layout, shares: int) -> None:
        """Make room."""
        layout.add("counters", (shares, _LINE // 8), np.int64)

    def reach(self, count: int) -> None:
        """Say that all has been written up to here; counts rise."""
        self._fence()
        self._counters[self._own] = count

    def wait(self, share: int, count: int) -> None:
        """Wait until another has come as far.

        Raises:
            ShareLost: it never will.
        """
        place = share * (_LINE // 8)
        spins = 0
        while self._counters[place] < count:
            spins += 1
            if spins < _SPINS:
                # a hand-off by the system costs more than the wait, which is short: the shares are equal
                os.sched_yield()
                continue
            if self._lost():
                raise ShareLost("there is nobody to wait for any more")
            time.sleep(_PAUSE_SECONDS)
        self._fence()


class Meeting:
    """Where processes add up small arrays: all see the same sum, taken in the order of the shares.

    Each writes its part, then counts up; it has the sum once all have counted as far. There are two sets of
    places, so that nobody overwrites what a slower share still reads.
    """

    def __init__(self, arrays: Mapping[str, Array], share: int, lost: Callable[[], bool]) -> None:
        """Take part as `share`; `lost` tells whether one of the other processes is gone."""
        self._share = share
        self._boxes: Any = arrays["boxes"]  # (2, shares, bytes)
        self._abandoned: Any = arrays["abandoned"].data
        self._command = 0
        self._counters = Counters(arrays, share, lambda: self._abandoned[0] == self._command or lost())

    @staticmethod
    def lay_out(layout: Layout, shares: int, most: int) -> None:
        """Make room for sums of up to `most` bytes."""
        layout.add("boxes", (2, shares, -(-most // _LINE) * _LINE), np.uint8)
        Counters.lay_out(layout, shares)
        layout.add("abandoned", (1,), np.int64)

    def reducer(self, command: int, shares: int) -> Reducer:
        """Return what this share calls with its part of a sum, in the batch number `command`, from 1."""
        if shares == 1:
            return alone
        self._command = command
        count = command << 24

        def reduce(array: Array) -> Array:
            nonlocal count
            count += 1
            boxes = self._boxes[count & 1]
            boxes[self._share, : array.nbytes] = array.reshape(-1).view(np.uint8)
            self._counters.reach(count)
            for other in range(shares):
                self._counters.wait(other, count)
            parts = [
                boxes[share, : array.nbytes].view(array.dtype).reshape(array.shape) for share in range(shares)
            ]
            return total(parts)

        return reduce

    def abandon(self, command: int) -> None:
        """Wake everybody who waits in this batch: its sums will never be complete."""
        self._abandoned[0] = command
