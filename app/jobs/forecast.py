"""When the jobs that wait will start, as far as that can be foreseen.

A job takes as many steps as it still has, each as long as in the last epoch of the newest job like it; jobs are
alike when architecture, data set, batches, augmentations and the number of nodes are the same. What runs takes as long
as it says itself. Where there is nothing to go by, a job counts as one that never ends: what waits for such jobs alone
starts nobody knows when, and what waits for others as well starts no later than foreseen.
"""

from __future__ import annotations

import heapq
import math
from contextlib import suppress
from dataclasses import dataclass

from app.store.records import JobPace, Json, QueueState

_OF_ANOTHER_SHAPE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What it takes to read figures that an earlier version wrote: such a job says nothing about the others."""

_ALIKE = ("architecture", "dataset", "batch_size", "accumulate", "augmentations")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the queue.

    Attributes:
        position: from 1.
        starts_in_seconds: when its turn comes; None when that cannot be foreseen.
    """

    position: int
    starts_in_seconds: float | None


def places(queue: QueueState, slots: int) -> dict[str, Place]:
    """Return the place of each job that waits, by its id, as far as the queue was read.

    Args:
        queue: the jobs of one kind.
        slots: how many jobs run at the same time.
    """
    ends = [_left(job, queue.past) for job in queue.running] + [0.0] * (slots - len(queue.running))
    heapq.heapify(ends)
    # More can run than may, after a restart with fewer slots: the first ones to end make no room.
    for _ in range(len(ends) - slots):
        heapq.heappop(ends)
    found: dict[str, Place] = {}
    for position, job in enumerate(queue.waiting, 1):
        start = heapq.heappop(ends)
        found[job.id] = Place(position, round(start, 1) if math.isfinite(start) else None)
        heapq.heappush(ends, start + _left(job, queue.past))
    return {name: Place(position, None) for name, position in queue.further.items()} | found


def _left(job: JobPace, past: tuple[JobPace, ...]) -> float:
    """Return for how many seconds a job will still run once it runs, infinity when that is unknown."""
    with suppress(*_OF_ANOTHER_SHAPE):
        own = job.progress.get("eta_seconds")
        if own is not None:
            return float(own)
        steps, wanted = job.progress.get("steps"), _kind(job.request)
        for other in past:
            with suppress(*_OF_ANOTHER_SHAPE):
                if other.metrics and other.progress.get("steps") and steps and _kind(other.request) == wanted:
                    per_epoch = other.progress["steps"] / other.request["epochs"]
                    left: float = (steps - job.progress.get("step", 0)) * other.metrics["seconds"] / per_epoch
                    return left
    return math.inf


def _kind(request: Json) -> tuple[object, ...]:
    return (*(request.get(name) for name in _ALIKE), request.get("nodes", 1))
