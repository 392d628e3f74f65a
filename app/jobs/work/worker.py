"""A worker: `python -P -m app.jobs.work.worker JOB ATTEMPT`, the process that does one attempt of one job.

What it prints is the log of the attempt. It ends with status 0 when the store knows how the attempt
ended; anything else is a death, which the runner finds and answers with the next attempt.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from app.errors import StaleAttempt, Unavailable
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.locks import FileLock
from app.jobs.faults import fault_of
from app.jobs.heartbeat import Cancelled, Drained, Heartbeat
from app.jobs.kinds import KINDS
from app.jobs.processes import LOCK_VARIABLE
from app.settings import Settings, load_settings
from app.store import Store
from engine.fast.parallel.parts import ShareLost

log = logging.getLogger("worker")

_LOCK_SECONDS = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one attempt and return the exit status of the process."""
    parser = argparse.ArgumentParser(
        prog="python -P -m app.jobs.work.worker", description="Do one attempt of a job."
    )
    parser.add_argument("job")
    parser.add_argument("attempt", type=int)
    options = parser.parse_args(arguments)
    settings = load_settings()
    _configure_log(settings.log_level)
    artifacts = LocalArtifacts(settings.data_dir)
    store = Store(settings.data_dir)
    lock = _take_lock(artifacts, options.job)
    try:
        with lock:
            return _attempt(options.job, options.attempt, store, artifacts, settings)
    finally:
        store.close()


def _attempt(job_id: str, attempt: int, store: Store, artifacts: LocalArtifacts, settings: Settings) -> int:
    beat = Heartbeat(store, job_id, attempt)
    signal.signal(signal.SIGTERM, lambda number, frame: beat.drain())
    # The runner starts us with the signal held back, so that none comes before there is an answer to it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        job = store.jobs.get(job_id)
        if job.attempt != attempt:
            raise StaleAttempt(job_id, attempt)
        log.info("attempt %d of %s %s, process %d", attempt, job.kind, job_id, os.getpid())
        beat(job.progress, force=True)
        work = KINDS[job.kind].load_work()
        work(job, store, artifacts, settings, beat)
        log.info("done")
    except Cancelled:
        log.info("cancelled")
        store.jobs.cancelled(job_id, attempt)
    except Drained:
        log.info("asked to stop; goes on later")
        store.jobs.requeue(job_id, attempt)
    except StaleAttempt as error:
        log.warning("%s; stopping", error)
    except (ShareLost, Unavailable):
        # The attempt has not failed, it cannot go on here and now: a death like others, and the next may do.
        log.exception("giving up")
        return 1
    except Exception as error:
        fault = fault_of(error)
        log.exception("failed: %s", fault["message"])
        with suppress(StaleAttempt):
            store.jobs.fail(job_id, attempt, fault)
    return 0


def _take_lock(artifacts: LocalArtifacts, job_id: str) -> FileLock:
    """Take over the lock that the runner holds for us, or take it when somebody starts us by hand."""
    path = artifacts.local_path(paths.lock(job_id))
    descriptor = os.environ.pop(LOCK_VARIABLE, None)
    if descriptor is not None:
        lock = FileLock.adopt(path, int(descriptor))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        if not lock.acquire(_LOCK_SECONDS):
            sys.exit(f"another process has {job_id}")
    lock.write_holder()
    return lock


def _configure_log(level: str) -> None:
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
