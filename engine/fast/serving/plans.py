"""The plans of one model: a few compute at once, and all of them together hold a bounded amount of memory.

A plan serves one batch of one size at a time. A request takes an idle one of its size, has one compiled where there is
room, or waits until another request is done: more plans at work than there are processors would answer no sooner.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

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
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0

    def is_idle(self, size: int) -> bool:
        """Whether `take` would return a plan for so many pictures at once, without compiling one."""
        return bool(self._idle.get(size)) and len(self._busy) < self._most

    def take(self, size: int) -> Plan:
        """Return a plan for so many pictures that nobody else uses until it is given back; wait for one if need be."""
        with self._lock:
            plan = self._admitted(size)
        if plan is not None:
            return plan
        try:
            plan = self._build(size)
        except BaseException:
            self._leave(size, [])
            raise
        self._bytes[size] = plan.bytes
        return plan

    def give(self, plan: Plan) -> None:
        """Take a plan back."""
        self._leave(plan.batch, [plan])

    def _admitted(self, size: int) -> Plan | None:
        """Return an idle plan, or None when another one may be compiled."""
        while True:
            if len(self._busy) < self._most:
                idle = self._idle.get(size)
                if idle or self._makes_room(size):
                    self._busy.append(size)
                    return idle.pop() if idle else None
            self._waiting += 1
            try:
                self._changed.wait()
            finally:
                self._waiting -= 1

    def _leave(self, size: int, left: list[Plan]) -> None:
        with self._lock:
            self._busy.remove(size)
            self._idle.setdefault(size, []).extend(left)
            if self._waiting:
                self._changed.notify_all()

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
