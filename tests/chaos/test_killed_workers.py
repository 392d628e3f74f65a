"""A worker that is killed, whenever that is, costs an attempt and nothing else: the model has the same bytes."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from app.care.check import check
from app.files.locks import is_locked, read_holder
from app.jobs.leftovers import ALONE, remove_leftovers
from app.jobs.runner import Runner
from app.states import JobStatus
from app.store.records import JobRecord
from tests.care.installation import at
from tests.jobs.service import Service, new_service, until
from tests.storage.disks import FailingDisk, failing_disk

WORKER = "app.jobs.work.worker"
RECOVERY = 15.0
"""Seconds within which the job of a dead worker runs again."""
MANY = 10**9
JOBS = 4
"""That run beside one another: most of an attempt is the start of a process, which a busy machine is slow at."""
PARTS = 4
"""Of the changes of the disk, for as many processes as run tests: `PARALLEL="-n 4"`."""

Times = Callable[[int, int], int]
Record = Callable[[str, Any], None]
Outcome = tuple[str, list[dict[str, object]]]


def outcome(service: Service, job: JobRecord) -> Outcome:
    """Return what must not depend on disturbances: the weights, and the figures but for times."""
    assert job.status is JobStatus.SUCCEEDED, (job.error, service.log(job.id, job.attempt))
    assert job.model_id is not None
    record = service.store.models.get(job.model_id)
    assert service.artifacts.checksum(record.path) == record.sha256, "the file is torn"
    file = service.artifacts.local_path(record.path).read_bytes()
    weights = file[8 + int.from_bytes(file[:8], "little") :]
    figures = [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in service.store.jobs.metrics(job.id)
    ]
    return hashlib.sha256(weights).hexdigest(), figures


def look_for_debris(service: Service) -> None:
    """Everything that is left after the next start is whole, and somebody's."""
    for runner in service.runners:
        runner.stop(60.0)
    service.runners.clear()
    remove_leftovers(service.store, service.artifacts, ALONE)
    assert check(at(service.data_dir)).findings == []
    assert not list(service.data_dir.rglob(".tmp-*"))


class Mortal:
    """A service whose workers can be killed, and what a job makes that nothing happens to."""

    def __init__(self, service: Service, runner: Runner, disk: FailingDisk) -> None:
        self.service = service
        self.runner = runner
        self.disk = disk
        self.expected: Outcome = ("", [])
        self.seconds = 0.0
        self.changes = 0

    def submit(self) -> str:
        job_id = self.service.train(epochs=2, batch_size=8)
        self.runner.wake()
        return job_id

    def note_expected(self) -> None:
        self.disk.kill_before(MANY)
        job_id = self.submit()
        self.service.worker(job_id)
        began = time.monotonic()
        self.expected = outcome(self.service, self.service.wait_end(job_id))
        self.seconds = time.monotonic() - began
        self.changes = MANY - self.disk.steps_left
        self.disk.kill_before(0)


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mortal]:
    folder = tmp_path_factory.mktemp("mortal")
    with failing_disk(folder, mortal=WORKER) as disk, new_service(folder) as service:
        made = Mortal(service, service.run(checkpoint_seconds=0.1, max_jobs=JOBS), disk)
        made.note_expected()
        yield made
        look_for_debris(service)


def kill_after(service: Service, job_id: str, attempt: int, seconds: float) -> bool:
    """Kill the worker of an attempt after a while; tell whether it was still at work."""
    until(lambda: service.job(job_id).attempt >= attempt, f"attempt {attempt}")
    lock = service.lock(job_id)
    # the server takes the lock, and names the worker in it when that has been started
    until(
        lambda: (is_locked(lock) and read_holder(lock)) or service.job(job_id).status.finished,
        "a worker's start",
    )
    time.sleep(seconds)
    pid = read_holder(lock)
    if pid is None or not is_locked(lock):
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True


def test_kill_9_at_random_points(
    mortal: Mortal, times: Times, chance: random.Random, record_property: Record
) -> None:
    """Several jobs run beside one another; each is killed twice, if it does not end before that."""
    service, wanted = mortal.service, times(200, 1)
    kills, recoveries = [], [0.0]
    window = mortal.seconds

    def kill_some() -> None:
        nonlocal window
        while len(kills) < wanted:
            job_id = mortal.submit()
            for attempt in (1, 2):
                if not kill_after(service, job_id, attempt, chance.uniform(0.0, window)):
                    # a machine that others share is not always as slow as it was when the time was taken
                    window *= 0.8
                    break
                window *= 1.05
                began = time.monotonic()
                kills.append(job_id)
                if until(partial(_came_again, service, job_id, attempt), "the next") == "ended":
                    break
                recoveries.append(time.monotonic() - began)
            assert outcome(service, service.wait_end(job_id)) == mortal.expected

    at_once = min(JOBS, wanted)
    with ThreadPoolExecutor(at_once) as pool:
        for loop in [pool.submit(kill_some) for _ in range(at_once)]:
            loop.result()
    record_property("workers killed:", len(kills))
    record_property(
        "seconds until a job ran again:",
        f"{statistics.median(recoveries):.1f} in half of the cases, at most {max(recoveries):.1f}",
    )
    assert max(recoveries) < RECOVERY


def _came_again(service: Service, job_id: str, attempt: int) -> str | None:
    """Return how a job goes on after the death of an attempt: it ended before that, or the next one runs."""
    job = service.job(job_id)
    if job.status.finished:
        return "ended"
    return "running" if job.attempt > attempt and is_locked(service.lock(job_id)) else None


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_kill_9_before_each_change_of_the_disk(
    mortal: Mortal, times: Times, chance: random.Random, record_property: Record, part: int
) -> None:
    """Of files (before they are opened, synced, renamed, removed) and of pages of the database."""
    steps = range(1 + part, mortal.changes + 1, PARTS)
    wanted = times(len(steps), 1)
    # a run that is quicker than the one that was counted makes fewer checkpoints, and so fewer changes
    likely = steps if wanted >= len(steps) else steps[: max(1, len(steps) // 3)]
    chosen = sorted(chance.sample(likely, min(len(likely), wanted)))
    died = 0
    for step in chosen:
        mortal.disk.kill_before(step)
        job_id = mortal.submit()
        job = mortal.service.wait_end(job_id)
        assert outcome(mortal.service, job) == mortal.expected, f"killed before change {step}"
        died += mortal.disk.steps_left == 0
        mortal.disk.kill_before(0)
    record_property("changes of the disk before which a worker was killed:", f"{died} of {len(steps)}")
    assert died >= 0.8 * len(chosen), "a run makes about as many changes as the one that was counted"
