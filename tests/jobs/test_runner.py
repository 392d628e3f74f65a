"""The runner: who is started, how many at once, and what becomes of those that are stopped."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

import pytest

from app.files import paths
from app.files.locks import FileLock, is_locked
from app.ids import DATASET as DATASET_PREFIX
from app.ids import JOB, new_id
from app.jobs import logs as logs_module
from app.jobs import runner as runner_module
from app.jobs.kinds import BATCH_PART, BATCH_PREDICTION, INGESTION
from app.jobs.launcher import WAITING_CORES, Attempt, NotStarted
from app.jobs.processes import LocalLauncher
from app.jobs.runner import Runner
from app.states import JobStatus
from app.store.records import DatasetRecord, JobRecord
from engine.model.model_file import read_model
from engine.recipe.optimizers import SGD
from tests.jobs.service import PATIENCE, Clock, Service, pause, until


def test_a_job_becomes_a_model(service: Service) -> None:
    job_id = service.train(epochs=2)
    service.run()
    job = service.wait_end(job_id)
    assert (job.status, job.attempt, job.error) == (JobStatus.SUCCEEDED, 1, None)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at
    assert job.progress["fraction"] == 1.0
    assert (job.progress["epoch"], job.progress["step"], job.progress["steps"]) == (2, 32, 32)
    figures = service.store.jobs.metrics(job_id)
    assert [row["epoch"] for row in figures] == [1, 2]
    assert job.metrics == figures[-1]
    assert job.model_id is not None
    record = service.store.models.get(job.model_id)
    assert record.training_job_id == job_id
    assert record.metrics["kept_epoch"] in (1, 2)
    assert 0.0 <= record.metrics["test_accuracy"] <= 1.0
    assert service.artifacts.checksum(record.path) == record.sha256
    model = read_model(service.artifacts.local_path(record.path))
    assert list(model.classes) == record.classes == [str(label) for label in range(10)]
    assert model.architecture.document() == record.architecture
    assert job.checkpoint is not None
    files = [name.rpartition("/")[2] for name in service.artifacts.names(paths.directory(job_id))]
    assert files == ["attempt-1.log", job.checkpoint["name"].rpartition("/")[2], "lock", "report.json"]
    log = service.log(job_id, 1)
    assert "epoch=2" in log
    assert "done" in log
    until(lambda: not is_locked(service.lock(job_id)), "the worker's end")


@pytest.mark.slow
def test_never_more_than_allowed_and_the_rest_waits(service: Service) -> None:
    jobs = [service.train(epochs=12) for _ in range(4)]
    service.run(max_jobs=2)
    most = 0
    while not all(service.job(job).status.finished for job in jobs):
        active = service.store.jobs.active()
        holders = [job for job in jobs if is_locked(service.lock(job))]
        assert len(active) <= 2
        # One that has just finished may still be leaving when the next has begun to wait for a place.
        assert len(holders) <= 2
        most = max(most, len(holders))
        time.sleep(0.01)
    assert most == 2
    finished = [service.job(job) for job in jobs]
    assert {job.status for job in finished} == {JobStatus.SUCCEEDED}
    assert {job.attempt for job in finished} == {1}


def test_the_next_job_starts_when_the_worker_before_it_has_left(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a caller sees it who waits for the end of one job and then asks for another."""
    # looks come of `wake`, and of what is tested here
    monkeypatch.setattr(runner_module, "INTERVAL", 10 * PATIENCE)
    first = service.train(epochs=1)
    runner = service.run(max_jobs=1)
    service.wait_end(first)
    following = service.train(epochs=1)
    runner.wake()
    service.wait_status(following, JobStatus.RUNNING, JobStatus.SUCCEEDED)


def test_an_upload_is_not_stuck_behind_a_training(service: Service) -> None:
    service.train()
    dataset = DatasetRecord(new_id(DATASET_PREFIX), "mine")
    request = {"dataset_id": dataset.id, "upload": "uploads/00", "options": {"nonsense": 1}}
    upload = JobRecord(new_id(JOB), INGESTION.name, request, dataset_id=dataset.id)
    service.store.datasets.create(dataset, upload)
    service.run(max_jobs=1)
    job = service.wait_end(upload.id)
    assert job.status is JobStatus.FAILED
    assert service.store.datasets.get(dataset.id).status == "failed"
    assert len(service.store.jobs.active()) == 1


