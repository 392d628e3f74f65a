"""Whatever dies, the job ends as if nothing had happened: the same bytes, at most three attempts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.files import paths
from app.files.locks import is_locked
from app.jobs.kinds import TRAINING
from app.states import JobStatus
from app.store.records import JobRecord
from engine.presets.lenet import LENET_5
from tests.jobs.service import DATASET, Clock, Service, new_service, pause, until

ROOT = Path(__file__).parents[2]

SERVER = """
import sys, time
from pathlib import Path
from app.files.artifacts import LocalArtifacts
from app.jobs.runner import Runner
from app.settings import Settings
from app.store import Store

settings = Settings(data_dir=Path(sys.argv[1]), checkpoint_seconds=0.02, cores=1, heartbeat_timeout=30.0)
runner = Runner(Store(settings.data_dir), LocalArtifacts(settings.data_dir), settings)
runner.start()
time.sleep(600)
"""

EPOCHS = 6
STEPS = 64
"""In an epoch, of batches of 4 of the 256 pictures."""


Outcome = tuple[str, list[dict[str, object]]]


def train(service: Service) -> str:
    """Queue a LeNet-5 that takes some seconds."""
    return service.train(epochs=EPOCHS, batch_size=4, architecture=LENET_5.architecture())


@contextmanager
def server(service: Service) -> Iterator[subprocess.Popen[bytes]]:
    """Run jobs in a process that can be killed."""
    with subprocess.Popen([sys.executable, "-c", SERVER, str(service.data_dir)], cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def outcome(service: Service, job: JobRecord) -> Outcome:
    """Return what must not depend on disturbances: the bytes of the model, and the figures but for times."""
    assert job.status is JobStatus.SUCCEEDED, service.log(job.id, job.attempt)
    assert job.model_id is not None
    record = service.store.models.get(job.model_id)
    assert service.artifacts.checksum(record.path) == record.sha256
    figures = [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in service.store.jobs.metrics(job.id)
    ]
    assert [row["epoch"] for row in figures] == list(range(1, EPOCHS + 1))
    return record.sha256, figures


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The outcome of a run that nothing happens to."""
    with new_service(tmp_path_factory.mktemp("undisturbed")) as service:
        job_id = train(service)
        service.run()
        return outcome(service, service.wait_end(job_id))


def goes_on(service: Service, job_id: str, attempt: int) -> int:
    """Return the step that an attempt went on from."""
    line = next(line for line in service.log(job_id, attempt).splitlines() if "from step" in line)
    return int(line.rpartition(" ")[2])


@pytest.mark.slow
def test_a_killed_worker(service: Service, undisturbed: Outcome) -> None:
    job_id = train(service)
    service.run()
    pid = service.worker(job_id)
    before = service.wait_mid_epoch(job_id, STEPS)
    os.kill(pid, signal.SIGKILL)
    job = service.wait_end(job_id)
    assert outcome(service, job) == undisturbed
    assert job.attempt == 2
    assert before.checkpoint is not None
    assert goes_on(service, job_id, 2) >= before.checkpoint["step"]
    assert job.progress["exact_resume"] is True

    def one_checkpoint() -> bool:
        names = service.artifacts.names(paths.directory(job_id))
        return len([name for name in names if "checkpoint" in name]) == 1

    until(one_checkpoint, "the removal of all checkpoints but the last")


@pytest.mark.slow
def test_a_terminated_worker(service: Service, undisturbed: Outcome) -> None:
    job_id = train(service)
    service.run()
    pid = service.worker(job_id)
    service.wait_step(job_id, 5)
    os.kill(pid, signal.SIGTERM)
    until(lambda: "asked to stop" in service.log(job_id, 1), "the drain")
    job = service.wait_end(job_id)
    assert outcome(service, job) == undisturbed
    assert job.attempt == 1, "a drain costs none"
    log = service.log(job_id, 1)
    assert log.count("attempt 1 of training") == 2, "the second start adds to the log of the first"
    last = [line for line in log.splitlines() if "from step" in line][-1]
    assert int(last.rpartition(" ")[2]) >= 5


@pytest.mark.slow
def test_a_hung_worker(service: Service, undisturbed: Outcome) -> None:
    job_id = train(service)
    clock = Clock()
    service.run(clock=clock)
    pid = service.worker(job_id)
    service.wait_mid_epoch(job_id, STEPS)
    pause(service.data_dir, pid)
    clock.pass_by(100.0)
    job = service.wait_end(job_id)
    assert outcome(service, job) == undisturbed
    assert job.attempt > 1


@pytest.mark.slow
def test_a_killed_server_whose_worker_lives(service: Service, undisturbed: Outcome) -> None:
    job_id = train(service)
    with server(service) as process:
        pid = service.worker(job_id)
        service.wait_step(job_id, 5)
        process.kill()
        process.wait()
    assert is_locked(service.lock(job_id)), "it works on without a server"
    service.run()
    job = service.wait_end(job_id)
    assert outcome(service, job) == undisturbed
    assert job.attempt == 1
    assert f"process {pid}" in service.log(job_id, 1)


