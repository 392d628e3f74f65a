"""The launcher of a Ray cluster: an attempt is a Ray job, whose id is that of the job and the number of the attempt.

What Ray says of a job is believed where it has seen the end of its process. Where it has not, because the node, or the
head with all that it knew, is gone, the process may run on: it counts as alive for as long as its heartbeat in the
database moves. Were it taken for dead too soon, its number would still keep its writes off those of the next attempt.
"""

from __future__ import annotations

import json
import math
import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.cluster.node import HANDED_VARIABLE
from app.jobs.cluster.rest import Exists, NodeAway, Phase, RayAway, RayJob, RayRest
from app.jobs.cluster.versions import versions
from app.jobs.exits import REFUSED_STATUS, paused_by, refusal
from app.jobs.launcher import LEFT_CORES, Attempt, NotStarted
from app.jobs.processes import CORES_VARIABLE, PLACES_VARIABLE, THREADS_VARIABLES
from app.log import Log
from app.settings import Settings
from app.store import Store

log = Log(__name__)

SILENT_SECONDS = 10.0
"""For how long the heartbeat of an attempt that Ray has lost stands still until it is taken to be gone."""
_SETTLE_SECONDS = 10.0
"""For how long a job has ended until Ray is asked to forget it. Ray looks at each once a second, and writes that one
has failed whose record is gone meanwhile, also into the record of a new one of the same id."""
_TELLS_SECONDS = 120.0
"""For how long after its end the node of a job is asked for what it has printed."""
_ASK_SECONDS = 5.0
"""How long it is left alone in between: each time may take as long as Ray is waited for."""
_FRESH_SECONDS = 1.0
"""For how long what Ray has said of a job that runs is not asked again."""


@dataclass
class _Seen:
    """What Ray said last of a job, when, and since when; and when its heartbeat moved, once Ray has lost it."""

    job: RayJob
    at: float
    since: float
    heartbeat: int | None = None
    moved: float = 0.0


@dataclass
class _RayAttempt:
    """An attempt on a node of the cluster."""

    launcher: RayLauncher
    job_id: str
    number: int

    @property
    def place(self) -> str:
        """The Ray job."""
        return f"Ray job {_identifier(self.job_id, self.number)}"

    def alive(self) -> bool:
        """Tell whether it is there, as far as Ray and its heartbeat say."""
        return self.launcher.is_alive(self.job_id, self.number)

    def waiting(self) -> bool:
        """Tell whether Ray has no room for it yet."""
        return self.launcher.look(self.job_id, self.number).phase is Phase.WAITING

    def stop(self) -> None:
        """Ask it to save what it has and end; what waits does so as soon as it begins."""
        self.launcher.stop(self.job_id, self.number)

    def kill(self) -> None:
        """Let Ray ask it to end, and kill it when the time for that has passed."""
        self.launcher.stop(self.job_id, self.number)

    def starved(self) -> bool:
        """Tell nothing: what a node kills for want of memory is counted on that node."""
        return False