def test_cancelling_keeps_what_was_reached(service: Service) -> None:
    job_id = service.train()
    runner = service.run()
    service.wait_step(job_id, 5)
    service.store.jobs.request_cancel(job_id)
    runner.wake()
    job = service.wait_end(job_id)
    assert (job.status, job.error, job.model_id) == (JobStatus.CANCELLED, None, None)
    assert job.checkpoint is not None
    assert service.artifacts.checksum(job.checkpoint["name"]) == job.checkpoint["sha256"]
    assert job.checkpoint["step"] >= 5


def test_a_loss_that_is_not_finite_fails_at_once(service: Service) -> None:
    job_id = service.train(optimizer=SGD(learning_rate=1e30))
    service.run()
    job = service.wait_end(job_id)
    assert (job.status, job.attempt, job.model_id) == (JobStatus.FAILED, 1, None)
    assert job.error is not None
    assert job.error["code"] == "non_finite"
    assert "NaN or infinite in step" in job.error["message"]


def test_a_job_that_cannot_be_done_says_why(service: Service) -> None:
    # What the web process would have refused; settings can have changed since.
    job_id = service.train()
    service.run(max_parameters=100)
    job = service.wait_end(job_id)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert "at most 100" in job.error["message"]
    assert "Traceback" in service.log(job_id, 1)


def test_stopping_puts_jobs_back_at_no_cost(service: Service) -> None:
    job_id = service.train()
    runner = service.run()
    service.wait_step(job_id, 3)
    assert runner.silent is not None
    runner.stop(60.0)
    assert runner.silent is None
    job = service.job(job_id)
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
    assert job.checkpoint is not None
    assert job.checkpoint["step"] >= 3
    assert not is_locked(service.lock(job_id))
    runner.stop(60.0)


def test_stopping_right_after_a_start_costs_nothing(service: Service) -> None:
    job_id = service.train()
    runner = service.run()
    until(lambda: is_locked(service.lock(job_id)), "a process")
    runner.stop(60.0)
    job = service.job(job_id)
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
    assert "asked to stop" in service.log(job_id, 1)


def test_one_that_does_not_stop_is_killed_at_no_cost(service: Service) -> None:
    job_id = service.train()
    runner = service.run()
    pid = service.worker(job_id)
    service.wait_step(job_id, 3)
    pause(service.data_dir, pid)
    runner.stop(0.3)
    job = service.job(job_id)
    assert (job.status, job.attempt) == (JobStatus.QUEUED, 0)
    assert not is_locked(service.lock(job_id))


