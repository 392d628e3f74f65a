"""Several processes that serve one data directory on one port: who dies, and what becomes of what was under way."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked

Connect = Callable[..., httpx.Client]
WaitFor = Callable[..., Any]
Finished = Callable[[httpx.Client, str], dict[str, Any]]

TRAINING = {
    "architecture": {
        "input_shape": [28, 28, 1],
        "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}],
    },
    "dataset": "digits",
    "epochs": 1,
    "batch_size": 256,
}
LONG = TRAINING | {"epochs": 1000, "batch_size": 16}


def events(service: ServerProcess, event: str) -> list[dict[str, Any]]:
    """Return the lines of the log about something."""
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def processes(service: ServerProcess) -> dict[int, int]:
    """Return the ids of the serving processes, by their numbers."""
    return {line["number"]: line["process"] for line in events(service, "process_started")}


def holder(service: ServerProcess) -> int:
    """Return the number of the process that took the duties last."""
    return int(events(service, "duties_taken")[-1]["owner"].rpartition(" ")[2])


def is_alive(pid: int) -> bool:
    """Tell whether there is a process, dead ones that nobody has asked for left out."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()


def get(client: httpx.Client, path: str) -> Any:
    """Ask until there is an answer: a process that dies takes its connections with it."""
    while True:
        with suppress(httpx.TransportError):
            answer = client.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()


def submit(client: httpx.Client, request: dict[str, Any] = TRAINING) -> str:
    answer = client.post("/v1/training-jobs", json=request)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def wait_end(client: httpx.Client, job_id: str, wait_for: WaitFor) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        job: dict[str, Any] = get(client, f"/v1/training-jobs/{job_id}")
        return job if job["finished_at"] else None

    job: dict[str, Any] = wait_for(ended, f"the end of {job_id}")
    return job


@pytest.fixture
def service(start: Callable[..., ServerProcess], wait_for: WaitFor) -> Iterator[ServerProcess]:
    """A server of two processes, both of which answer."""
    service = start(WORKERS="2", LOG_FORMAT="json", MAX_JOBS="2", CORES="2")
    service.start()
    wait_for(lambda: len(events(service, "process_ready")) == 2, "the second process")
    yield service
    wait_for(lambda: not is_locked(service.data_dir / "server.lock") or service.kill(), "the end of all")


@pytest.fixture
def url(service: ServerProcess) -> str:
    return str(json.loads((service.data_dir / "server.json").read_text())["url"])


def test_all_answer_and_one_runs_the_jobs(
    service: ServerProcess, url: str, connect: Connect, wait_for: WaitFor
) -> None:
    assert json.loads((service.data_dir / "server.json").read_text())["pid"] == service.pid
    with connect(url) as client, ThreadPoolExecutor(4) as pool:

        def train(number: int) -> dict[str, Any]:
            with connect(url) as own:  # a connection of its own: either process may get it
                return wait_end(own, submit(own), wait_for)

        jobs = list(pool.map(train, range(4)))
        assert {job["status"] for job in jobs} == {"succeeded"}
        assert {job["attempt"] for job in jobs} == {1}
        versions = [model["version"] for model in get(client, "/v1/models?limit=50")["data"]]
        assert len(set(versions)) >= len(jobs)
    started = [line["job"] for line in events(service, "worker_started")]
    assert sorted(started) == sorted(job["id"] for job in jobs)
    assert len(events(service, "duties_taken")) == 1
    service.stop()
    assert not any(map(is_alive, processes(service).values()))
    assert not (service.data_dir / "server.json").exists()


def test_another_takes_over_when_the_one_that_runs_jobs_is_killed(
    service: ServerProcess, url: str, connect: Connect, wait_for: WaitFor
) -> None:
    with connect(url) as client:
        running, waiting = submit(client, LONG), [submit(client) for _ in range(3)]
        wait_for(lambda: get(client, f"/v1/training-jobs/{running}")["status"] == "running", "a start")
        killed = holder(service)
        os.kill(processes(service)[killed], signal.SIGKILL)
        for job_id in waiting:
            job = wait_end(client, job_id, wait_for)
            assert job["status"] == "succeeded"
        job = get(client, f"/v1/training-jobs/{running}")
        assert (job["status"], job["attempt"]) == ("running", 1)
        assert client.post(f"/v1/training-jobs/{running}/cancel").status_code in (200, 202)
        assert wait_end(client, running, wait_for)["status"] == "cancelled"
    assert len(events(service, "duties_taken")) == 2
    wait_for(lambda: len(events(service, "process_ready")) == 3, "the one in its place")
    service.stop()


def test_nobody_outlives_a_parent_that_is_killed(
    service: ServerProcess, url: str, connect: Connect, wait_for: WaitFor
) -> None:
    with connect(url) as client:
        running = submit(client, LONG)
        wait_for(lambda: get(client, f"/v1/training-jobs/{running}")["status"] == "running", "a start")
    children = processes(service).values()
    service.kill()
    wait_for(lambda: not any(map(is_alive, children)), "the end of the children")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/livez", trust_env=False)
    with connect(service.start()) as client:
        job = get(client, f"/v1/training-jobs/{running}")
        assert (job["status"], job["attempt"]) == ("running", 1)
        client.post(f"/v1/training-jobs/{running}/cancel")
        assert wait_end(client, running, wait_for)["status"] == "cancelled"
    service.stop()


def test_all_drain_at_the_first_signal_and_end_at_the_second(
    service: ServerProcess, url: str, connect: Connect, wait_for: WaitFor, leaves: Callable[..., None]
) -> None:
    with connect(url) as client:
        running = submit(client, LONG)
        wait_for(lambda: get(client, f"/v1/training-jobs/{running}")["status"] == "running", "a start")
    os.kill(service.pid, signal.SIGTERM)
    leaves(service)
    with connect(service.start()) as client:
        assert get(client, f"/v1/training-jobs/{running}")["attempt"] == 1
        client.post(f"/v1/training-jobs/{running}/cancel")
        wait_end(client, running, wait_for)
    children = processes(service).values()
    for child in children:
        os.kill(child, signal.SIGSTOP)
    os.kill(service.pid, signal.SIGTERM)
    time.sleep(0.2)
    assert is_alive(service.pid)
    os.kill(service.pid, signal.SIGTERM)
    wait_for(lambda: not any(map(is_alive, children)), "the end of the children")
