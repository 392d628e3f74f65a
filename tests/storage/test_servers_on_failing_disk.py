"""Servers start, stop, die and share their work on a disk that fails, and no job loses an attempt by it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import SERVE, ServerProcess
from app.files.locks import is_locked
from tests.conftest import connect
from tests.http.several import LONG, WaitFor, events, holder, is_alive, png, processes
from tests.storage.disks import FailingDisk, failing_disk
from tests.storage.test_failing_disk import SETTINGS, TRAINING

JOBS = "/v1/training-jobs"
PICTURE = {"files": ("a.png", png(3, 28))}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FailingDisk]:
    with failing_disk(tmp_path) as disk:
        yield disk
        disk.mend()


@pytest.fixture
def server(disk: FailingDisk, start: Callable[..., ServerProcess]) -> ServerProcess:
    made = start(**SETTINGS)
    assert made.data_dir == disk.data
    return made


def serve(disk: FailingDisk, *more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONVSERVE_")}
    return subprocess.run(
        [*SERVE, "--port", "0", "--data-dir", str(disk.data), *more],
        env=environment | {"CONVSERVE_LOG_FORMAT": "json"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def submit(client: httpx.Client, request: dict[str, Any] = TRAINING) -> str:
    answer = client.post(JOBS, json=request)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job(client: httpx.Client, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{JOBS}/{job_id}").json()
    return found


def runs(client: httpx.Client, job_id: str, wait_for: WaitFor) -> None:
    wait_for(lambda: job(client, job_id)["progress"]["step"] > 20, "its steps")


def has_paused(client: httpx.Client, job_id: str, wait_for: WaitFor) -> None:
    wait_for(lambda: "goes on later" in client.get(f"{JOBS}/{job_id}/log").text, "its pause")


def goes_on(client: httpx.Client, job_id: str, wait_for: WaitFor, attempt: int = 1) -> None:
    """See a job run again, in the attempt that it was in."""
    before = job(client, job_id)["progress"]["step"]
    wait_for(lambda: job(client, job_id)["progress"]["step"] > before, "more steps")
    found = job(client, job_id)
    assert (found["status"], found["attempt"]) == ("running", attempt), found


def replace(several: ServerProcess, process: int, wait_for: WaitFor) -> None:
    """Kill a process, and wait for the one in its place."""
    ready = len(events(several, "process_ready"))
    os.kill(process, signal.SIGKILL)
    wait_for(lambda: len(events(several, "process_ready")) > ready, "the one in its place")


def all_ready(url: str) -> bool:
    """Ask by ten connections, of which either of two processes gets some."""
    for _ in range(10):
        with connect(url) as client:
            if client.get("/readyz").status_code != 200:
                return False
    return True


@pytest.mark.parametrize("fault", ["fill", "make_read_only"])
def test_a_start_says_what_to_do(disk: FailingDisk, fault: str) -> None:
    disk.data.mkdir()
    getattr(disk, fault)()
    ended = serve(disk)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert str(disk.data) in last
    assert "make room on its disk, and start again" in last


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("fault", ["fill", "make_read_only"])
def test_a_start_in_a_directory_that_was_used_says_so_too(
    disk: FailingDisk, server: ServerProcess, fault: str, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server:
        pass
    monkeypatch.setenv("CONVSERVE_WORKERS", workers)
    getattr(disk, fault)()
    ended = serve(disk)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "cannot be used" in ended.stderr.splitlines()[-1]
    disk.mend()
    with server as url, connect(url) as client:
        assert client.get("/v1/models/model_example").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "attempt"), [("fill", 1), ("make_read_only", 2)])
def test_a_server_stops_in_order_and_its_jobs_go_on_later(
    disk: FailingDisk, server: ServerProcess, fault: str, attempt: int, wait_for: WaitFor
) -> None:
    # Of a disk that is read-only the next server cannot know what the worker died of: it counts as a death.
    with server as url, connect(url) as client:
        job_id = submit(client, LONG)
        runs(client, job_id, wait_for)
        getattr(disk, fault)()
        # leaving sends SIGTERM, and expects status 0
    assert "Traceback" not in server.log.read_text()
    disk.mend()
    with server as url, connect(url) as client:
        goes_on(client, job_id, wait_for, attempt)
        client.post(f"{JOBS}/{job_id}/cancel")


@pytest.mark.slow
def test_a_server_that_dies_meanwhile_costs_no_attempt(
    disk: FailingDisk, server: ServerProcess, wait_for: WaitFor
) -> None:
    url = server.start()
    with connect(url) as client:
        job_id = submit(client, LONG)
        runs(client, job_id, wait_for)
        disk.fill()
        has_paused(client, job_id, wait_for)
    server.kill()
    disk.mend()
    with server as url, connect(url) as client:
        goes_on(client, job_id, wait_for)
        client.post(f"{JOBS}/{job_id}/cancel")


@pytest.mark.slow
def test_cancelling_waits_for_the_disk_as_well(
    disk: FailingDisk, server: ServerProcess, wait_for: WaitFor
) -> None:
    with server as url, connect(url) as client:
        job_id = submit(client, LONG)
        runs(client, job_id, wait_for)
        disk.fill()
        has_paused(client, job_id, wait_for)
        assert client.post(f"{JOBS}/{job_id}/cancel").status_code == 507
        disk.mend()
        assert client.post(f"{JOBS}/{job_id}/cancel").status_code == 202
        wait_for(lambda: job(client, job_id)["status"] == "cancelled", "the end")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["fill", "make_read_only"])
def test_several_processes_outlive_a_lease_that_cannot_be_renewed(
    disk: FailingDisk, start: Callable[..., ServerProcess], fault: str, wait_for: WaitFor
) -> None:
    several = start(**SETTINGS, WORKERS="2")
    url = several.start()
    wait_for(lambda: len(events(several, "process_ready")) == 2, "both processes")
    with connect(url) as client:
        job_id = submit(client, LONG)
        runs(client, job_id, wait_for)
        before = processes(several)
        getattr(disk, fault)()
        has_paused(client, job_id, wait_for)
        time.sleep(12)  # longer than the lease runs
        for _ in range(10):  # each of both is asked
            with connect(url) as other:
                answer = other.get("/readyz")
                assert answer.status_code == 503
                assert {entry["parameter"] for entry in answer.json()["errors"]} == {"disk", "database"}
                assert other.post("/v1/models/model_example/predict", files=PICTURE).status_code == 200
        assert processes(several) == before
        assert all(map(is_alive, before.values()))
        # one after the other dies, the one that held the duties first, and those in their place serve although they
        # can write nothing; who opens the database alone needs room for that
        holds = before[holder(several)]
        for process in sorted(before.values(), key=lambda process: process != holds):
            replace(several, process, wait_for)
        disk.mend()
        goes_on(client, job_id, wait_for)
        wait_for(lambda: all_ready(url), "readiness of both")
        client.post(f"{JOBS}/{job_id}/cancel")
        wait_for(lambda: job(client, job_id)["status"] == "cancelled", "the end")
    several.stop()
    wait_for(lambda: not is_locked(several.data_dir / "server.lock"), "the end of all")
    lines = [json.loads(line) for line in several.log.read_text().splitlines() if line.startswith("{")]
    assert not [line for line in lines if "exception" in line], "no trace of a stack"
