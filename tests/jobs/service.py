"""A data directory, and jobs that run on it in real processes: what the tests of jobs share."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from app.api.pictures import PictureSpec
from app.builtin.digits import DIGITS_CLASSES, DIGITS_SHAPE
from app.datasets import segments, storage
from app.datasets.options import DatasetOptions
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.locks import is_locked, read_holder
from app.ids import JOB, new_id
from app.jobs.kinds import TRAINING
from app.jobs.processes import LocalLauncher
from app.jobs.requests import TrainingRequest
from app.jobs.runner import Runner
from app.settings import Settings
from app.states import JobStatus
from app.store import Store
from app.store.database import DATABASE_NAME
from app.store.records import DatasetRecord, JobRecord
from engine.graph.architecture import Architecture
from tests.digits import load_digits

DATASET = "ds_few_digits"
PATIENCE = 120.0
HELD_OUT = 32
"""Pictures of the dev and of the test split."""

SMALL_NETWORK = {
    "input_shape": [28, 28, 1],
    "layers": [
        {"type": "conv2d", "filters": 4, "kernel_size": 5, "stride": 2, "activation": "relu"},
        {"type": "batch_norm"},
        {"type": "flatten"},
        {"type": "dropout", "rate": 0.2},
        {"type": "dense", "units": 10},
    ],
}


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
    return found


def anonymous(pid: int) -> int:
    """Return the bytes of a process that are in no file, 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(found[0]) * 1024 if found else 0


def pause(data_dir: Path, pid: int) -> None:
    """Stop a worker as a hung machine would, at a moment when it is not writing: others are to go on."""
    with closing(
        sqlite3.connect(data_dir / DATABASE_NAME, timeout=PATIENCE, isolation_level=None)
    ) as database:
        database.execute("BEGIN IMMEDIATE")
        os.kill(pid, signal.SIGSTOP)
        database.execute("ROLLBACK")


class Clock:
    """The clock of a runner, which a test puts forward."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._reads = 0
        self.wake: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        self._reads += 1
        return time.monotonic() + self._ahead

    def jump(self, seconds: float) -> None:
        """Put it forward, and wait until the runner has looked once by the new time."""
        self._ahead += seconds
        # The second look begins when the first is over.
        enough = self._reads + 2

        def looked() -> bool:
            self.wake()
            return self._reads >= enough

        until(looked, "a look of the runner")

    def pass_by(self, seconds: float) -> None:
        """Let time go by in steps, so that the runner does not take it for a sleep of the machine."""
        for _ in range(4):
            self.jump(seconds / 4)


@dataclass
class Service:
    """A data directory and what works on it."""

    data_dir: Path
    images: int
    store: Store = field(init=False)
    artifacts: LocalArtifacts = field(init=False)
    runners: list[Runner] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(self.data_dir)
        self.store.migrate()
        self.artifacts = LocalArtifacts(self.data_dir)

    def settings(self, **changes: Any) -> Settings:
        values = {
            "data_dir": self.data_dir,
            "checkpoint_seconds": 0.02,
            "heartbeat_timeout": 60.0,
            "cores": 1,
        }
        return Settings(**(values | changes))

    def run(self, *, kills: Path | None = None, clock: Clock | None = None, **changes: Any) -> Runner:
        """Start a runner, as a server does when it starts; `kills` is where the system counts what it kills."""
        settings = self.settings(**changes)
        launcher = LocalLauncher(self.artifacts, settings, kills)
        runner = Runner(self.store, self.artifacts, settings, launcher, clock or time.monotonic)
        if clock is not None:
            clock.wake = runner.wake
        self.runners.append(runner)
        runner.start()
        return runner

    def train(self, **changes: Any) -> str:
        """Put a training job into the queue; without changes it would run for hours."""
        values: dict[str, Any] = {
            "name": "small",
            "architecture": Architecture.model_validate(SMALL_NETWORK),
            "dataset": DATASET,
            "dataset_images": self.images,
            "epochs": 100_000,
            "batch_size": 16,
        }
        request = TrainingRequest(**(values | changes))
        job = JobRecord(new_id(JOB), TRAINING.name, request.document(), dataset_id=DATASET)
        return self.store.jobs.create(job).id

    def job(self, job_id: str) -> JobRecord:
        return self.store.jobs.get(job_id)

    def lock(self, job_id: str) -> Path:
        return self.artifacts.local_path(paths.lock(job_id))

    def worker(self, job_id: str) -> int:
        """Wait for the worker of a job and return its process id."""
        pid: int = until(
            lambda: is_locked(self.lock(job_id)) and read_holder(self.lock(job_id)), "a worker's start"
        )
        return pid

    def log(self, job_id: str, attempt: int) -> str:
        return self.artifacts.local_path(paths.log(job_id, attempt)).read_text()

    def wait_status(self, job_id: str, *statuses: JobStatus) -> JobRecord:
        until(lambda: self.job(job_id).status in statuses, f"status {statuses}")
        return self.job(job_id)

    def wait_end(self, job_id: str) -> JobRecord:
        job: JobRecord = until(lambda: (job := self.job(job_id)).status.finished and job, "the end")
        return job

    def wait_step(self, job_id: str, step: int) -> JobRecord:
        """Wait until a job says that it has done so many steps."""
        job: JobRecord = until(
            lambda: (job := self.job(job_id)).progress.get("step", 0) >= step and job, f"step {step}"
        )
        return job

    def wait_mid_epoch(self, job_id: str, steps_per_epoch: int) -> JobRecord:
        """Wait for a checkpoint that is not one of the end of an epoch."""
        job: JobRecord = until(
            lambda: (job := self.job(job_id)).checkpoint and job.checkpoint["step"] % steps_per_epoch and job,
            "a checkpoint within an epoch",
        )
        return job

    def close(self) -> None:
        for runner in self.runners:
            runner.stop(0.0)
        # What a test has left behind, were it stopped or without a runner.
        for lock in self.data_dir.glob("jobs/*/lock"):
            if is_locked(lock) and (pid := read_holder(lock)):
                os.kill(pid, signal.SIGKILL)
        self.store.close()


@contextmanager
def new_service(directory: Path) -> Iterator[Service]:
    """Make a service with 256 training pictures, and leave no process behind."""
    service = Service(directory / "data", images=256 + 2 * HELD_OUT)
    try:
        install_digits(service)
        yield service
    finally:
        service.close()


def install_digits(service: Service) -> None:
    """Store the first few digits of each split as a data set."""
    digits = load_digits()
    sizes = (service.images - 2 * HELD_OUT, HELD_OUT, HELD_OUT)
    chosen = np.concatenate([np.flatnonzero(digits.splits == split)[:n] for split, n in enumerate(sizes)])
    options = DatasetOptions(picture=PictureSpec(image_shape=DIGITS_SHAPE)).model_dump(mode="json")
    service.store.datasets.create(DatasetRecord(DATASET, "few digits", options=options))
    segment = segments.write_segment(
        service.artifacts,
        DATASET,
        number=1,
        image_shape=DIGITS_SHAPE,
        classes=len(DIGITS_CLASSES),
        pictures=zip(digits.images[chosen], digits.labels[chosen].tolist(), strict=True),
        draw=lambda labels: digits.splits[chosen],
    )
    service.store.datasets.finish(DATASET, storage.describe(segment, DIGITS_CLASSES, DIGITS_SHAPE, {}))
