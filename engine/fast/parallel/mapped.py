"""Memory that processes share: arrays in a mapped file, and a meeting in them.

The file has no name and is gone with its last user. Where the system has files that are nothing but memory
(`os.memfd_create`), it is one of those: what lies on a disk is written back to it all the time, and /dev/shm is small
in a container.
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

from engine.arrays import Array, Bytes, Shape, elements
from engine.fast.parallel.parts import ShareLost
from engine.fast.parallel.share import Outer, Reducer, composed

_LINE = 64  # bytes of a cache line: what two processes write lies on lines of its own
_SPINS = 2_000
_PAUSE_SECONDS = 1e-4
_BLOCK = 1 << 20
_BOX = 1 << 15
"""Bytes that a share hands over at once: those of two thousand channels of batch norm."""
_COUNTS, _BEHIND = 256, 128


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

    Its blocks are there when it returns: that there is no room is an OSError here, and no fault in the middle of a sum.
    `directory` is where it lies on a system that has no files in memory.
    """
    if hasattr(os, "memfd_create"):
        file: int = os.memfd_create("convserve")
        try:
            os.posix_fallocate(file, 0, size)
        except BaseException:
            os.close(file)
            raise
        return file
    return _on_disk(size, directory)


def _on_disk(size: int, directory: Path | None) -> int:
    with tempfile.TemporaryFile(dir=directory) as file:
        for begin in range(0, size, _BLOCK):
            file.write(bytes(min(_BLOCK, size - begin)))
        file.flush()
        return os.dup(file.fileno())


class Fence:
    """What was written before it is seen before what is written after it, on processors that reorder that, too.

    The same goes for reads. Letting go of a lock keeps what was earlier before it, taking it keeps what is later behind
    it; one after the other, nothing passes. Tests of x86 cannot show that: there only a write may wait for a read.
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
    """How far each of some processes has come, modulo 256, in a byte each.

    CPython does not promise that a number of several bytes is written at once; a byte cannot be written in parts.
    Nobody is ever more than 127 ahead of one who waits for him, for they meet at every count.
    """

    def __init__(self, arrays: Mapping[str, Array], share: int, lost: Callable[[], bool]) -> None:
        """Count as `share`; `lost` says whether there is nobody to wait for any more."""
        self._counters: Any = arrays["counters"].reshape(-1).data
        self._own = share * _LINE
        self._lost = lost
        self._fence = Fence()

    @staticmethod
    def lay_out(layout: Layout, shares: int) -> None:
        """Make room."""
        layout.add("counters", (shares, _LINE), np.uint8)

    def restart(self) -> None:
        """Let all begin at 0 again, while none of them counts or waits."""
        self._counters[:] = bytes(len(self._counters))

    def reach(self, count: int) -> None:
        """Say that all has been written up to here; counts rise one by one."""
        self._fence()
        self._counters[self._own] = count % _COUNTS

    def wait(self, share: int, count: int) -> None:
        """Wait until another has come as far.

        Raises:
            ShareLost: it never will.
        """
        counters, place = self._counters, share * _LINE
        spins = 0
        while (counters[place] - count) % _COUNTS >= _BEHIND:
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
    """Where processes add up arrays of any size: all see the same sum, taken in the order of the shares.

    Each writes a piece of its part, then counts up; it has the sum of the piece once all have counted as far. There are
    two sets of boxes, so that nobody overwrites what a slower share still reads.
    """

    def __init__(self, arrays: Mapping[str, Array], share: int, lost: Callable[[], bool]) -> None:
        """Take part as `share`; `lost` says whether one of the other processes is gone."""
        self._share = share
        self._boxes: Any = arrays["boxes"]  # (2, shares, bytes)
        self._abandoned: Any = arrays["abandoned"].data
        self._counters = Counters(arrays, share, lambda: bool(self._abandoned[0]) or lost())

    @staticmethod
    def lay_out(layout: Layout, shares: int) -> None:
        """Make room."""
        layout.add("boxes", (2, shares, _BOX), np.uint8)
        Counters.lay_out(layout, shares)
        layout.add("abandoned", (1,), np.uint8)

    def begin(self) -> None:
        """Get ready for a batch, before any share of it begins."""
        self._counters.restart()
        self._abandoned[0] = 0

    def reducer(self, shares: int, outer: Outer | None = None) -> Reducer:
        """Return what this share calls with its part of a sum over so many shares, and over those elsewhere.

        Args:
            shares: that the batch has here.
            outer: adds up over those elsewhere too, if there are any; the first share calls it for all.
        """
        count = 0

        def swap(piece: Bytes) -> Bytes:
            """Return the pieces of all shares (shares, n); they stay until the call after the next."""
            nonlocal count
            count += 1
            boxes: Bytes = self._boxes[count % 2, :shares, : len(piece)]
            boxes[self._share] = piece
            self._counters.reach(count)
            for other in range(shares):
                self._counters.wait(other, count)
            return boxes

        def exchange(array: Array) -> list[Array]:
            own = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            pieces = (own[begin : begin + _BOX] for begin in range(0, len(own), _BOX))
            parts = (
                swap(own)
                if len(own) <= _BOX
                else np.concatenate([swap(piece).copy() for piece in pieces], axis=1)
            )
            return list(parts.view(array.dtype).reshape(shares, *array.shape))

        return composed(exchange, self._share, shares, outer)

    def abandon(self) -> None:
        """Wake everybody who waits in this batch: its sums will never be complete."""
        self._abandoned[0] = 1
