"""Worker processes: starting one, finding one that another server started, asking and making it stop.

A worker is alive for as long as the lock of its job is held. The lock is taken before the process exists
and handed to it as an open file, so there is no moment at which a job has a worker and no lock, and the
operating system lets it go when the worker dies, however it dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.files.locks import FileLock, is_locked, read_holder

LOCK_VARIABLE = "CONVSERVE_WORKER_LOCK"
"""Tells a worker which open file is the lock of its job."""

CORES_VARIABLE = "CONVSERVE_WORKER_CORES"
"""Tells a worker into how many shares it splits its batches."""

THREADS_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_LOCK_SECONDS = 1.0


class LockHeld(Exception):
    """The job still has a process."""


class Worker(Protocol):
    """A process that works on a job."""

    def alive(self) -> bool:
        """Tell whether it is there."""

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, and never anybody else; nothing happens when it is gone."""


@dataclass
class SpawnedWorker:
    """A child of this process."""

    process: subprocess.Popen[bytes]

    def alive(self) -> bool:
        """Tell whether it runs, and bury it when it does not."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; the id of a child cannot be another's before `alive` has buried it."""
        self.process.send_signal(number)


@dataclass
class AdoptedWorker:
    """A worker that a server before this one started."""

    lock: Path

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


def spawn(
    job_id: str,
    attempt: int,
    *,
    lock_path: Path,
    log_path: Path,
    settings: dict[str, str],
    threads: int,
) -> SpawnedWorker:
    """Start the worker of an attempt.

    Args:
        job_id: the job.
        attempt: the number of the attempt.
        lock_path: the lock of the job.
        log_path: where what it prints is added.
        settings: the `CONVSERVE_*` variables that it sees; those of this process are not passed on.
        threads: how many cores it may use.

    Raises:
        LockHeld: an earlier worker is still there.
        OSError: no process can be started.
    """
    with FileLock(lock_path) as lock:
        if not lock.acquire(_LOCK_SECONDS):
            raise LockHeld(f"{lock_path} is held by process {read_holder(lock_path)}")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
        environment |= settings
        # a batch is split over the cores; BLAS underneath keeps to the one it is called on
        environment |= dict.fromkeys(THREADS_VARIABLES, "1")
        environment[CORES_VARIABLE] = str(threads)
        environment |= {LOCK_VARIABLE: str(lock.fileno()), "PYTHONFAULTHANDLER": "1"}
        environment |= _import_path()
        # A SIGTERM that comes before the worker is ready for it waits until it is: the mask is inherited.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            with log_path.open("ab") as log:
                process = subprocess.Popen(  # noqa: S603 (our own interpreter and arguments)
                    [sys.executable, "-P", "-m", "app.jobs.work.worker", job_id, str(attempt)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=lock_path.parent,
                    env=environment,
                    pass_fds=(lock.fileno(),),
                    start_new_session=True,
                )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return SpawnedWorker(process)


def _import_path() -> dict[str, str]:
    """Return what lets the worker import the very package that runs here, also from a source tree."""
    root = str(Path(__file__).parents[2])
    if root in (*site.getsitepackages(), site.getusersitepackages()):
        # It finds the package by itself; in front of the standard library this directory would do harm.
        return {}
    rest = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([root, rest] if rest else [root])}
