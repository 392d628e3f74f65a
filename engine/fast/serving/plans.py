"""The plans of one model: a few compute at once, and all of them together hold a bounded amount of memory.

A plan serves one batch of one size at a time. A request takes an idle one of its size, has one compiled where there is
room, or waits until another request is done: more plans at work than there are processors would answer no sooner.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from engine.fast.plan import Plan


class Plans:
    """Idle and busy plans, by how many pictures they take."""

    def __init__(
        self, build: Callable[[int], Plan], estimate: Callable[[int], int], most: int, most_bytes: int
    ) -> None:
        """Begin with none.

        Args:
            build: returns a plan for so many pictures, which holds its weights.
            estimate: returns how many bytes such a plan will hold.
            most: how many may be busy at once.
            most_bytes: how much all of them may hold; one may always be busy.
        """
        self._build, self._estimate = build, estimate
        self._most, self._most_bytes = most, most_bytes
        self._idle: dict[int, list[Plan]] = {}
        self._bytes: dict[int, int] = {}
        self._busy: list[int] = []
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[Plan]:
        """Yield a plan for so many pictures that nobody else uses meanwhile; wait for one if need be."""
        plan = self._admitted(size)
        try:
            if plan is None:
                plan = self._build(size)
            yield plan
        finally:
            with self._changed:
                self._busy.remove(size)
                if plan is not None:
                    self._bytes[size] = plan.bytes
                    self._idle.setdefault(size, []).append(plan)
                self._changed.notify_all()

    def _admitted(self, size: int) -> Plan | None:
        """Return an idle plan, or None when there is room for another one."""
        with self._changed:
            while True:
                if len(self._busy) < self._most:
                    idle = self._idle.get(size)
                    if idle or self._makes_room(size):
                        self._busy.append(size)
                        return idle.pop() if idle else None
                self._changed.wait()

    def _makes_room(self, size: int) -> bool:
        """Whether another plan may be compiled; idle ones of other sizes go first."""
        idle = [other for other, plans in self._idle.items() for _ in plans]
        if not idle and not self._busy:
            return True
        for number in {size, *self._busy} - set(self._bytes):
            self._bytes[number] = self._estimate(number)
        busy = sum(self._bytes[number] for number in self._busy)
        left = self._most_bytes - self._bytes[size] - busy
        if left < 0 and self._busy:
            return False
        held = sum(self._bytes[number] for number in idle)
        for number in sorted(idle, key=self._bytes.__getitem__, reverse=True):
            if held <= left:
                break
            self._idle[number].pop()
            held -= self._bytes[number]
        return True
