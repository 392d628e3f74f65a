"""What a worker does: one attempt of one job."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress

from app.errors import StaleAttempt, StorageFault, Unavailable
from app.files import paths
from app.files.artifacts import Artifacts
from app.files.bucket.opening import open_artifacts
from app.files.faults import reason
from app.files.locks import FileLock
from app.jobs.exits import PAUSED
from app.jobs.faults import fault_of, passing_fault
from app.jobs.heartbeat import Cancelled, Drained, Heartbeat
from app.jobs.kinds import KINDS
from app.jobs.processes import LOCK_VARIABLE
from app.log.plain import configure_plain_log
from app.settings import Settings, load_settings
from app.store import Store
from app.tracing.tracing import tracing_if_wanted
from engine.fast.parallel.parts import ShareLost

log = logging.getLogger("worker")

_LOCK_SECONDS = 2.0


def main(arguments: Sequence[str] | None = None, *, fenced: bool = False) -> int:
    """Do one attempt and return the exit status of the process.

    Args:
        arguments: of the command line.
        fenced: whether the number of the attempt alone keeps earlier ones from writing, as on other machines, where the
            lock says nothing: one that hangs may still have it.
    """
    parser = argparse.ArgumentParser(
        prog="python -P -m app.jobs.work.worker", description="Do one attempt of a job."
    )
    parser.add_argument("job")
    parser.add_argument("attempt", type=int)
    options = parser.parse_args(arguments)
    settings = load_settings()
    configure_plain_log(settings.log_level)
    store = Store(settings.data_dir, settings.database)
    beat = Heartbeat(store, options.job, options.attempt)
    artifacts = open_artifacts(settings, transfer=beat.unchanged)
    lock = _take_lock(artifacts, options.job, must=not fenced)
    try:
        with lock:
            return _attempt(options.job, options.attempt, store, artifacts, settings, lock, beat)
    finally:
        store.close()


def _attempt(
    job_id: str,
    attempt: int,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
    lock: FileLock,
    beat: Heartbeat,
) -> int:
    signal.signal(signal.SIGTERM, lambda number, frame: beat.drain())
    # The runner starts us with the signal held back, so that none comes before there is an answer to it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        if lock.held:
            lock.write_holder()
        _work(job_id, attempt, store, artifacts, settings, beat)
    except StaleAttempt as error:
        log.warning("%s; stopping", error)
    except Exception as error:
        fault = passing_fault(error)
        if fault is None:
            # The attempt has not failed, it cannot go on here and now: a death like others, and the next may do.
            log.exception("giving up")
            return 1
        log.warning("goes on later: %s (%s)", fault.detail, reason(error))
        with suppress(OSError):
            if lock.held:
                lock.mark(fault.state)
        # where that cannot be written either, the runner does it once it can
        with suppress(StaleAttempt, StorageFault):
            store.jobs.requeue(job_id, attempt, storage=fault.state)
        return PAUSED[fault.state]
    return 0


def _work(
    job_id: str, attempt: int, store: Store, artifacts: Artifacts, settings: Settings, beat: Heartbeat
) -> None:
    """Do the work of a job, and write how that has ended.

    Raises:
        StaleAttempt, ShareLost, Unavailable: as the work does.
        Exception: files cannot be read or written, by `passing_fault` of it.
    """
    tracing = tracing_if_wanted()
    try:
        job = store.jobs.get(job_id)
        if job.attempt != attempt:
            raise StaleAttempt(job_id, attempt)
        log.info("attempt %d of %s %s, process %d", attempt, job.kind, job_id, os.getpid())
        beat(job.progress, force=True)
        work = KINDS[job.kind].load_work()
        # From here on garbage is looked for, but not in what has been imported: that stays.
        gc.freeze()
        gc.enable()
        with nullcontext() if tracing is None else tracing.attempt(job):
            work(job, store, artifacts, settings, beat)
        log.info("done")
    except Cancelled:
        log.info("cancelled")
        store.jobs.cancelled(job_id, attempt)
    except Drained:
        log.info("asked to stop; goes on later")
        store.jobs.requeue(job_id, attempt)
    except (StaleAttempt, ShareLost, Unavailable):
        raise
    except Exception as error:
        if passing_fault(error) is not None:
            raise
        fault = fault_of(error)
        log.exception("failed: %s", fault["message"])
        store.jobs.fail(job_id, attempt, fault)
    finally:
        if tracing is not None:
            tracing.close()


def _take_lock(artifacts: Artifacts, job_id: str, *, must: bool) -> FileLock:
    """Take over the lock that the runner holds for us, or take it when somebody else starts us; if it `must` be had."""
    path = artifacts.here(paths.lock(job_id))
    descriptor = os.environ.pop(LOCK_VARIABLE, None)
    if descriptor is not None:
        lock = FileLock.adopt(path, int(descriptor))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        if not lock.acquire(_LOCK_SECONDS if must else 0.0) and must:
            sys.exit(f"another process has {job_id}")
    return lock