@pytest.mark.slow
def test_a_killed_server_and_its_worker(service: Service, undisturbed: Outcome) -> None:
    job_id = train(service)
    with server(service) as process:
        pid = service.worker(job_id)
        service.wait_mid_epoch(job_id, STEPS)
        process.kill()
        os.kill(pid, signal.SIGKILL)
        process.wait()
    until(lambda: not is_locked(service.lock(job_id)), "the worker's end")
    assert service.job(job_id).status is JobStatus.RUNNING
    service.run()
    job = service.wait_end(job_id)
    assert outcome(service, job) == undisturbed
    assert job.attempt == 2


@pytest.mark.slow
def test_a_machine_that_slept_has_no_hung_workers(service: Service) -> None:
    job_id = service.train()
    clock = Clock()
    service.run(clock=clock)
    pid = service.worker(job_id)
    service.wait_step(job_id, 5)
    pause(service.data_dir, pid)
    clock.jump(0.0)  # so that the runner has seen the last beat
    clock.jump(100.0)  # longer than it waits for a sign of life
    os.kill(pid, signal.SIGCONT)
    step = service.job(job_id).progress["step"]
    service.wait_step(job_id, step + 1)
    assert service.job(job_id).attempt == 1
    assert service.worker(job_id) == pid


@pytest.mark.slow
def test_an_adopted_worker_that_hangs(service: Service) -> None:
    job_id = service.train()
    with server(service) as process:
        pid = service.worker(job_id)
        service.wait_step(job_id, 5)
        process.kill()
        process.wait()
    pause(service.data_dir, pid)
    clock = Clock()
    service.run(clock=clock)
    clock.jump(0.0)
    clock.pass_by(100.0)
    until(lambda: service.job(job_id).attempt > 1, "the second attempt")
    assert service.worker(job_id) != pid


def test_an_adopted_worker_is_drained_with_its_server(service: Service) -> None:
    job_id = service.train()
    with server(service) as process:
        service.worker(job_id)
        service.wait_step(job_id, 5)
        process.kill()
        process.wait()
    runner = service.run()
    step = service.job(job_id).progress["step"]
    service.wait_step(job_id, step + 1)
    runner.stop(60.0)
    job = service.job(job_id)
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
    assert not is_locked(service.lock(job_id))
    # the next one goes on from where it was
    assert job.checkpoint is not None
    assert job.checkpoint["step"] > step
    service.run()
    until(lambda: service.log(job_id, 1).count("attempt 1 of training") == 2, "the next start")
    service.wait_step(job_id, job.checkpoint["step"] + 1)
    last = [line for line in service.log(job_id, 1).splitlines() if "from step" in line][-1]
    assert int(last.rpartition(" ")[2]) == job.checkpoint["step"]


def test_a_server_killed_between_claim_and_start(service: Service) -> None:
    job_id = service.train(epochs=1)
    assert service.store.jobs.claim_next([TRAINING.name]) is not None
    service.run()
    job = service.wait_end(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)


@pytest.mark.slow
def test_three_deaths_are_a_failure(service: Service) -> None:
    job_id = service.train()
    service.run()
    for attempt in (1, 2, 3):
        until(lambda attempt=attempt: service.job(job_id).attempt == attempt, f"attempt {attempt}")
        os.kill(service.worker(job_id), signal.SIGKILL)
    job = service.wait_end(job_id)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error["code"] == "worker_lost"
    assert not service.store.datasets.in_use(DATASET)


@pytest.mark.slow
def test_a_worker_whose_attempt_is_over_leaves_without_a_trace(service: Service) -> None:
    job_id = service.train()
    runner = service.run()
    pid = service.worker(job_id)
    service.wait_step(job_id, 5)
    # What a second server on the same directory would do, if the lock of the directory let it.
    pause(service.data_dir, pid)
    service.store.jobs.lost(job_id, 1)
    service.store.jobs.request_cancel(job_id)
    service.store.jobs.delete(job_id)
    os.kill(pid, signal.SIGCONT)
    until(lambda: not is_locked(service.lock(job_id)), "the worker's end")
    assert "attempt 1 of " in service.log(job_id, 1)
    assert "is over; stopping" in service.log(job_id, 1)
    assert service.store.jobs.page(10).data == ()
    assert service.store.models.page(10).data == ()
    assert runner.silent is not None


@pytest.mark.slow
def test_a_cancelled_job_whose_worker_dies_is_cancelled(service: Service) -> None:
    job_id = service.train()
    service.run()
    pid = service.worker(job_id)
    service.wait_step(job_id, 3)
    pause(service.data_dir, pid)
    service.store.jobs.request_cancel(job_id)
    os.kill(pid, signal.SIGKILL)
    job = service.wait_end(job_id)
    assert (job.status, job.attempt, job.error) == (JobStatus.CANCELLED, 1, None)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_a_new_start(service: Service) -> None:
    job_id = service.train(epochs=3)
    runner = service.run()
    service.wait_step(job_id, 3)
    runner.stop(60.0)
    checkpoint = service.job(job_id).checkpoint
    assert checkpoint is not None
    path = service.artifacts.local_path(checkpoint["name"])
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    service.run()
    job = service.wait_end(job_id)
    assert job.status is JobStatus.SUCCEEDED
    assert "cannot go on from" in service.log(job_id, 1)
