"""What serving processes see of one another: signs of life and numbers of connections, in memory that all map."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

from app.processes.anonymous import anonymous_file

BEAT_SECONDS = 1.0
"""How often the event loop of a process gives a sign of life."""
_STALE_NS = 3_000_000_000
"""Whose last sign is older than this takes no connections that others could leave to it."""
_CELLS = 3
"""A process has three numbers: when its last sign of life was, whether it takes connections, and how many it has."""
_BEAT, _TAKES, _CONNECTIONS = range(_CELLS)


class Board:
    """Three numbers for each process. One process writes its own, the others read them; there is nothing to lock.

    Args:
        descriptor: an open file, see `make`.
        places: how many processes there are.
    """

    def __init__(self, descriptor: int, places: int) -> None:
        self.descriptor = descriptor
        self._cells = memoryview(mmap.mmap(descriptor, places * _CELLS * 8)).cast("q")

    @classmethod
    def make(cls, folder: Path, places: int) -> Board:
        """Make one; where the system needs a file for that, it lies in a folder."""
        return cls(anonymous_file(folder, places * _CELLS * 8), places)

    def place(self, number: int) -> Place:
        """Return the place of one process."""
        return Place(self._cells, number)

    def close(self) -> None:
        """Close the file; what is mapped of it stays."""
        os.close(self.descriptor)


class Place:
    """The numbers of one process, and what it reads in those of the others."""

    def __init__(self, cells: memoryview, number: int) -> None:
        self._cells = cells
        self._number = number
        self._first = number * _CELLS

    def clear(self) -> None:
        """Forget who was here: a process that has died, or one that is about to start."""
        for cell in range(_CELLS):
            self._cells[self._first + cell] = 0

    def beat(self) -> None:
        """Give a sign of life. Called by the event loop: another thread would say nothing of it."""
        self._cells[self._first + _BEAT] = time.monotonic_ns()

    @property
    def last_beat(self) -> int:
        """When the last sign of life was, in nanoseconds of a clock that all processes have; 0 before the first."""
        return int(self._cells[self._first + _BEAT])

    def take(self, takes: bool) -> None:
        """Say whether this process takes connections."""
        self._cells[self._first + _TAKES] = takes

    def count(self, more: int) -> None:
        """Add to the number of connections, or take away from it."""
        self._cells[self._first + _CONNECTIONS] += more

    def lead(self) -> int:
        """Return how many more connections this process has than the one with the fewest of those that take any.

        It is less than 0 where this is the one with the fewest, and 0 where there is no other.
        """
        oldest = time.monotonic_ns() - _STALE_NS
        cells = self._cells
        others = [
            cells[first + _CONNECTIONS]
            for first in range(0, len(cells), _CELLS)
            if first != self._first and cells[first + _TAKES] and cells[first + _BEAT] >= oldest
        ]
        return int(cells[self._first + _CONNECTIONS] - min(others)) if others else 0


class Pulse:
    """For how long a process has given no sign of life, as its parent sees it.

    Time counts only while the parent itself looks, and a look for two beats at most: where the whole machine or its
    container stood still, or is so busy that the parent's own looks come late, a child that had no time to beat is not
    one that hangs.
    """

    def __init__(self, now: float) -> None:
        self._looked = now
        self._beat = 0
        self._silent = 0.0

    @property
    def begun(self) -> bool:
        """Whether there ever was a sign of life."""
        return self._beat != 0

    def look(self, beat: int, now: float) -> float:
        """Return the seconds of silence, given the last sign of life and the time of this look."""
        if beat != self._beat:
            self._beat, self._silent = beat, 0.0
        else:
            self._silent += min(now - self._looked, 2 * BEAT_SECONDS)
        self._looked = now
        return self._silent