class RayLauncher:
    """Runs attempts as jobs of a Ray cluster.

    Args:
        store: where heartbeats are.
        artifacts: where logs are kept.
        settings: what workers see, without the secrets, and where Ray is.
        token: returns the token that Ray wants now.
        clock: the seconds by which it judges what stands still.
    """

    elsewhere = True

    def __init__(
        self,
        store: Store,
        artifacts: Artifacts,
        settings: Settings,
        token: Callable[[], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._artifacts, self._settings = store, artifacts, settings
        self._rest = RayRest(settings.ray_address or "", token)
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._kept: set[str] = set()
        """What Ray is to forget."""
        self._ask_again: dict[str, float] = {}
        """When nodes are asked again that did not tell what an attempt has printed."""
        self._away = False
        # runner and those who ask for logs are different threads
        self._lock = threading.Lock()

    def start(self, job_id: str, attempt: int, threads: float, memory: int | None = None) -> Attempt:
        """Submit the Ray job of an attempt.

        Raises:
            NotStarted: an earlier one is still there, or Ray does not take it.
        """
        identifier = _identifier(job_id, attempt)
        if attempt > 1 and self._may_run(job_id, attempt - 1):
            raise NotStarted(f"Ray job {_identifier(job_id, attempt - 1)} has not ended")
        body = self._body(job_id, attempt, threads, memory)
        try:
            try:
                self._rest.submit(body)
            except Exists:
                # The number of an attempt that was given back is used again.
                if self._may_run(job_id, attempt) or not self._has_settled(identifier):
                    raise NotStarted(f"Ray job {identifier} has not ended, or only just") from None
                self._rest.forget(identifier)
                self._rest.submit(body)
        except (RayAway, Exists) as error:
            raise NotStarted(f"Ray did not take the job: {error}") from error
        with self._lock:
            self._seen.pop(identifier, None)
            self._kept.discard(identifier)
        return _RayAttempt(self, job_id, attempt)

    def find(self, job_id: str, attempt: int) -> Attempt | None:
        """Return an attempt if Ray has it, or if it gives signs of life."""
        return _RayAttempt(self, job_id, attempt) if self.is_alive(job_id, attempt) else None

    def has_ended(self, job_id: str, attempt: int) -> bool:
        """Tell whether Ray has seen the end of its process."""
        return self.look(job_id, attempt).phase is Phase.ENDED

    def paused(self, job_id: str, attempt: int) -> str | None:
        """Return what kept an attempt from writing, by the status that its process ended with."""
        return paused_by(self.look(job_id, attempt).exit_status)

    def refused(self, job_id: str, attempt: int) -> str | None:
        """Return how a node differs from this server, by the last line of what an attempt there has printed."""
        job = self.look(job_id, attempt)
        return refusal(job.message) if job.exit_status == REFUSED_STATUS else None

    def tidy(self, job_id: str, attempt: int) -> bool:
        """Keep what an attempt has printed, and let Ray forget those that ended a while ago; return whether it is kept.

        A node that is slow to tell is asked again for a while. Of one that is gone nothing comes any more.
        """
        identifier = _identifier(job_id, attempt)
        if self._clock() < self._ask_again.get(identifier, 0.0):
            return False
        try:
            printed = self._printed(job_id, attempt)
        except NodeAway:
            if self.look(job_id, attempt).phase is Phase.ENDED:
                return not self._will_be_asked(identifier)
            printed = b""
        except RayAway as error:
            self._is_away(error)
            return False
        self._ask_again.pop(identifier, None)
        if printed:
            self._keep(job_id, attempt, printed)
        self._kept.add(identifier)
        for settled in [each for each in self._kept if self._has_settled(each)]:
            try:
                self._rest.forget(settled)
            except RayAway as error:
                self._is_away(error)
                break
            with self._lock:
                self._kept.discard(settled)
                self._seen.pop(settled, None)
        return True

    def _will_be_asked(self, identifier: str) -> bool:
        """Tell whether a node that did not tell what an attempt has printed is worth asking again, and say when."""
        now = self._clock()
        with self._lock:
            ended = self._seen[identifier].since
        if now - ended >= _TELLS_SECONDS:
            self._ask_again.pop(identifier, None)
            return False
        self._ask_again[identifier] = now + _ASK_SECONDS
        return True

    def look_back(self) -> bool:
        """Keep and let go of what other servers have left with Ray, if it is not away."""
        try:
            known = self._rest.jobs()
        except RayAway as error:
            self._is_away(error)
            return False
        kept_from: OSError | None = None
        all_kept = True
        for identifier, job in known.items():
            job_id, _, number = identifier.rpartition("-")
            if job.phase in (Phase.WAITING, Phase.RUNNING) or not number.isdecimal():
                continue
            try:
                state = self._store.jobs.state(job_id)
            except NotFound:
                continue  # of somebody else
            if state.status is not None and state.status.active and state.attempt == int(number):
                continue  # what its end means is not decided yet
            self._note(identifier, job)
            try:
                all_kept &= self.tidy(job_id, int(number))
            except OSError as error:
                kept_from = error
        if kept_from is not None:
            raise kept_from
        return all_kept

    def printed(self, job_id: str, attempt: int) -> bytes:
        """Return what an attempt has printed so far; nothing where Ray, or the node, is away."""
        try:
            return self._printed(job_id, attempt)
        except RayAway:
            return b""

    def _printed(self, job_id: str, attempt: int) -> bytes:
        printed = self._rest.printed(_identifier(job_id, attempt)).encode(errors="replace")
        # a node adds to what it has of an earlier job of this id
        return printed.removeprefix(self._in_file(job_id, attempt))

    def close(self) -> None:
        """Close the connections to Ray."""
        self._rest.close()

    def stop(self, job_id: str, attempt: int) -> None:
        """Let Ray send an attempt SIGTERM, and SIGKILL later."""
        try:
            self._rest.stop(_identifier(job_id, attempt))
        except RayAway as error:
            self._is_away(error)

    def is_alive(self, job_id: str, attempt: int) -> bool:
        """Tell whether an attempt is there, or may be."""
        job = self.look(job_id, attempt)
        if job.phase in (Phase.WAITING, Phase.RUNNING):
            return True
        return job.phase is not Phase.ENDED and self._gives_signs(job_id, attempt)

    def look(self, job_id: str, attempt: int) -> RayJob:
        """Return what Ray says of an attempt, or said while it is away; `LOST` where it has never said anything."""
        identifier = _identifier(job_id, attempt)
        with self._lock:
            seen = self._seen.get(identifier)
        now = self._clock()
        if seen is not None and (seen.job.phase is Phase.ENDED or now - seen.at < _FRESH_SECONDS):
            return seen.job
        try:
            job = self._rest.job(identifier)
        except RayAway as error:
            self._is_away(error)
            # As long as it is, nothing else could be started: it counts as what it was.
            return RayJob(Phase.RUNNING) if seen is None else seen.job
        if self._away:
            self._away = False
            log.info("ray_answers")
        self._note(identifier, job)
        return job

    def _note(self, identifier: str, job: RayJob) -> None:
        """Keep in mind what Ray says of an attempt."""
        now = self._clock()
        with self._lock:
            seen = self._seen.setdefault(identifier, _Seen(job, now, now))
            if seen.job.phase is not job.phase:
                seen.since = now
            seen.job, seen.at = job, now

    def _may_run(self, job_id: str, attempt: int) -> bool:
        """Tell whether Ray still has an attempt that is over for us."""
        return self.look(job_id, attempt).phase in (Phase.WAITING, Phase.RUNNING)

    def _has_settled(self, identifier: str) -> bool:
        """Tell whether a job has been seen to have ended, and that a while ago."""
        over = (Phase.ENDED, Phase.LOST, Phase.UNKNOWN)
        with self._lock:
            seen = self._seen.get(identifier)
            if seen is None or seen.job.phase not in over:
                return False
            return self._clock() - seen.since >= _SETTLE_SECONDS

    def _gives_signs(self, job_id: str, attempt: int) -> bool:
        """Tell whether the heartbeat of an attempt that Ray has lost has moved in the last seconds."""
        pulse = next((pulse for pulse in self._store.jobs.active() if pulse.id == job_id), None)
        if pulse is None or pulse.attempt != attempt:
            return False
        now = self._clock()
        with self._lock:
            seen = self._seen.setdefault(_identifier(job_id, attempt), _Seen(RayJob(Phase.LOST), now, now))
            if seen.heartbeat != pulse.heartbeat:
                seen.heartbeat, seen.moved = pulse.heartbeat, now
            return now - seen.moved < SILENT_SECONDS

    def _body(self, job_id: str, attempt: int, threads: float, memory: int | None) -> dict[str, object]:
        """Return what Ray is asked to run. Whoever has Ray's token can read it: there is no secret in it."""
        # Where Ray is does not concern a worker, which has the cores that it is given. The secrets that it needs, of
        # the database and an object store, a node has in files of the same name, or in variables of its own.
        secrets = dict.fromkeys(self._settings.secrets_for_workers())
        given = self._settings.model_copy(
            update=secrets
            | {"launcher": "local", "ray_address": None, "cores": math.ceil(threads), "max_jobs": 1}
        )
        handed = {"versions": versions(), "settings": given.environment()}
        variables = dict.fromkeys(THREADS_VARIABLES, "1") | {
            CORES_VARIABLE: str(math.ceil(threads)),
            PLACES_VARIABLE: "ray",
            HANDED_VARIABLE: json.dumps(handed),
            "PYTHONFAULTHANDLER": "1",
            # between SIGTERM and SIGKILL; Ray wants a whole number
            "RAY_JOB_STOP_WAIT_TIME_S": str(math.ceil(self._settings.grace_seconds)),
        }
        # Ray's shell is replaced, so that a signal reaches the worker
        arguments = ["exec", "python", "-P", "-m", "app.jobs.cluster.node", job_id, str(attempt)]
        body: dict[str, object] = {
            "submission_id": _identifier(job_id, attempt),
            "entrypoint": shlex.join(arguments),
            "entrypoint_num_cpus": threads - LEFT_CORES if threads >= 1 else threads,
            "runtime_env": {"env_vars": variables},
        }
        return body if memory is None else body | {"entrypoint_memory": memory}

    def _keep(self, job_id: str, attempt: int, printed: bytes) -> None:
        """Add what an attempt has printed to its file; an attempt that was given back has printed before."""
        try:
            self._store.jobs.state(job_id)
        except NotFound:
            return
        self._artifacts.write(paths.log(job_id, attempt), self._in_file(job_id, attempt) + printed)

    def _in_file(self, job_id: str, attempt: int) -> bytes:
        """Return what was kept of the log of an attempt."""
        name = paths.log(job_id, attempt)
        return self._artifacts.local_path(name).read_bytes() if self._artifacts.exists(name) else b""

    def _is_away(self, error: RayAway) -> None:
        if not self._away:
            self._away = True
            log.warning("ray_away", reason=str(error))


def _identifier(job_id: str, attempt: int) -> str:
    """Return what Ray calls an attempt."""
    return f"{job_id}-{attempt}"
