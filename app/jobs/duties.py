"""What one of the processes that serve an installation does for all of them: it runs jobs, cleans up, sends webhooks.

Which one is said by a lease in the database. The holder renews it; where it dies or hangs another finds the lease run
out and takes over, and where it stops in order, at once. One that comes back after another took over finds its writes
refused, and stops. Where there is one process, and the database is a file of its data directory, the lock of that keeps
others away, and nothing is renewed.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from app.errors import LeaseLost, StorageFault, Unavailable
from app.files.artifacts import Artifacts
from app.jobs.aside import Aside
from app.jobs.cleanup import Cleanup
from app.jobs.launcher import Launcher
from app.jobs.logs import Logs
from app.jobs.runner import Runner
from app.jobs.webhooks import WebhookSender
from app.log import Log
from app.metrics.families import RUNNER_SILENT
from app.metrics.faults import report
from app.metrics.metrics import Metrics, Sample
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
_LOGS = 10.0
"""Seconds between two looks for logs of attempts that have ended."""


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
        launcher: where jobs run.
        owner: by what name it takes the lease; see `Leases.take`.
        wake: tells the holder that there is something to do.
        metrics: where is counted what becomes of jobs.
        webhook_key: returns what webhooks are signed with now.
    """

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts,
        settings: Settings,
        launcher: Launcher,
        owner: str,
        wake: Wake,
        metrics: Metrics,
        webhook_key: Callable[[], bytes | None],
    ) -> None:
        self._store, self._artifacts, self._settings = store, artifacts, settings
        self._launcher = launcher
        self._owner = owner
        self._wake = wake
        self._metrics = metrics
        metrics.watch(self._samples)
        self._webhook_key = webhook_key
        self._lock = threading.Lock()
        self._term: _Term | None = None
        self._faulted = False
        """Whether a lease could not be written the last time."""
        self._logs_kept = -math.inf
        self._stopping = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def _pause(self) -> float | None:
        """Seconds until the lease is to be looked at again; None where it is ours for good."""
        if self._term is None:
            return _LOOK
        return None if self._settings.workers == 1 and not self._store.shared else _RENEW

    def start(self) -> None:
        """Take the duties if nobody has them, and begin to watch who has; if nothing can be written, later."""
        try:
            self._take()
        except StorageFault as error:
            report(self._metrics, log, "lease_failed", error)
            self._faulted = True
        # by those of other servers, too
        self._store.when_jobs_change(self._wake.set)
        self._thread = threading.Thread(target=self._run, name="duties", daemon=True)
        self._thread.start()

    def silent(self) -> float | None:
        """Return for how many seconds nobody has looked for jobs to start, None where nobody does any more.

        Of another process it is known only that it does. Reads the database: not for the event loop.
        """
        with self._lock:
            term = self._term
        if term is not None:
            return term.runner.silent
        # While nothing can be written no lease is renewed, and none is taken.
        return 0.0 if self._faulted or self._store.leases.holder(LEASE) is not None else None

    def _samples(self) -> tuple[Sample, ...]:
        term = self._term
        silent = 0.0 if term is None else term.runner.silent
        return ((RUNNER_SILENT, (), math.inf if silent is None else silent),)

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
            with suppress(Unavailable, StorageFault):  # it runs out by itself
                self._store.leases.release(term.lease)

    def _run(self) -> None:
        while not self._closing.wait(self._pause):
            try:
                if self._term is not None:
                    self._renew(self._term)
                elif not self._stopping.is_set():
                    self._take()
                    self._keep_logs()
                self._faulted = False
            except Exception as error:
                # A full disk or a locked database may pass; a thread that is gone does not come back.
                fault = report(self._metrics, log, "lease_failed", error, again=self._faulted)
                self._faulted = fault is not None

    def _keep_logs(self) -> None:
        """Let others read what was printed here by attempts of an earlier term, which somebody else runs again."""
        now = time.monotonic()
        if self._term is not None or not self._artifacts.shared or now < self._logs_kept + _LOGS:
            return
        self._logs_kept = now
        Logs(self._artifacts, Aside(self._metrics)).keep(())

    def _take(self) -> None:
        lease = self._store.leases.take(LEASE, self._owner, SECONDS)
        if lease is None:
            return
        log.info("duties_taken", owner=lease.owner, term=lease.term)
        store = self._store.under(lease)
        runner = Runner(
            store,
            self._artifacts,
            self._settings,
            self._launcher,
            wake=self._wake,
            after_fault=self._faulted,
            metrics=self._metrics,
        )
        cleanup = Cleanup(store, self._artifacts, self._settings, self._metrics)
        webhooks = WebhookSender(store, self._settings, self._webhook_key, self._metrics)
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
