"""Memory that many computations share: each reserves what it needs before it begins."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from app.files.memory import return_freed

SMALL_BYTES = 4 << 20
"""What needs no more is not counted: there are as many of these at a time as threads, and they must not wait."""

_LARGE_BYTES = 32 << 20
"""What held as much may have left a good part of it with its thread; giving that back takes some milliseconds."""


class MemoryBudget:
    """Bytes that computations in several threads hold together."""

    def __init__(self, most: int) -> None:
        """Take the most bytes that they may hold."""
        self._most, self._held = most, 0
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._holders: Counter[int] = Counter()
        """How much each thread holds."""

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Hold so many bytes while entered; wait in turn until there are so many.

        What needs more than there can ever be waits until nothing else is held. A thread that holds some gets more at
        once: two that waited for each other would wait for ever.
        """
        if size <= SMALL_BYTES:
            yield
            return
        turn, thread = object(), threading.get_ident()
        with self._changed:
            if not self._holders[thread]:
                self._waiting.append(turn)
                while self._waiting[0] is not turn or (self._held and self._held + size > self._most):
                    self._changed.wait()
                self._waiting.popleft()
            self._hold(thread, size)
        try:
            yield
        finally:
            if size >= _LARGE_BYTES:
                return_freed()  # before another thread takes as much
            with self._changed:
                self._hold(thread, -size)

    def _hold(self, thread: int, size: int) -> None:
        self._held += size
        self._holders[thread] += size
        if not self._holders[thread]:
            del self._holders[thread]
        self._changed.notify_all()
