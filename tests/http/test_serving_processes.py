"""Several processes that serve one data directory on one port: who dies, and what becomes of what was under way."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.http.several import (
    LONG,
    Connect,
    WaitFor,
    events,
    get,
    holder,
    is_alive,
    processes,
    submit,
    wait_end,
)
from tests.jobs.service import pause


def is_refused(url: str) -> bool:
    """Tell whether nobody listens any more; whoever is taken in by a socket that is about to close is reset."""
    try:
        httpx.get(f"{url}/livez", trust_env=False)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        pass
    return False


@pytest.mark.parametrize("several", [2, pytest.param(3, marks=pytest.mark.slow)], indirect=True)
def test_all_answer_and_one_runs_the_jobs(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    assert json.loads((several.data_dir / "server.json").read_text())["pid"] == several.pid
    with connect(several_url) as client, ThreadPoolExecutor(4) as pool:

        def train(number: int) -> dict[str, Any]:
            with connect(several_url) as own:  # a connection of its own: either process may get it
                return wait_end(own, submit(own), wait_for)

        jobs = list(pool.map(train, range(3)))
        # another takes over when the one that runs jobs dies
        os.kill(processes(several)[holder(several)], signal.SIGKILL)
        wait_for(lambda: len(events(several, "duties_taken")) == 2, "another that runs the jobs")
        jobs.append(train(3))
        assert {job["status"] for job in jobs} == {"succeeded"}
        assert {job["attempt"] for job in jobs} == {1}
        versions = [model["version"] for model in get(client, "/v1/models?limit=50")["data"]]
        assert len(set(versions)) >= len(jobs)
    started = [line["job"] for line in events(several, "worker_started")]
    assert sorted(started) == sorted(job["id"] for job in jobs)
    several.stop()
    assert not any(map(is_alive, processes(several).values()))
    assert not (several.data_dir / "server.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("several", [2, pytest.param(3, marks=pytest.mark.slow)], indirect=True)
def test_another_takes_over_when_the_one_that_runs_jobs_is_killed(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    with connect(several_url) as client:
        running, waiting = submit(client, LONG), [submit(client) for _ in range(3)]
        wait_for(lambda: get(client, f"/v1/training-jobs/{running}")["status"] == "running", "a start")
        killed = holder(several)
        os.kill(processes(several)[killed], signal.SIGKILL)
        for job_id in waiting:
            job = wait_end(client, job_id, wait_for)
            assert job["status"] == "succeeded"
        job = get(client, f"/v1/training-jobs/{running}")
        assert (job["status"], job["attempt"]) == ("running", 1)
        assert client.post(f"/v1/training-jobs/{running}/cancel").status_code in (200, 202)
        assert wait_end(client, running, wait_for)["status"] == "cancelled"
    assert len(events(several, "duties_taken")) == 2
    ready = len(processes(several)) + 1
    wait_for(lambda: len(events(several, "process_ready")) == ready, "the one in its place")
    several.stop()


@pytest.mark.slow
def test_another_takes_over_when_the_one_that_runs_jobs_hangs(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    hung = processes(several)[holder(several)]
    with connect(several_url) as client:
        get(client, "/livez")
        pause(several.data_dir, hung)
        try:
            wait_for(lambda: len(events(several, "duties_taken")) == 2, "another holder")
        finally:
            os.kill(hung, signal.SIGCONT)
        wait_for(lambda: events(several, "duties_lost"), "the end of the first")
        job = wait_end(client, submit(client), wait_for)
        assert (job["status"], job["attempt"]) == ("succeeded", 1)
    assert is_alive(hung)
    several.stop()


@pytest.mark.slow
@pytest.mark.parametrize("several", [2, pytest.param(3, marks=pytest.mark.slow)], indirect=True)
def test_nobody_outlives_a_parent_that_is_killed(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    with connect(several_url) as client:
        running = submit(client, LONG)
        wait_for(lambda: get(client, f"/v1/training-jobs/{running}")["status"] == "running", "a start")
    children = processes(several).values()
    several.kill()
    wait_for(lambda: not any(map(is_alive, children)), "the end of the children")
    wait_for(lambda: is_refused(several_url), "the end of their socket")
    with connect(several.start()) as client:
        job = get(client, f"/v1/training-jobs/{running}")
        assert (job["status"], job["attempt"]) == ("running", 1)
        client.post(f"/v1/training-jobs/{running}/cancel")
        assert wait_end(client, running, wait_for)["status"] == "cancelled"
    several.stop()


@pytest.mark.slow
def test_all_drain_at_the_first_signal_and_end_at_the_second(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor, leaves: Callable[..., None]
) -> None:
    with connect(several_url) as client:
        running = submit(client, LONG)
        wait_for(lambda: get(client, f"/v1/training-jobs/{running}")["status"] == "running", "a start")
    os.kill(several.pid, signal.SIGTERM)
    leaves(several)
    with connect(several.start()) as client:
        assert get(client, f"/v1/training-jobs/{running}")["attempt"] == 1
        client.post(f"/v1/training-jobs/{running}/cancel")
        wait_end(client, running, wait_for)
    children = processes(several).values()
    for child in children:
        os.kill(child, signal.SIGSTOP)
    os.kill(several.pid, signal.SIGTERM)
    time.sleep(0.2)
    assert is_alive(several.pid)
    os.kill(several.pid, signal.SIGTERM)
    wait_for(lambda: not any(map(is_alive, children)), "the end of the children")
