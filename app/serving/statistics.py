"""How many requests a model has answered since this process started, and how long they took."""

from __future__ import annotations

import time
from dataclasses import dataclass

_MOST_MODELS = 1000
"""Of how many models is counted; the one that was asked first goes first."""


@dataclass(slots=True)
class Counts:
    """Of one model.

    Attributes:
        requests: answered.
        pictures: in those.
        seconds: from when a request was read until its answer was written, of all of them.
        failures: requests that ended with an error.
        failed_seconds: of those.
        last: when the last one was answered, in seconds since 1970; 0 for never.
    """

    requests: int = 0
    pictures: int = 0
    seconds: float = 0.0
    failures: int = 0
    failed_seconds: float = 0.0
    last: float = 0.0


class Statistics:
    """Counts by model. Lives on the event loop."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}

    def of(self, identifier: str) -> Counts:
        """Return the counts of a model, all 0 for one that nobody has asked."""
        return self._counts.get(identifier, Counts())

    def answered(self, identifier: str, pictures: int, seconds: float) -> None:
        """Count a request that was answered."""
        counts = self._counts_for(identifier)
        counts.requests += 1
        counts.pictures += pictures
        counts.seconds += seconds
        counts.last = time.time()

    def failed(self, identifier: str, seconds: float) -> None:
        """Count a request that ended with an error."""
        counts = self._counts_for(identifier)
        counts.failures += 1
        counts.failed_seconds += seconds

    def _counts_for(self, identifier: str) -> Counts:
        counts = self._counts.get(identifier)
        if counts is None:
            if len(self._counts) >= _MOST_MODELS:
                del self._counts[next(iter(self._counts))]
            counts = self._counts[identifier] = Counts()
        return counts
