"""The plans of models: a few of each compute at once, and all of them together hold a bounded amount of memory.

A plan serves one batch of one size at a time. A request takes an idle one of its size, has one compiled where there is
room, or waits until another request is done: more plans at work than there are processors would answer no sooner.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

PLAN_BYTES = 1 << 30
"""What the plans of a process may hold together."""


class PlanMemory:
    """What the plans of several models may hold together; one may always be busy, however large it is."""

    def __init__(self, most_bytes: int) -> None:
        """Begin with none."""
        self.most_bytes = most_bytes
        self.lock = threading.Lock()
        """Guards this and all members."""
        self.changed = threading.Condition(self.lock)
        self.members: weakref.WeakSet[Plans[Any]] = weakref.WeakSet()
        self.waiting = 0
        self.uses = itertools.count()


class Held(Protocol):
    """What plans are to those who look after them."""

    @property
    def batch(self) -> int:
        """How many pictures it takes."""
        ...

    @property
    def bytes(self) -> int:
        """What it holds, without the weights."""
        ...


P = TypeVar("P", bound=Held)


class Plans(Generic[P]):
    """Idle and busy plans of a model, by how many pictures they take."""

    def __init__(
        self, build: Callable[[int], P], estimate: Callable[[int], int], most: int, memory: PlanMemory
    ) -> None:
        """Begin with none.

        Args:
            build: returns a plan for so many pictures, which holds its weights.
            estimate: returns how many bytes such a plan will hold.
            most: how many may be busy at once.
            memory: bounds what these and the plans of other models hold.
        """
        self._build, self._estimate = build, estimate
        self._most, self._memory = most, memory
        self._idle: dict[int, list[P]] = {}
        self._bytes: dict[int, int] = {}
        self._used: dict[int, int] = {}
        """When plans of a size were used last, in uses of all plans."""
        self.held = 0
        """Bytes of all plans that there are, idle and busy."""
        self._busy: list[int] = []
        with memory.lock:
            memory.members.add(self)

    def is_idle(self, size: int) -> bool:
        """Whether `take` would return a plan for so many pictures at once, without compiling one."""
        return bool(self._idle.get(size)) and len(self._busy) < self._most

    def have_room(self, size: int, plans: int) -> bool:
        """Whether so many plans for so many pictures may be busy at once, with no other one."""
        with self._memory.lock:
            return plans * self._estimated(size) <= self._memory.most_bytes

    def take(self, size: int) -> P:
        """Return a plan for so many pictures that nobody else uses until it is given back; wait for one if need be."""
        with self._memory.lock:
            plan = self._admitted(size)
        return self._built(size) if plan is None else plan

    def take_alone(self, size: int) -> P | None:
        """Return a plan for so many pictures as `take` does; None where any of these or of other models is busy."""
        with self._memory.lock:
            if any(plans._busy for plans in self._memory.members):
                return None
            plan = self._admitted(size)  # without a wait: one always has room
        return self._built(size) if plan is None else plan

    def _built(self, size: int) -> P:
        try:
            plan = self._build(size)
        except BaseException:
            self._leave(size, [])
            raise
        with self._memory.lock:
            self._bytes[size] = plan.bytes
            self.held += plan.bytes
        return plan

    def give(self, plan: P) -> None:
        """Take a plan back."""
        self._leave(plan.batch, [plan])

    def drop(self, plan: P) -> None:
        """Take note that a plan is not used any more."""
        with self._memory.lock:
            self.held -= plan.bytes
        self._leave(plan.batch, [])

    def _admitted(self, size: int) -> P | None:
        """Return an idle plan, or None when another one may be compiled."""
        while True:
            if len(self._busy) < self._most:
                idle = self._idle.get(size)
                if idle or self._makes_room(size):
                    self._busy.append(size)
                    return idle.pop() if idle else None
            self._memory.waiting += 1
            try:
                self._memory.changed.wait()
            finally:
                self._memory.waiting -= 1

    def _leave(self, size: int, left: list[P]) -> None:
        with self._memory.lock:
            self._busy.remove(size)
            self._idle.setdefault(size, []).extend(left)
            self._used[size] = next(self._memory.uses)
            if self._memory.waiting:
                self._memory.changed.notify_all()

    def _makes_room(self, size: int) -> bool:
        """Whether another plan may be compiled; idle ones go first, those used longest ago before others."""
        needed = self._estimated(size)
        members = list(self._memory.members)
        busy = [plans._bytes[number] for plans in members for number in plans._busy]
        left = self._memory.most_bytes - needed - sum(busy)
        if left < 0 and busy:
            return False
        idle = [(plans, other) for plans in members for other, held in plans._idle.items() for _ in held]
        held = sum(plans._bytes[other] for plans, other in idle)
        for plans, other in sorted(idle, key=lambda entry: entry[0]._used[entry[1]]):
            if held <= left:
                break
            dropped = plans._idle[other].pop()
            plans.held -= dropped.bytes
            held -= plans._bytes[other]
        return True

    def _estimated(self, size: int) -> int:
        """Return what a plan for so many pictures holds, if there was one, or will hold."""
        if size not in self._bytes:
            self._bytes[size] = self._estimate(size)
        return self._bytes[size]
