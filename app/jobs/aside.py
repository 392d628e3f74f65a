"""What the runner does with files beside starting jobs: where it cannot be done now, no job waits for that."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.files.faults import ObjectStoreFault
from app.log import Log
from app.metrics.faults import count_fault, report
from app.metrics.metrics import Metrics

log = Log(__name__)

_AWAY_SECONDS = 10.0
"""For how long nothing is tried when an object store was away: each try may wait for it for a while."""


class Aside:
    """Steps that may fail for want of storage, each logged when it begins to fail and not again."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._stuck: set[tuple[str, str]] = set()
        self._away_until = float("-inf")

    def done(self, event: str, about: str, step: Callable[[], bool | None]) -> bool:
        """Try a step, and tell whether it is done; where it is not, it is tried again at the next look.

        Args:
            event: what the log calls it when it fails.
            about: the job, or whatever else tells it from others of the event.
            step: what is to be done; False of it says that it is not, without a fault of ours.
        """
        if time.monotonic() < self._away_until:
            return False
        key = event, about
        try:
            done = step() is not False
        except OSError as error:
            if key in self._stuck:
                count_fault(self._metrics, error)
            else:
                report(self._metrics, log, event, error)
            self._stuck.add(key)
            if isinstance(error, ObjectStoreFault):
                self._away_until = time.monotonic() + _AWAY_SECONDS
            return False
        self._stuck.discard(key)
        return done
