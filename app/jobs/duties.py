"""What one of the processes that serve an installation does for all of them: it runs jobs, cleans up, sends webhooks.

Which one is said by a lease in the database. The holder renews it; where it dies or hangs another finds the lease run
out and takes over, and where it stops in order, at once. One that comes back after another took over finds its writes
refused, and stops. Where there is one process the lock of the data directory keeps others away, and nothing is renewed.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass

from app.errors import LeaseLost, Unavailable
from app.files.artifacts import LocalArtifacts
from app.jobs.cleanup import Cleanup
from app.jobs.runner import Runner
from app.jobs.webhooks import WebhookSender
from app.log import Log
from app.processes.wake import Wake
from app.settings import Settings
from app.store import Store
from app.store.leases import Lease

log = Log(__name__)

LEASE = "duties"
SECONDS = 10.0
"""How long the lease runs; who does not renew it for so long is taken to be dead or to hang."""
_RENEW = 2.5
_LOOK = 0.5


@dataclass(frozen=True, slots=True)
class _Term:
    """The work of one holding of the lease."""

    lease: Lease
    runner: Runner
    cleanup: Cleanup
    webhooks: WebhookSender


class Duties:
    """The part of a serving process that does them when its turn comes.

    Args:
        store: the rows.
        artifacts: the files.
        settings: of the installation as a whole.
        owner: by what name it takes the lease; see `Leases.take`.
        wake: tells the holder that there is something to do.
    """

    def __init__(
        self, store: Store, artifacts: LocalArtifacts, settings: Settings, owner: str, wake: Wake
    ) -> None:
        self._store, self._artifacts, self._settings = store, artifacts, settings
        self._owner = owner
        self._wake = wake
        self._lock = threading.Lock()
        self._term: _Term | None = None
        self._stopping = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def _pause(self) -> float | None:
        """Seconds until the lease is to be looked at again; None where it is ours for good."""
        if self._term is None:
            return _LOOK
        return None if self._settings.workers == 1 else _RENEW

    def start(self) -> None:
        """Take the duties if nobody has them, and begin to watch who has."""
        self._take()
        self._thread = threading.Thread(target=self._run, name="duties", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether jobs are being started, here or elsewhere. Reads the database: not for the event loop."""
        with self._lock:
            term = self._term
        return self._store.leases.holder(LEASE) is not None if term is None else term.runner.alive

    def wake(self) -> None:
        """Let whoever runs jobs look now: one was created or is to be cancelled."""
        self._wake.set()

    def stop_jobs(self, grace: float) -> None:
        """Take no duties any more, and put running jobs back; see `Runner.stop`. The lease is held until `close`."""
        self._stopping.set()
        with self._lock:
            term = self._term
        if term is not None:
            with suppress(LeaseLost):
                term.runner.stop(grace)

    def close(self) -> None:
        """Stop what is left, and let another process have the duties."""
        self._stopping.set()
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        term, self._term = self._term, None
        if term is not None:
            term.webhooks.stop()
            term.cleanup.stop()
            with suppress(Unavailable):  # it runs out by itself
                self._store.leases.release(term.lease)

    def _run(self) -> None:
        while not self._closing.wait(self._pause):
            try:
                if self._term is not None:
                    self._renew(self._term)
                elif not self._stopping.is_set():
                    self._take()
            except Exception:
                # A locked database may pass; a thread that is gone does not come back.
                log.exception("lease_failed")

    def _take(self) -> None:
        lease = self._store.leases.take(LEASE, self._owner, SECONDS)
        if lease is None:
            return
        log.info("duties_taken", owner=lease.owner, term=lease.term)
        store = self._store.under(lease)
        runner = Runner(store, self._artifacts, self._settings, wake=self._wake)
        cleanup = Cleanup(store, self._artifacts, self._settings)
        webhooks = WebhookSender(store, self._settings)
        with self._lock:
            if self._stopping.is_set():
                self._store.leases.release(lease)
                return
            for part in (cleanup, webhooks, runner):
                part.start()
            self._term = _Term(lease, runner, cleanup, webhooks)

    def _renew(self, term: _Term) -> None:
        try:
            self._store.leases.renew(term.lease)
        except LeaseLost:
            log.warning("duties_lost", owner=term.lease.owner, term=term.lease.term)
            with self._lock:
                self._term = None
            term.runner.abandon()
            term.webhooks.stop()
            term.cleanup.stop()
