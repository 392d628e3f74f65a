"""A server that is killed in the middle of anything: what was answered is there, and nothing is left over."""

from __future__ import annotations

import itertools
import random
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.care.check import check
from app.cli.launch import LaunchError, ServerProcess
from tests.care.installation import at, unpack
from tests.conftest import DEADLINE, connect, wait_for
from tests.http.several import TRAINING, pictures, submit, wait_end, wait_made
from tests.storage.disks import FailingDisk, failing_disk

pytestmark = pytest.mark.slow

SETTINGS = {"BUILTIN_MODELS": "false", "CORES": "1", "CHECKPOINT_SECONDS": "0.05", "GRACE_SECONDS": "60"}
MANY = 10**9
MOST_CHANGES = 600
"""A server dies before one of so many changes of its disk."""
READY = 2.0
"""Seconds within which a server is ready, on a machine that has nothing else to do."""

Times = Callable[[int, int], int]
Record = Callable[[str, Any], None]


class Callers:
    """Who works with a server until it dies, and remembers what was answered."""

    def __init__(self) -> None:
        self.datasets: set[str] = set()
        self.deleted: set[str] = set()
        self.trained: set[str] = set()
        self.versions: set[str] = set()
        """Where the alias may be: where the last answer said, or where the call that died was to move it."""
        self.over = threading.Event()

    def work(self, url: str) -> None:
        """Upload, train, delete and move an alias, until nobody answers."""
        with ThreadPoolExecutor(3) as pool:
            for loop in [
                pool.submit(self._repeat, url, what) for what in (self._upload, self._train, self._move)
            ]:
                loop.result()

    def _repeat(self, url: str, what: Callable[[httpx.Client], None]) -> None:
        with suppress(httpx.TransportError), connect(url) as http:
            while not self.over.is_set():
                what(http)

    def _upload(self, http: httpx.Client) -> None:
        form = {"image_size": "8", "channels": "1"}
        answer = http.post("/v1/datasets", data=form, files={"file": ("a.zip", pictures())})
        assert answer.status_code == 202, answer.text
        dataset = str(answer.json()["id"])
        self.datasets.add(dataset)
        if len(self.datasets) % 2:
            return
        while http.get(f"/v1/datasets/{dataset}").json()["status"] == "ingesting":
            self.over.wait(0.1)
        self.datasets.discard(dataset)  # nobody knows, until it is answered
        assert http.delete(f"/v1/datasets/{dataset}").status_code == 204
        self.deleted.add(dataset)

    def _train(self, http: httpx.Client) -> None:
        self.trained.add(submit(http))
        self.over.wait(1.0)

    def _move(self, http: httpx.Client) -> None:
        before = min(self.versions)
        after = "2" if before == "1" else "1"
        self.versions = {before, after}
        answer = http.put("/v1/models/moved/aliases/live", json={"model_id": f"moved@{after}"})
        assert answer.status_code in (200, 201), answer.text
        self.versions = {after}

    def look(self, http: httpx.Client) -> None:
        """Find everything as it was answered."""
        for dataset in self.deleted:
            assert http.get(f"/v1/datasets/{dataset}").status_code == 404, dataset
        for dataset in self.datasets:
            assert http.get(f"/v1/datasets/{dataset}").status_code == 200, dataset
        for job in self.trained:
            assert http.get(f"/v1/training-jobs/{job}").status_code == 200, job
        version = str(http.get("/v1/models/moved@live").json()["version"])
        assert version in self.versions
        self.versions = {version}


@pytest.fixture
def disk(tmp_path: Path) -> Any:
    with failing_disk(tmp_path, mortal="serve") as disk:
        yield disk


def start(server: ServerProcess) -> tuple[str, float]:
    """Start a server; return its address and how long that took."""
    began = time.monotonic()
    return server.start(DEADLINE), time.monotonic() - began


def test_kill_9_during_jobs_uploads_deletes_and_alias_switches(
    disk: FailingDisk, tmp_path: Path, times: Times, chance: random.Random, record_property: Record
) -> None:
    server = ServerProcess(disk.data, tmp_path / "log", SETTINGS)
    callers, starts = Callers(), []
    with connect(server.start()) as http:
        for seed in (1, 2):
            ended = wait_end(http, submit(http, TRAINING | {"name": "moved", "seed": seed}), wait_for)
            assert ended["status"] == "succeeded"
        callers.versions = {"1", "2"}
        callers._move(http)
    server.stop()
    deaths = times(40, 1)
    for _ in range(deaths):
        url, seconds = start(server)
        starts.append(seconds)
        with connect(url) as http:
            callers.look(http)
        disk.kill_before(chance.randint(1, MOST_CHANGES))
        callers.work(url)
        wait_for(lambda: disk.steps_left == 0, "the death of the server")
        server.kill()
    with connect(server.start()) as http:
        callers.look(http)
        for dataset in callers.datasets:
            assert wait_made(http, dataset, wait_for)["status"] == "ready"
        for job in callers.trained:
            assert wait_end(http, job, wait_for)["status"] == "succeeded"
    server.stop()
    assert check(at(disk.data)).findings == []
    assert not list(disk.data.rglob(".tmp-*"))
    record_property("servers killed at work:", deaths)
    record_property(
        "seconds until a server was ready again:",
        f"{min(starts):.1f}, in half of the cases {sorted(starts)[deaths // 2]:.1f}",
    )
    assert min(starts) < 10 * READY


def test_kill_9_before_each_change_of_a_migration(
    disk: FailingDisk, tmp_path: Path, times: Times, chance: random.Random, record_property: Record
) -> None:
    old = unpack(tmp_path / "old")
    shutil.copytree(old, disk.data)
    with ServerProcess(disk.data, tmp_path / "log", SETTINGS):
        pass
    undisturbed = check(at(disk.data)).findings  # the packed directory has no files of what is built in
    shutil.rmtree(disk.data)
    died = 0
    for step in itertools.islice(_steps(chance), times(60, 1)):
        shutil.copytree(old, disk.data)
        server = ServerProcess(disk.data, tmp_path / "log", SETTINGS)
        disk.kill_before(step)
        try:
            server.start(DEADLINE)
        except LaunchError:
            died += 1
            assert disk.steps_left == 0, "it ended by itself"
            server.start(DEADLINE)
        disk.kill_before(0)
        server.stop()
        assert check(at(disk.data)).findings == undisturbed, f"killed before change {step}"
        shutil.rmtree(disk.data)
    record_property("servers killed during migrations:", died)
    assert died


def _steps(chance: random.Random) -> Any:
    """Return numbers of changes of the disk, the first ones among them."""
    yield from (1, 2)
    while True:
        yield chance.randint(3, 250)
