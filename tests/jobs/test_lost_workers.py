"""Workers that are killed again and again: what the job says depends on what the system says."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from app.states import ATTEMPTS, JobStatus
from tests.jobs.service import Clock, Service, pause, until


def kill_each_attempt(service: Service, job_id: str, counter: Path, *, counted: bool) -> None:
    """Kill every worker of a job, and let the system count it or not."""
    for attempt in range(1, ATTEMPTS + 1):
        until(lambda attempt=attempt: service.job(job_id).attempt == attempt, f"attempt {attempt}")
        pid = service.worker(job_id)
        if counted:
            counter.write_text(f"oom 9\noom_kill {attempt}\n", encoding="ascii")
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("counted", "code"), [(True, "out_of_memory"), pytest.param(False, "worker_lost", marks=pytest.mark.slow)]
)
def test_a_job_says_what_its_workers_died_of(
    service: Service, tmp_path: Path, counted: bool, code: str
) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("oom 0\noom_kill 0\n", encoding="ascii")
    killed, untouched = service.train(), service.train(epochs=1)
    service.run(kills=counter, max_jobs=2)
    kill_each_attempt(service, killed, counter, counted=counted)
    job = service.wait_end(killed)
    assert (job.status, job.attempt) == (JobStatus.FAILED, ATTEMPTS)
    assert job.error is not None
    assert job.error["code"] == code
    other = service.wait_end(untouched)
    assert (other.status, other.attempt) == (JobStatus.SUCCEEDED, 1)


@pytest.mark.slow
def test_a_worker_that_hung_was_not_short_of_memory(service: Service, tmp_path: Path) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 0\n", encoding="ascii")
    job_id = service.train()
    clock = Clock()
    service.run(kills=counter, clock=clock)
    service.wait_step(job_id, 1)
    for attempt in range(1, ATTEMPTS + 1):
        until(lambda attempt=attempt: service.job(job_id).attempt == attempt, f"attempt {attempt}")
        pid = service.worker(job_id)
        if attempt < ATTEMPTS:
            os.kill(pid, signal.SIGKILL)
        else:
            counter.write_text("oom_kill 1\n", encoding="ascii")
            service.wait_step(job_id, 1)
            pause(service.data_dir, pid)
            clock.pass_by(100.0)
    job = service.wait_end(job_id)
    assert job.error is not None
    assert job.error["code"] == "worker_lost"
