"""Starts and stops worker processes; what becomes of a job is in the store, nothing is remembered here.

One thread looks at everything twice a second. A server that starts again comes to the same decisions
from the same facts: the rows, the locks and whether a heartbeat moves.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog

from app.errors import StaleAttempt
from app.files import paths
from app.files.artifacts import Artifacts
from app.files.locks import is_locked
from app.files.memory import count_kills, kill_counter
from app.jobs.kinds import KINDS, lanes
from app.jobs.processes import AdoptedWorker, LockHeld, Worker, spawn
from app.settings import Settings
from app.store import Store
from app.store.records import JobPulse, JobRecord

log = structlog.stdlib.get_logger(__name__)

INTERVAL = 0.5
"""Seconds between two looks when nobody calls `wake`."""
_BACK_OFF = 5.0
_STOP_INTERVAL = 0.05
_KILL_SECONDS = 10.0


class Runner(Protocol):
    """What brings jobs from the queue to workers."""

    @property
    def alive(self) -> bool:
        """Whether jobs are being started."""

    def start(self) -> None:
        """Begin, with what an earlier runner left behind."""

    def wake(self) -> None:
        """Look now: there is something new."""

    def stop(self, grace: float) -> None:
        """Start no more jobs, and give running ones so many seconds to save themselves."""


@dataclass
class _Charge:
    """A worker that is being looked after; `pulse` was last seen to change at `since`.

    `kills` is how many processes the system had killed for want of memory when it came into our charge.
    """

    kind: str
    attempt: int
    worker: Worker
    pulse: JobPulse | None
    since: float
    kills: int
    hung: bool = False


class LocalRunner:
    """Runs jobs as processes of this machine, in each lane as many at the same time as it has slots."""

    def __init__(
        self, store: Store, artifacts: Artifacts, settings: Settings, *, kills: Path | None = None
    ) -> None:
        """Make a runner that does nothing yet.

        Args:
            store: where the jobs are.
            artifacts: where their files are.
            settings: how many at once, and with what.
            kills: where the system counts what it kills for want of memory; by default where it says itself.
        """
        self._kills = kills or kill_counter()
        self._store = store
        self._artifacts = artifacts
        self._settings = settings
        self._lanes = lanes()
        self._charges: dict[str, _Charge] = {}
        self._not_before: dict[str, float] = {}
        self._looked = time.monotonic()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether jobs are being started."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; what an earlier runner left behind is adopted or queued at its first look."""
        if self._thread is not None:
            return
        self._remove_orphans()
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look now: a job was created or is to be cancelled."""
        self._wake.set()

    def stop(self, grace: float) -> None:
        """Start no more jobs; workers get `grace` seconds to put theirs back, then they are killed."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        for charge in self._charges.values():
            charge.worker.signal(signal.SIGTERM)
        if not self._wait(grace):
            for job_id, charge in self._charges.items():
                if charge.worker.alive():
                    log.warning("worker_killed", job=job_id, reason=f"not done {grace} s after SIGTERM")
                    charge.worker.signal(signal.SIGKILL)
            self._wait(_KILL_SECONDS)
        for pulse in self._store.jobs.active():
            charge_left = self._charges.get(pulse.id)
            if charge_left is not None and not charge_left.worker.alive():
                # It was us who ended it, so that it costs the job no attempt.
                self._try(self._store.jobs.requeue, pulse)
        self._charges.clear()

    def _wait(self, seconds: float) -> bool:
        """Wait for the end of all workers; return whether it came."""
        deadline = time.monotonic() + seconds
        while any(charge.worker.alive() for charge in self._charges.values()):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_STOP_INTERVAL)
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception:
                # A full disk or a locked database may pass; a runner that is gone does not come back.
                log.exception("runner_failed")
            self._wake.wait(INTERVAL)
            self._wake.clear()

    def _look(self) -> None:
        at = time.monotonic()
        if at - self._looked > self._settings.heartbeat_timeout / 2:
            # We have not been looking ourselves (a machine that slept, a stopped process), and cannot
            # say that a heartbeat stood still meanwhile.
            for charge in self._charges.values():
                charge.since = at
        self._looked = at
        # Who is dead comes first: after that, what the row says is the last that its worker wrote.
        dead = {job_id: charge for job_id, charge in self._charges.items() if not charge.worker.alive()}
        for job_id in dead:
            del self._charges[job_id]
        pulses = {pulse.id: pulse for pulse in self._store.jobs.active()}
        for pulse in pulses.values():
            if pulse.id not in self._charges:
                self._find(pulse, at, dead.get(pulse.id))
        for job_id, charge in self._charges.items():
            self._check(job_id, charge, pulses.get(job_id), at)
        self._start_queued(at)

    def _find(self, pulse: JobPulse, at: float, dead: _Charge | None) -> None:
        """Adopt the worker of a job that should have one, or note that there is none, and of what it died."""
        lock = self._artifacts.local_path(paths.lock(pulse.id))
        if is_locked(lock):
            log.info("worker_adopted", job=pulse.id, attempt=pulse.attempt)
            self._charges[pulse.id] = self._charge(pulse.kind, pulse.attempt, AdoptedWorker(lock), pulse, at)
            return
        starved = dead is not None and dead.attempt == pulse.attempt and self._starved(dead)
        self._try(partial(self._store.jobs.lost, out_of_memory=starved), pulse)

    def _charge(self, kind: str, attempt: int, worker: Worker, pulse: JobPulse | None, at: float) -> _Charge:
        return _Charge(kind, attempt, worker, pulse, at, count_kills(self._kills))

    def _starved(self, dead: _Charge) -> bool:
        """Tell whether the system has killed for want of memory in the life of a worker: it, or a share of it."""
        return not dead.hung and count_kills(self._kills) > dead.kills

    def _try(self, write: Callable[[str, int], object], pulse: JobPulse) -> None:
        try:
            status = write(pulse.id, pulse.attempt)
        except StaleAttempt:
            # Its worker finished it in the meantime.
            return
        log.warning("worker_gone", job=pulse.id, attempt=pulse.attempt, status=str(status or "queued"))

    def _check(self, job_id: str, charge: _Charge, pulse: JobPulse | None, at: float) -> None:
        """Kill a worker that shows no life: its heartbeat stands still, or its job is over and it is not."""
        if pulse != charge.pulse:
            charge.pulse, charge.since = pulse, at
        elif at - charge.since > self._settings.heartbeat_timeout:
            log.warning("worker_killed", job=job_id, attempt=charge.attempt, reason="no sign of life")
            charge.worker.signal(signal.SIGKILL)
            charge.since, charge.hung = at, True

    def _start_queued(self, at: float) -> None:
        self._not_before = {job_id: then for job_id, then in self._not_before.items() if then > at}
        busy = Counter(KINDS[charge.kind].lane for charge in self._charges.values())
        for lane, kinds in self._lanes.items():
            while busy[lane] < lane.slots(self._settings) and not self._stopping.is_set():
                # A job whose worker is just leaving is queued and still has a process.
                job = self._store.jobs.claim_next(kinds, skip=[*self._charges, *self._not_before])
                if job is None:
                    break
                self._spawn(job, at)
                busy[lane] += job.id in self._charges

    def _spawn(self, job: JobRecord, at: float) -> None:
        lock = self._artifacts.local_path(paths.lock(job.id))
        # Bits depend on the number of threads: a job that goes on keeps the one it began with.
        threads = (job.checkpoint or {}).get("threads") or self._settings.worker_threads
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            worker = spawn(
                job.id,
                job.attempt,
                lock_path=lock,
                log_path=self._artifacts.local_path(paths.log(job.id, job.attempt)),
                settings=self._settings.environment(),
                threads=min(threads, self._settings.cores),
            )
        except (LockHeld, OSError) as error:
            log.warning("worker_not_started", job=job.id, reason=str(error))
            self._store.jobs.requeue(job.id, job.attempt)
            self._not_before[job.id] = at + _BACK_OFF
            return
        log.info("worker_started", job=job.id, attempt=job.attempt, pid=worker.process.pid)
        self._charges[job.id] = self._charge(job.kind, job.attempt, worker, None, at)

    def _remove_orphans(self) -> None:
        """Remove the files of jobs that were deleted when nobody could, say because we were killed."""
        root = self._artifacts.local_path(paths.DIRECTORY)
        if not root.is_dir():
            return
        known = self._store.jobs.identifiers()
        for directory in root.iterdir():
            if directory.name not in known and not is_locked(directory / "lock"):
                self._artifacts.delete(paths.directory(directory.name))
