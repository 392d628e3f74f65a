"""What the runner may rely on of every launcher: start, find, stop, kill, and what is known of one that is gone.

Each function is a test of one launcher: `make` makes it as a server does that starts; a second call is another server.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from app.files import paths
from app.files.locks import is_locked
from app.jobs.kinds import TRAINING
from app.jobs.launcher import Attempt, Launcher, NotStarted
from app.states import JobStatus
from tests.jobs.service import Service, until

MakeLauncher = Callable[[], Launcher]


def start(service: Service, launcher: Launcher) -> tuple[str, Attempt]:
    """Claim a job that would run for hours, as a runner does, and start its first attempt."""
    job_id = service.train()
    assert service.store.jobs.claim_next([TRAINING.name]) is not None
    return job_id, launcher.start(job_id, 1, threads=1, memory=100_000_000)


def gone(attempt: Attempt) -> None:
    """Wait for the end of an attempt."""
    until(lambda: not attempt.alive(), "the end of the attempt")


def check_an_attempt_is_started_once_found_and_stopped(service: Service, make: MakeLauncher) -> None:
    """It is found while it lives, by whoever asks, and saves itself when it is asked to stop."""
    here = make()
    job_id, attempt = start(service, here)
    assert attempt.alive()
    found = here.find(job_id, 1)
    assert found is not None
    assert found.alive()
    assert attempt.place
    with pytest.raises(NotStarted):
        here.start(job_id, 2, threads=1)
    service.wait_step(job_id, 1)
    assert not attempt.waiting()
    attempt.stop()
    gone(attempt)
    # It has saved itself, and the job can go on.
    assert (service.job(job_id).status, service.job(job_id).attempt) == (JobStatus.QUEUED, 0)
    until(lambda: here.find(job_id, 1) is None, "that nobody finds it")
    assert not found.alive()
    assert here.paused(job_id, 1) is None
    assert here.refused(job_id, 1) is None
    for late in (attempt, found):
        late.stop()
        late.kill()


def keep(service: Service, launcher: Launcher, job_id: str, starts: int = 1) -> None:
    """Have a launcher let go of an attempt, until all that it has printed is kept: a node may be slow to tell."""

    def kept() -> bool:
        launcher.tidy(job_id, 1)
        if not service.artifacts.exists(paths.log(job_id, 1)):
            return False
        return service.log(job_id, 1).count(f"attempt 1 of training {job_id}") == starts

    until(kept, "what it has printed")


def check_an_attempt_outlives_its_launcher_and_can_be_killed(service: Service, make: MakeLauncher) -> None:
    """One that hangs is killed by another server than the one that started it, and what it printed is kept."""
    job_id, attempt = start(service, make())
    service.wait_step(job_id, 1)
    here = make()
    found = here.find(job_id, 1)
    assert found is not None
    os.kill(service.worker(job_id), signal.SIGSTOP)
    found.kill()
    gone(found)
    gone(attempt)
    assert here.paused(job_id, 1) is None
    assert not found.starved()
    assert service.job(job_id).status is JobStatus.RUNNING, "what its death means is for the runner to say"
    keep(service, here, job_id)
    assert here.printed(job_id, 1) == b""
    until(lambda: not is_locked(service.lock(job_id)), "the end of the process")


def check_the_number_of_an_attempt_can_be_used_again(service: Service, make: MakeLauncher) -> None:
    """As after a worker that was asked to stop, which costs no attempt; both print into one log."""
    here = make()
    job_id, attempt = start(service, here)
    service.wait_step(job_id, 1)
    attempt.stop()
    gone(attempt)
    keep(service, here, job_id)
    assert service.store.jobs.claim_next([TRAINING.name]) is not None

    def started() -> Attempt | None:
        try:
            return here.start(job_id, 1, threads=1)
        except NotStarted:
            return None

    again: Attempt = until(started, "that it is let go of")
    service.wait_step(job_id, service.job(job_id).progress["step"] + 1)
    again.stop()
    gone(again)
    keep(service, here, job_id, starts=2)


CHECKS = (
    check_an_attempt_is_started_once_found_and_stopped,
    check_an_attempt_outlives_its_launcher_and_can_be_killed,
    check_the_number_of_an_attempt_can_be_used_again,
)
