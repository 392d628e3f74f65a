"""Numbers that serving processes count, in memory that all of them map: whoever is asked reads those of all.

Each process has a place there and writes in no other. Who is started in place of one that has died goes on with the
numbers that it finds, so that nothing counted is lost, however a process ends.

A place is words of eight bytes: how many of them are used, which process writes there, and then one series after
another: the length of its key in bytes, the number of its values, whether they pass with their process, the key, the
values. A series counts once the number of used words says so, which is written last.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from app.log import Log
from app.processes.anonymous import anonymous_file

log = Log(__name__)

PLACE_BYTES = 1 << 20
"""What one process may count in: some four thousand series. Only what is written to takes memory."""
_WORD = 8
_PLACE = PLACE_BYTES // _WORD
_USED, _WRITER, _FIRST = range(3)
_KEY_BYTES, _VALUES, _PASSING, _KEY = range(4)

Values: TypeAlias = "memoryview[float]"


@dataclass(frozen=True, slots=True)
class Reading:
    """A series of one process, by the number of its place, and its values at this moment."""

    place: int
    key: str
    values: tuple[float, ...]


class Series:
    """The series of one process, and a view of those of the others.

    Args:
        memory: of all of them, one place after another.
        number: which place is this process's own.
    """

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._bytes = memoryview(memory)
        self._words, self._numbers = self._bytes.cast("q"), self._bytes.cast("d")
        self._base = number * _PLACE
        self._lock = threading.Lock()
        self._found: dict[str, Values] = {}
        self._full = False
        self._words[self._base + _WRITER] = os.getpid()
        for key, values, passing in self._entries(self._base):
            self._found[key] = values
            if passing:
                values[:] = memoryview(bytes(values.nbytes)).cast("d")

    @classmethod
    def alone(cls) -> Series:
        """Return those of the only process."""
        return cls(mmap.mmap(-1, PLACE_BYTES), 0)

    @classmethod
    def of(cls, descriptor: int, number: int) -> Series:
        """Return those of one of several processes, given the file of all; see `Places`."""
        return cls(mmap.mmap(descriptor, 0), number)

    def find(self, key: str, count: int, *, passing: bool = False) -> Values:
        """Return the numbers of a series, which change what all read; they are made, zeros, where there are none.

        Args:
            key: of the series.
            count: how many numbers it has, always the same for one key.
            passing: whether they mean nothing once this process has ended.
        """
        with self._lock:
            values = self._found.get(key)
            if values is None:
                values = self._make(key, count, passing=passing)
            if values is not None:
                self._found[key] = values
                return values
        if not self._full:  # not under the lock: warnings are counted, too
            self._full = True
            log.warning("series_not_counted", key=key, reason="there are too many others")
        return memoryview(bytearray(count * _WORD)).cast("d")

    def readings(self) -> Iterator[Reading]:
        """Yield what each process has counted, also those that have died."""
        for number, base in enumerate(range(0, len(self._words), _PLACE)):
            alive = self._words[base + _WRITER] != 0
            for key, values, passing in self._entries(base):
                if alive or not passing:
                    yield Reading(number, key, tuple(values))

    def _make(self, key: str, count: int, *, passing: bool) -> Values | None:
        """Make a series; None where there is no room."""
        encoded = key.encode()
        entry = self._base + _FIRST + self._words[self._base + _USED]
        first = entry + _KEY + -(-len(encoded) // _WORD)
        end = first + count
        if end > self._base + _PLACE:
            return None
        self._words[entry + _KEY_BYTES], self._words[entry + _VALUES] = len(encoded), count
        self._words[entry + _PASSING] = passing
        self._bytes[(entry + _KEY) * _WORD :][: len(encoded)] = encoded
        self._words[self._base + _USED] = end - self._base - _FIRST
        return self._numbers[first:end]

    def _entries(self, base: int) -> Iterator[tuple[str, Values, bool]]:
        at = base + _FIRST
        end = at + self._words[base + _USED]
        while at < end:
            length, count = self._words[at + _KEY_BYTES], self._words[at + _VALUES]
            key = bytes(self._bytes[(at + _KEY) * _WORD :][:length]).decode()
            first = at + _KEY + -(-length // _WORD)
            yield key, self._numbers[first : first + count], bool(self._words[at + _PASSING])
            at = first + count


class Places:
    """The memory of all processes, as their parent has it.

    Attributes:
        descriptor: the open file, for those that are started.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._words = memoryview(mmap.mmap(descriptor, 0)).cast("q")

    @classmethod
    def make(cls, folder: Path, places: int) -> Places:
        """Make places for some processes; where the system needs a file for that, it lies in a folder."""
        return cls(anonymous_file(folder, places * PLACE_BYTES))

    def vacate(self, number: int) -> None:
        """Note that the process of a place is gone: what it counted stays, and what passed with it is not read."""
        self._words[number * _PLACE + _WRITER] = 0

    def close(self) -> None:
        """Close the file; what is mapped of it stays."""
        os.close(self.descriptor)
