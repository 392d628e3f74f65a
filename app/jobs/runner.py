"""Decides which job runs when, and when again; what becomes of a job is in the store, nothing is remembered here.

One thread looks at everything twice a second. A server that starts again comes to the same decisions
from the same facts: the rows, the attempts that the launcher finds and whether a heartbeat moves.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from app.errors import LeaseLost, NotFound, StaleAttempt, StorageFault, StorageUnavailable
from app.files.artifacts import Artifacts
from app.files.volume import check_free
from app.jobs.aside import Aside
from app.jobs.ends import Ends
from app.jobs.kinds import KINDS, lanes
from app.jobs.launcher import Attempt, Launcher, NotStarted
from app.jobs.logs import Logs
from app.jobs.processes import LocalLauncher
from app.jobs.waiting import decide_waiting
from app.log import Log
from app.metrics.families import ATTEMPTS, LOST_ATTEMPTS, STORAGE_FAULTS
from app.metrics.faults import report
from app.metrics.metrics import Metrics
from app.processes.wake import Wake
from app.settings import Settings
from app.states import JobStatus
from app.store import Store
from app.store.records import JobPulse, JobRecord

log = Log(__name__)

INTERVAL = 0.5
"""Seconds between two looks when nobody calls `wake`."""
_LEAVING_INTERVAL = 0.05
"""The same while a worker is done with its job and still there: who is next waits for its place."""
_LEAVING_SECONDS = 2.0
"""How long a worker takes to end at most, but for one that hangs."""
_BACK_OFF = 5.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 10.0
"""Seconds between two tries to write where that fails; of a job that could not write although others can, six times as
much."""
_STOP_INTERVAL = 0.05
_KILL_SECONDS = 10.0


@dataclass
class _Charge:
    """An attempt that is being looked after; `pulse` was last seen to change at `since`, None once its job is over."""

    kind: str
    number: int
    attempt: Attempt
    pulse: JobPulse | None
    since: float
    hung: bool = False


class Runner:
    """Brings jobs from the queue to attempts, in each lane as many at the same time as it has slots."""

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts,
        settings: Settings,
        launcher: Launcher | None = None,
        clock: Callable[[], float] = time.monotonic,
        wake: Wake | None = None,
        *,
        after_fault: bool = False,
        metrics: Metrics | None = None,
    ) -> None:
        """Make a runner that does nothing yet.

        Args:
            store: where the jobs are.
            artifacts: where their files are.
            settings: how many at once, and with what.
            launcher: what starts them; processes of this machine when omitted.
            clock: the seconds by which it judges what hangs; read once in every look.
            wake: how others say that there is something to do; one of its own when omitted.
            after_fault: whether nothing could be written until now, so that workers may have died of that.
            metrics: where is counted what becomes of jobs.
        """
        self._store = store
        self._artifacts = artifacts
        self._settings = settings
        self._launcher = launcher or LocalLauncher(artifacts, settings)
        self._lanes = lanes()
        self._metrics = metrics or Metrics.alone()
        self._aside = Aside(self._metrics)
        self._ends = Ends(store, artifacts, self._metrics, self._aside)
        self._logs = Logs(artifacts, self._aside)
        self._untidy: set[tuple[str, int]] = set()
        """Attempts that are gone, of which the launcher may have something left."""
        self._charges: dict[str, _Charge] = {}
        self._not_before: dict[str, float] = {}
        self._pauses: Counter[str] = Counter()
        """How often jobs could not write, one time after another."""
        self._looked_back = False
        self._failed = int(after_fault)
        """How many looks failed, one after another, because nothing could be written."""
        self._clock = clock
        self._looked = clock()
        self._came_back = time.monotonic()
        self._wake = wake or Wake.make()
        if wake is None:
            weakref.finalize(self, self._wake.close)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def silent(self) -> float | None:
        """For how many seconds no look has ended, None where none will: the thread is gone."""
        alive = self._thread is not None and self._thread.is_alive()
        return time.monotonic() - self._came_back if alive else None

    def start(self) -> None:
        """Start the thread; what an earlier runner left behind is adopted or queued at its first look."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look now: a job was created or is to be cancelled."""
        self._wake.set()

    def stop(self, grace: float) -> None:
        """Start no more jobs; workers get `grace` seconds to put theirs back, then they are killed.

        Those on other machines go on: the next server adopts them.
        """
        if self._launcher.elsewhere:
            self.abandon()
            return
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        for charge in self._charges.values():
            charge.attempt.stop()
        if not self._wait(grace):
            for job_id, charge in self._charges.items():
                if charge.attempt.alive():
                    log.warning(
                        "worker_killed", job=job_id, reason=f"not done {grace} s after it was to stop"
                    )
                    charge.attempt.kill()
            self._wait(_KILL_SECONDS)
        try:
            for pulse in self._store.jobs.active():
                charge_left = self._charges.get(pulse.id)
                if charge_left is not None and not charge_left.attempt.alive():
                    # It was us who ended it, so that it costs the job no attempt.
                    self._try(self._store.jobs.requeue, pulse)
            for job_id, charge in self._charges.items():
                self._logs.ended(job_id, charge.number)
            self._logs.keep([job_id for job_id, charge in self._charges.items() if charge.attempt.alive()])
            self._ends.look()
            for job_id, charge in self._charges.items():
                with suppress(NotFound):  # it had ended before, and was deleted since
                    if self._store.jobs.state(job_id).status is JobStatus.QUEUED:
                        log.info("job_put_back", job=job_id, kind=charge.kind, attempt=charge.number)
        except (StorageFault, OSError) as error:
            # the next server finds what was left to do; of a worker that could not write its mark
            report(self._metrics, log, "jobs_not_put_back", error)
        self._charges.clear()

    def abandon(self) -> None:
        """Start no more jobs, and leave those that run to the runner of another process, or of the next server."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self._charges.clear()

    def _wait(self, seconds: float) -> bool:
        """Wait for the end of all workers; return whether it came."""
        deadline = time.monotonic() + seconds
        while any(charge.attempt.alive() for charge in self._charges.values()):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_STOP_INTERVAL)
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
                self._failed = 0
            except LeaseLost:
                return
            except Exception as error:
                # A full disk or a locked database may pass; a runner that is gone does not come back.
                again = bool(self._failed)
                if report(self._metrics, log, "runner_failed", error, again=again) is not None:
                    self._failed += 1
            self._came_back = time.monotonic()
            self._wake.wait(self._patience())

    def _patience(self) -> float:
        """Return for how many seconds there is nothing to do unless somebody calls."""
        if self._failed:
            return _growing(self._failed)
        return _LEAVING_INTERVAL if self._any_leaves() else INTERVAL

    def _any_leaves(self) -> bool:
        """Tell whether a worker is done with its job and about to end."""
        return any(
            charge.pulse is None and self._looked - charge.since < _LEAVING_SECONDS
            for charge in self._charges.values()
        )

    def _look(self) -> None:
        at = self._clock()
        if at - self._looked > self._settings.heartbeat_timeout / 2:
            # We have not been looking ourselves (a machine that slept, a stopped process), and cannot
            # say that a heartbeat stood still meanwhile.
            for charge in self._charges.values():
                charge.since = at
        self._looked = at
        # Who is dead comes first: after that, what the row says is the last that its worker wrote.
        dead = {job_id: charge for job_id, charge in self._charges.items() if not charge.attempt.alive()}
        pulses = {pulse.id: pulse for pulse in self._store.jobs.active()}
        for pulse in pulses.values():
            if pulse.id in dead or pulse.id not in self._charges:
                self._find(pulse, at, dead.get(pulse.id))
        for job_id, charge in dead.items():
            self._logs.ended(job_id, charge.number)
            if job_id not in pulses:
                self._untidy.add((job_id, charge.number))
                self._see_off(job_id, charge.number, at)
            # not before all of it is written: the next look tries that again
            if self._charges.get(job_id) is charge:
                del self._charges[job_id]
        for job_id, charge in self._charges.items():
            self._check(job_id, charge, pulses.get(job_id), at)
        self._tidy()
        self._aside.done(
            "jobs_not_decided", "", partial(decide_waiting, self._store, self._artifacts, self._settings)
        )
        self._ends.look()
        self._logs.keep(self._charges)
        self._start_queued(at)

    def _tidy(self) -> None:
        """Have the launcher let go of what is left of attempts, and keep what they have printed."""
        for job_id, number in list(self._untidy):
            charge = self._charges.get(job_id)
            again = charge is not None and charge.number == number
            if again or self._aside.done(
                "log_not_kept", job_id, partial(self._launcher.tidy, job_id, number)
            ):
                self._untidy.discard((job_id, number))
        if not self._looked_back:
            self._looked_back = self._aside.done("logs_not_kept", "", self._launcher.look_back)

    def _find(self, pulse: JobPulse, at: float, dead: _Charge | None) -> None:
        """Adopt the attempt of a job that should have one, or note that there is none, and of what it died."""
        attempt = self._launcher.find(pulse.id, pulse.attempt)
        if attempt is not None:
            log.info("worker_adopted", job=pulse.id, attempt=pulse.attempt)
            self._charges[pulse.id] = _Charge(pulse.kind, pulse.attempt, attempt, pulse, at)
            return
        self._give_up(pulse, at, dead)
        self._untidy.add((pulse.id, pulse.attempt))

    def _give_up(self, pulse: JobPulse, at: float, dead: _Charge | None) -> None:
        """Write what becomes of a job whose attempt is gone."""
        # Where nothing could be written until now, what it died of is taken to be that, too. Its number is used again
        # then, and so only if it is dead.
        ended = dead is not None or self._launcher.has_ended(pulse.id, pulse.attempt)
        waits_for = self._launcher.paused(pulse.id, pulse.attempt) or (
            StorageUnavailable.state if self._failed and ended else None
        )
        if waits_for is not None:
            self._try(partial(self._store.jobs.requeue, storage=waits_for), pulse)
            self._see_off(pulse.id, pulse.attempt, at)
            return
        refused = self._launcher.refused(pulse.id, pulse.attempt)
        if refused is not None:
            self._try(
                partial(self._store.jobs.fail, error={"code": "node_refused", "message": refused}), pulse
            )
            return
        # One that hung was killed by us.
        starved = (
            dead is not None and dead.number == pulse.attempt and not dead.hung and dead.attempt.starved()
        )
        if self._try(partial(self._store.jobs.lost, out_of_memory=starved), pulse):
            self._metrics.counter(LOST_ATTEMPTS, pulse.kind).add()

    def _see_off(self, job_id: str, attempt: int, at: float) -> None:
        """Start a job that could not write again only after a while: each time it cannot, later."""
        kept_by = self._launcher.paused(job_id, attempt)
        if kept_by is None:
            self._pauses.pop(job_id, None)
        else:
            self._metrics.counter(STORAGE_FAULTS, "worker", kept_by).add()
            self._pauses[job_id] += 1
            self._not_before[job_id] = at + _growing(self._pauses[job_id], 6 * _LONGEST_PAUSE)

    def _try(self, write: Callable[[str, int], object], pulse: JobPulse) -> bool:
        try:
            status = write(pulse.id, pulse.attempt)
        except StaleAttempt:
            # Its worker finished it in the meantime.
            return False
        log.warning(
            "worker_gone",
            job=pulse.id,
            kind=pulse.kind,
            attempt=pulse.attempt,
            status=str(status or "queued"),
        )
        return True

    def _check(self, job_id: str, charge: _Charge, pulse: JobPulse | None, at: float) -> None:
        """Kill a worker that shows no life: its heartbeat stands still, or its job is over and it is not."""
        if pulse is not None and charge.attempt.waiting():
            charge.since = at
            if pulse.status is JobStatus.CANCELLING:
                # Whoever has not begun cannot say that it has seen that; when it begins it finds its attempt over.
                charge.attempt.stop()
                self._try(self._store.jobs.lost, pulse)
        elif pulse != charge.pulse:
            charge.pulse, charge.since = pulse, at
        elif at - charge.since > self._settings.heartbeat_timeout:
            log.warning("worker_killed", job=job_id, attempt=charge.number, reason="no sign of life")
            charge.attempt.kill()
            charge.since, charge.hung = at, True

    def _start_queued(self, at: float) -> None:
        self._not_before = {job_id: then for job_id, then in self._not_before.items() if then > at}
        self._store.jobs.fail_unknown(KINDS)
        if not self._has_room():
            return
        busy = Counter(KINDS[charge.kind].lane for charge in self._charges.values() if charge.kind in KINDS)
        for lane, kinds in self._lanes.items():
            while busy[lane] < lane.slots(self._settings) and not self._stopping.is_set():
                # A job whose worker is just leaving is queued and still has a process.
                job = self._store.jobs.claim_next(kinds, skip=[*self._charges, *self._not_before])
                if job is None:
                    break
                self._begin(job, at)
                busy[lane] += job.id in self._charges

    def _begin(self, job: JobRecord, at: float) -> None:
        threads = KINDS[job.kind].cores(job, self._settings)
        try:
            attempt = self._launcher.start(job.id, job.attempt, threads, job.memory_bytes)
        except NotStarted as error:
            log.warning("worker_not_started", job=job.id, reason=str(error))
            self._store.jobs.requeue(job.id, job.attempt)
            self._not_before[job.id] = at + _BACK_OFF
            return
        log.info("worker_started", job=job.id, kind=job.kind, attempt=job.attempt, place=attempt.place)
        self._metrics.counter(ATTEMPTS, job.kind).add()
        self._charges[job.id] = _Charge(job.kind, job.attempt, attempt, None, at)

    def _has_room(self) -> bool:
        """Tell whether enough is free on the disk for another job beside those that run."""
        try:
            check_free(self._settings.data_dir, self._settings.min_free_bytes)
        except StorageFault:
            return False
        return True


def _growing(times: int, longest: float = _LONGEST_PAUSE) -> float:
    """Return the pause after something has failed so many times."""
    return min(_FIRST_PAUSE * 2.0 ** min(times - 1, 10), longest)
