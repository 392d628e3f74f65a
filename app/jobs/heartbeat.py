"""How a worker shows that it is alive and learns that it should stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Literal

from app.errors import StaleAttempt, StorageFault

if TYPE_CHECKING:
    from app.store import Store

INTERVAL = 0.5
"""Seconds between two writes; a call before that only looks at the flag of SIGTERM."""
PATIENCE = 10.0
"""For how many seconds work goes on of which no sign of life can be written."""


class Interrupted(Exception):
    """The work should stop here; whoever can, saves what it has and lets this pass on."""


class Cancelled(Interrupted):
    """A client does not want the result any more."""


class Drained(Interrupted):
    """The service is stopping; the job goes back to the queue and goes on later."""


class Heartbeat:
    """What work calls between any two steps: `beat({"fraction": 0.5})`."""

    def __init__(self, store: Store, job_id: str, attempt: int) -> None:
        self._store = store
        self._job_id = job_id
        self._attempt = attempt
        self._last = float("-inf")
        self._failing_since: float | None = None
        self._drain = threading.Event()
        self._shown: Mapping[str, Any] | None = None

    def drain(self) -> None:
        """Make the next call raise `Drained`; safe in a signal handler."""
        self._drain.set()

    def __call__(self, progress: Mapping[str, Any], *, force: bool = False) -> None:
        """Show life and progress.

        Args:
            progress: what the job's `progress` becomes, JSON ready.
            force: write now, for progress that should be seen even if nothing follows.

        Raises:
            Cancelled: a client asked for the end.
            Drained: the service is stopping.
            StaleAttempt: this attempt is over; stop without writing anything.
            StorageFault: nothing can be written, and that for a while; what it was to save may be lost soon.
        """
        if force or self._drain.is_set() or time.monotonic() - self._last >= INTERVAL:
            answer = self._beat(progress)
            if answer == "stale":
                raise StaleAttempt(self._job_id, self._attempt)
            if answer == "cancel":
                raise Cancelled
        if self._drain.is_set():
            raise Drained

    def _beat(self, progress: Mapping[str, Any]) -> Literal["go", "cancel", "stale"]:
        """Write it; one that cannot be written is one that is missed, unless that goes on."""
        self._shown = progress
        try:
            answer = self._store.jobs.beat(self._job_id, self._attempt, dict(progress))
            self._failing_since = None
            return answer
        except StorageFault:
            now = time.monotonic()
            self._failing_since = self._failing_since or now
            if now - self._failing_since >= PATIENCE:
                raise
            return "go"
        finally:
            self._last = time.monotonic()

    def unchanged(self) -> AbstractContextManager[None]:
        """Beat with the progress that was shown last, while one long call runs; see `kept_up`."""
        return nullcontext() if self._shown is None else self.kept_up(self._shown)

    @contextmanager
    def kept_up(self, progress: Mapping[str, Any]) -> Iterator[None]:
        """Beat from a thread while one long call runs that cannot be interrupted.

        It hides a hang of that call, so it is for work whose length is known to be bounded.

        Raises:
            StaleAttempt: the attempt has been over since before the call ended; nothing that it made is wanted.
        """
        over, stale = threading.Event(), threading.Event()

        def beat() -> None:
            while not (stale.is_set() or over.wait(INTERVAL)):
                # A beat that cannot be written is one that is missed; the next may get through.
                with suppress(Exception):
                    if self._store.jobs.beat(self._job_id, self._attempt, dict(progress)) == "stale":
                        stale.set()

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        if stale.is_set():
            raise StaleAttempt(self._job_id, self._attempt)
