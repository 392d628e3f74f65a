"""The launcher of this machine: an attempt is a worker process.

A worker is alive for as long as the lock of its job is held. The lock is taken before the process exists
and handed to it as an open file, so there is no moment at which a job has a worker and no lock, and the
operating system lets it go when the worker dies, however it dies.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from app.files import paths
from app.files.artifacts import Artifacts
from app.files.locks import FileLock, is_locked, read_holder, read_mark
from app.files.memory import count_kills, kill_counter
from app.jobs.launcher import Attempt, NotStarted
from app.settings import Settings

LOCK_VARIABLE = "CONVSERVE_WORKER_LOCK"
"""Tells a worker which open file is the lock of its job."""

CORES_VARIABLE = "CONVSERVE_WORKER_CORES"
"""Tells a worker into how many shares it splits its part of a batch."""

PLACES_VARIABLE = "CONVSERVE_WORKER_PLACES"
"""Tells a worker where the other nodes of its job are: `ray` for those of its cluster; by default they are here."""

THREADS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_LOCK_SECONDS = 1.0


@dataclass
class _Process:
    """A process that works on an attempt; `kills` is what the counter said when it came into our charge."""

    counter: Path | None
    kills: int

    def alive(self) -> bool:
        """Tell whether it is there."""
        raise NotImplementedError

    def waiting(self) -> bool:
        """Tell that it has begun: a process does at once."""
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, and never anybody else; nothing happens when it is gone."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ask it to save what it has and end."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)

    def starved(self) -> bool:
        """Tell whether the system has killed for want of memory in its life: it, or a share of it."""
        return count_kills(self.counter) > self.kills


@dataclass
class _Child(_Process):
    """A process that we started."""

    process: subprocess.Popen[bytes]

    @property
    def place(self) -> str:
        """The number of the process."""
        return f"process {self.process.pid}"

    def alive(self) -> bool:
        """Tell whether it runs, and bury it when it does not."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; the id of a child cannot be another's before `alive` has buried it."""
        self.process.send_signal(number)


@dataclass
class _Adopted(_Process):
    """A process that a server before this one started."""

    lock: Path

    @property
    def place(self) -> str:
        """The number of the process."""
        return f"process {read_holder(self.lock)}"

    def alive(self) -> bool:
        """Tell whether it runs."""
        return is_locked(self.lock)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to who holds the lock."""
        holder = read_holder(self.lock)
        if holder is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if not hasattr(os, "pidfd_open"):
                if is_locked(self.lock):
                    os.kill(holder, number)
                return
            # A process id can be given to somebody new at any time, an opened process cannot. That the lock
            # is held after the opening proves that its holder has been alive, and the owner of the id.
            process = os.pidfd_open(holder)
            try:
                if is_locked(self.lock):
                    signal.pidfd_send_signal(process, number)
            finally:
                os.close(process)


class LocalLauncher:
    """Runs attempts as processes of this machine."""

    elsewhere = False

    def __init__(self, artifacts: Artifacts, settings: Settings, kills: Path | None = None) -> None:
        """Make a launcher.

        Args:
            artifacts: where the files of jobs are.
            settings: what workers see, without the secrets.
            kills: where the system counts what it kills for want of memory; by default where it says itself.
        """
        self._artifacts = artifacts
        self._settings = settings
        self._kills = kills or kill_counter()

    def start(self, job_id: str, attempt: int, threads: float, memory: int | None = None) -> Attempt:
        """Start the worker of an attempt; of memory it takes what it needs, which was looked at before.

        Raises:
            NotStarted: an earlier worker is still there, or no process can be started.
        """
        lock_path = self._artifacts.here(paths.lock(job_id))
        log_path = self._artifacts.here(paths.log(job_id, attempt))
        try:
            lock_path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock_path) as lock:
                if not lock.acquire(_LOCK_SECONDS):
                    raise NotStarted(f"{lock_path} is held by process {read_holder(lock_path)}")
                kills = count_kills(self._kills)
                # an attempt that was given back goes on with its log
                self._artifacts.bring_back(paths.log(job_id, attempt))
                cores = min(math.ceil(threads), self._settings.cores)
                return _Child(self._kills, kills, self._spawn(job_id, attempt, cores, lock, log_path))
        except OSError as error:
            raise NotStarted(str(error)) from error

    def find(self, job_id: str, attempt: int) -> Attempt | None:
        """Return the worker that has the lock of a job."""
        lock = self._artifacts.here(paths.lock(job_id))
        return _Adopted(self._kills, count_kills(self._kills), lock) if is_locked(lock) else None

    def has_ended(self, job_id: str, attempt: int) -> bool:
        """Tell whether it was started here; where several servers have one database others start some, too."""
        return self._settings.database is None or self._artifacts.here(paths.log(job_id, attempt)).exists()

    def paused(self, job_id: str, attempt: int) -> str | None:
        """Return what kept the last worker of a job from writing, as it has left it in the file of its lock."""
        return read_mark(self._artifacts.here(paths.lock(job_id)))

    def refused(self, job_id: str, attempt: int) -> str | None:
        """Return nothing: a worker is the program that runs here."""
        return None

    def tidy(self, job_id: str, attempt: int) -> bool:
        """Do nothing: a worker prints into its file, and leaves nothing else."""
        return True

    def look_back(self) -> bool:
        """Find nothing: what is left is in the data directory, and its logs are looked after there."""
        return True

    def printed(self, job_id: str, attempt: int) -> bytes:
        """Return nothing: it is in the file."""
        return b""

    def close(self) -> None:
        """Do nothing: it has nothing open."""

    def _spawn(
        self, job_id: str, attempt: int, threads: int, lock: FileLock, log_path: Path
    ) -> subprocess.Popen[bytes]:
        # What this process sees under CONVSERVE_ is not passed on.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
        environment |= self._settings.environment()
        # a batch is split over the cores; BLAS underneath keeps to the one it is called on
        environment |= dict.fromkeys(THREADS_VARIABLES, "1")
        environment[CORES_VARIABLE] = str(threads)
        environment |= {LOCK_VARIABLE: str(lock.fileno()), "PYTHONFAULTHANDLER": "1"}
        environment |= _import_path()
        # A SIGTERM that comes before the worker is ready for it waits until it is: the mask is inherited.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            with log_path.open("ab") as log:
                return subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
                    [sys.executable, "-P", "-m", "app.jobs.work.worker", job_id, str(attempt)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=log_path.parent,
                    env=environment,
                    pass_fds=(lock.fileno(),),
                    start_new_session=True,
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _import_path() -> dict[str, str]:
    """Return what lets the worker import the very package that runs here, also from a source tree."""
    root = str(Path(__file__).parents[2])
    if root in (*site.getsitepackages(), site.getusersitepackages()):
        # It finds the package by itself; in front of the standard library this directory would do harm.
        return {}
    rest = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([root, rest] if rest else [root])}