def test_a_job_waits_for_the_process_that_still_has_it(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = service.train(epochs=1)
    path = service.lock(job_id)
    path.parent.mkdir(parents=True)
    with FileLock(path) as lock:
        assert lock.acquire()
        clock = Clock()
        service.run(clock=clock)
        until(lambda: "worker_not_started" in caplog.messages, "a try")
        until(lambda: service.store.jobs.active() == (), "its end")
        assert (service.job(job_id).status, service.job(job_id).attempt) == (JobStatus.QUEUED, 0)
    clock.jump(10.0)  # longer than it waits before it tries again
    job = service.wait_end(job_id)
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux shows it")
def test_secrets_stay_out_of_workers(service: Service) -> None:
    job_id = service.train()
    service.run(api_key="do-not-pass-me-on")
    pid = service.worker(job_id)
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"CONVSERVE_DATA_DIR=" in environment
    assert b"do-not-pass-me-on" not in environment


class StuckLauncher(LocalLauncher):
    """One whose start does not come back until it is let."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.artifacts, service.settings())
        self.let = threading.Event()

    def start(self, job_id: str, attempt: int, threads: float, memory: int | None = None) -> Attempt:
        self.let.wait()
        raise NotStarted("it was never meant to")


def test_it_is_known_how_long_a_look_takes(service: Service) -> None:
    launcher = StuckLauncher(service)
    runner = Runner(service.store, service.artifacts, service.settings(), launcher)
    service.runners.append(runner)
    runner.start()
    service.train()
    runner.wake()
    until(lambda: (runner.silent or 0.0) > 1.5, "a look that takes longer than the pause between two")
    launcher.let.set()
    until(lambda: (runner.silent or 9.0) < 1.0, "its end")


class FullLauncher(LocalLauncher):
    """One that has no room, and notes how many cores it was asked for."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.artifacts, service.settings())
        self.asked: dict[str, float] = {}

    def start(self, job_id: str, attempt: int, threads: float, memory: int | None = None) -> Attempt:
        self.asked[job_id] = threads
        raise NotStarted("there is no room")


def test_a_job_gets_the_cores_that_it_computes_on(service: Service) -> None:
    launcher = FullLauncher(service)
    whole = JobRecord("batch_x", BATCH_PREDICTION.name, {"part_images": 10})
    service.store.jobs.create(whole)
    claimed = service.store.jobs.claim_next([whole.kind])
    assert claimed is not None
    part = JobRecord("part_x_0001", BATCH_PART.name, {}, part_of=whole.id)
    service.store.job_parts.create(whole.id, claimed.attempt, [part])
    service.store.jobs.requeue(whole.id, claimed.attempt)
    training = service.train()
    runner = Runner(service.store, service.artifacts, service.settings(cores=2), launcher)
    service.runners.append(runner)
    runner.start()
    until(lambda: len(launcher.asked) == 3, "all")
    assert launcher.asked == {whole.id: WAITING_CORES, part.id: 1, training: 2}


class Over:
    """An attempt whose process is gone."""

    place = "nowhere"

    def alive(self) -> bool:
        return False

    def waiting(self) -> bool:
        return False

    def starved(self) -> bool:
        return False

    def stop(self) -> None: ...

    def kill(self) -> None: ...


class EndingLauncher(LocalLauncher):
    """Every attempt has failed at once; what is left of it may not be written."""

    def __init__(self, service: Service, refuses: str | None) -> None:
        super().__init__(service.artifacts, service.settings())
        self.store, self.refuses = service.store, refuses
        self.started: list[str] = []
        self.tidied: set[str] = set()

    def start(self, job_id: str, attempt: int, threads: float, memory: int | None = None) -> Attempt:
        self.started.append(job_id)
        self.store.jobs.fail(job_id, attempt, {"code": "invalid", "message": "no"})
        return Over()

    def tidy(self, job_id: str, attempt: int) -> bool:
        if self.refuses == "tidy":
            raise OSError(errno.EIO, "Input/output error")
        self.tidied.add(job_id)
        return True

    def look_back(self) -> bool:
        if self.refuses == "look_back":
            raise OSError(errno.EIO, "Input/output error")
        return True


@pytest.mark.parametrize("refuses", ["tidy", "look_back", "take_in", "glob"])
def test_logs_that_cannot_be_kept_keep_no_job_waiting(
    service: Service, refuses: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(type(service.artifacts), "shared", True)
    if refuses == "take_in":
        monkeypatch.setattr(service.artifacts, "take_in", refuse)
    if refuses == "glob":
        monkeypatch.setattr(logs_module, "is_locked", refuse)
    launcher = EndingLauncher(service, refuses)
    jobs = [service.train() for _ in range(3)]
    for job_id in jobs:
        log = service.artifacts.here(paths.log(job_id, 1))
        log.parent.mkdir(parents=True)
        log.write_bytes(b"what was printed")
    runner = Runner(service.store, service.artifacts, service.settings(max_jobs=1), launcher)
    service.runners.append(runner)
    runner.start()
    until(lambda: runner.wake() or len(launcher.started) == len(jobs), "the start of all")
    assert sorted(launcher.started) == sorted(jobs)
    launcher.refuses = None
    until(lambda: runner.wake() or launcher.tidied == set(jobs), "that what is left of them is kept")
    said = [record.message for record in caplog.records if record.message != "job_ended"]
    assert set(said) < {"log_not_kept", "logs_not_kept", "log_not_taken_in", "logs_not_found"}
    assert 1 <= len(said) <= len(jobs), "not at every look"
