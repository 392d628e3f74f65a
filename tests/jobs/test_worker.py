"""A worker as a program, and the heartbeat that it shows."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Any

import pytest

from app.errors import StaleAttempt
from app.files import paths
from app.files.artifacts import LocalArtifacts, Written
from app.jobs.faults import fault_of, passing_fault
from app.jobs.heartbeat import INTERVAL, Cancelled, Drained, Heartbeat
from app.jobs.kinds import TRAINING
from app.jobs.work import train
from app.states import JobStatus
from engine.errors import NonFiniteError, ShapeError
from tests.jobs.service import Service, until

PROGRAM = ("-m", "app.jobs.work.worker")
WATCHED = """
import gc, sys
from app.jobs.work.worker import main
early = []
gc.callbacks.append(lambda phase, found: early.append("app.jobs.work.train" not in sys.modules))
status = main()
print(any(early), gc.isenabled(), gc.get_freeze_count() > 10_000)
sys.exit(status)
"""
"""The same program; it says whether it has looked for garbage before all was imported, and does so now elsewhere."""


def start_by_hand(
    service: Service, job_id: str, attempt: int, program: Sequence[str] = PROGRAM
) -> subprocess.CompletedProcess[str]:
    """Run a worker without a runner, from a directory that has nothing to do with it."""
    environment = {**os.environ, **service.settings().environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-P", *program, job_id, str(attempt)],
        check=False,
        capture_output=True,
        text=True,
        cwd=service.data_dir,
        env=environment,
    )


def test_a_checkpoint_that_the_row_names_is_never_written_over(service: Service) -> None:
    """Who dies between the file and the row would else leave a row that names other bytes."""
    job_id = service.train(epochs=3)
    job = service.store.jobs.claim_next([TRAINING.name])
    assert job is not None
    written = []

    class Watched(LocalArtifacts):
        def write(self, name: str, content: bytes | Callable[[IO[bytes]], Any]) -> Written:
            assert name != (service.job(job_id).checkpoint or {}).get("name")
            if paths.CHECKPOINT in name:
                written.append(name)
            return super().write(name, content)

    settings = service.settings(checkpoint_seconds=1e-6)
    beat = Heartbeat(service.store, job_id, 1)
    train.run(job, service.store, Watched(service.data_dir), settings, beat)
    assert len(written) > 3 * 16, "one at each step, and one at the end of each epoch"
    left = [name for name in service.artifacts.names(paths.directory(job_id)) if paths.CHECKPOINT in name]
    assert left == [written[-1]]


class TestProgram:
    def test_does_its_attempt(self, service: Service) -> None:
        job_id = service.train(epochs=1)
        service.store.jobs.claim_next([TRAINING.name])
        process = start_by_hand(service, job_id, 1)
        assert process.returncode == 0, process.stderr
        assert service.job(job_id).status is JobStatus.SUCCEEDED

    def test_looks_for_no_garbage_in_what_it_imports(self, service: Service) -> None:
        job_id = service.train(epochs=1)
        service.store.jobs.claim_next([TRAINING.name])
        process = start_by_hand(service, job_id, 1, ("-c", WATCHED))
        assert (process.returncode, process.stdout.split()) == (0, ["False", "True", "True"]), process.stderr

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

    def test_an_attempt_that_is_over_is_told_after_a_long_call(
        self, service: Service, beat: Heartbeat, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.jobs.heartbeat.INTERVAL", 0.02)
        asked = threading.Event()
        heard = service.store.jobs.beat

        def tell(*arguments: Any) -> str:
            answer = heard(*arguments)
            asked.set()
            return answer

        monkeypatch.setattr(service.store.jobs, "beat", tell)
        service.store.jobs.lost(self.job_id, 1)
        with pytest.raises(StaleAttempt), beat.kept_up({"stage": "writing"}):
            assert asked.wait(60)
        with pytest.raises(OSError, match="first"), beat.kept_up({"stage": "writing"}):
            raise OSError("what went wrong first")


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
        (OSError(12, "Cannot allocate memory"), "out_of_memory", "smaller batch"),
        (
            FileNotFoundError(2, "No such file or directory", "/srv/a"),
            "storage",
            "written: No such file or directory",
        ),
        (RuntimeError("secret detail"), "internal", "RuntimeError: the log has the details"),
    ],
)
def test_failures_have_a_code(error: Exception, code: str, message: str) -> None:
    fault = fault_of(error)
    assert fault["code"] == code
    assert message in fault["message"]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (OSError(28, "No space left on device"), "full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "full"),
        (OSError(30, "Read-only file system"), "unavailable"),
        (OSError(5, "Input/output error"), "unavailable"),
        (OSError(12, "Cannot allocate memory"), None),
        (FileNotFoundError(2, "No such file or directory"), None),
        (ShapeError("a window larger than its input"), None),
    ],
)
def test_what_is_the_fault_of_the_disk_passes(error: Exception, state: str | None) -> None:
    wrapped = RuntimeError("of another")
    wrapped.__cause__ = error
    for shown in (error, wrapped) if state is not None else (error,):
        fault = passing_fault(shown)
        assert (fault and fault.state) == state
