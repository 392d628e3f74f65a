"""A worker as a program, and the heartbeat that it shows."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from app.errors import StaleAttempt
from app.jobs.faults import fault_of
from app.jobs.heartbeat import INTERVAL, Cancelled, Drained, Heartbeat
from app.jobs.kinds import TRAINING
from app.states import JobStatus
from engine.errors import NonFiniteError, ShapeError
from tests.jobs.service import Service, until


def start_by_hand(service: Service, job_id: str, attempt: int) -> subprocess.CompletedProcess[str]:
    """Run a worker without a runner, from a directory that has nothing to do with it."""
    environment = {**os.environ, **service.settings().environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-P", "-m", "app.jobs.work.worker", job_id, str(attempt)],
        check=False,
        capture_output=True,
        text=True,
        cwd=service.data_dir,
        env=environment,
    )


class TestProgram:
    def test_does_its_attempt(self, service: Service) -> None:
        job_id = service.train(epochs=1)
        service.store.jobs.claim_next([TRAINING.name])
        process = start_by_hand(service, job_id, 1)
        assert process.returncode == 0, process.stderr
        assert service.job(job_id).status is JobStatus.SUCCEEDED

    def test_leaves_a_job_alone_that_is_not_its_own(self, service: Service) -> None:
        job_id = service.train(epochs=1)
        before = service.job(job_id)
        process = start_by_hand(service, job_id, 1)
        assert process.returncode == 0
        assert "is over; stopping" in process.stderr
        assert service.job(job_id) == before

    def test_is_the_only_one(self, service: Service) -> None:
        job_id = service.train()
        service.run()
        service.wait_step(job_id, 1)
        process = start_by_hand(service, job_id, 1)
        assert process.returncode == 1
        assert f"another process has {job_id}" in process.stderr
        assert service.job(job_id).status is JobStatus.RUNNING


class TestHeartbeat:
    @pytest.fixture
    def beat(self, service: Service) -> Heartbeat:
        self.job_id = service.train()
        service.store.jobs.claim_next([TRAINING.name])
        return Heartbeat(service.store, self.job_id, 1)

    def test_writes_at_most_twice_a_second(self, service: Service, beat: Heartbeat) -> None:
        began = time.monotonic()

        def again() -> bool:
            beat({"step": 0})
            return service.job(self.job_id).heartbeat == 2

        until(again, "a second beat")
        assert time.monotonic() - began >= INTERVAL
        beat({"step": -1}, force=True)
        job = service.job(self.job_id)
        assert (job.heartbeat, job.progress) == (3, {"step": -1})

    def test_a_drain_is_seen_at_the_next_call(self, service: Service, beat: Heartbeat) -> None:
        beat({})
        beat.drain()
        with pytest.raises(Drained):
            beat({"step": 2})
        assert service.job(self.job_id).progress == {"step": 2}

    def test_a_cancel_goes_before_a_drain(self, service: Service, beat: Heartbeat) -> None:
        beat({})
        service.store.jobs.request_cancel(self.job_id)
        beat.drain()
        with pytest.raises(Cancelled):
            beat({})

    def test_an_attempt_that_is_over_is_told(self, service: Service, beat: Heartbeat) -> None:
        service.store.jobs.lost(self.job_id, 1)
        with pytest.raises(StaleAttempt, match=f"attempt 1 of {self.job_id}"):
            beat({})

    def test_is_kept_up_during_a_long_call(
        self, service: Service, beat: Heartbeat, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.jobs.heartbeat.INTERVAL", 0.02)
        with beat.kept_up({"stage": "writing"}):
            until(lambda: service.job(self.job_id).heartbeat >= 2, "two beats")
        job = service.job(self.job_id)
        assert job.progress == {"stage": "writing"}
        time.sleep(0.1)
        assert service.job(self.job_id).heartbeat == job.heartbeat, "and no longer"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (NonFiniteError("the loss became NaN"), "non_finite", "the loss became NaN"),
        (
            ShapeError("a window larger than its input", path=("layers", 2), hint="use a smaller one"),
            "invalid",
            "layers[2]: a window larger than its input; use a smaller one",
        ),
        (MemoryError(), "out_of_memory", "smaller batch"),
        (OSError(28, "No space left on device"), "storage", "No space left"),
        (RuntimeError("secret detail"), "internal", "RuntimeError: the log has the details"),
    ],
)
def test_failures_have_a_code(error: Exception, code: str, message: str) -> None:
    fault = fault_of(error)
    assert fault["code"] == code
    assert message in fault["message"]
