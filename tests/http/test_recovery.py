"""Jobs survive what happens to the server, and end with the weights of an undisturbed run.

Weights are compared by their checksum. The rest of a model file also says what was measured of the machine when its run
began, and on some processors two measurements may differ.
"""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked, read_holder
from tests.jobs.service import pause

pytestmark = pytest.mark.slow

REQUEST = {
    "name": "recovered",
    "architecture": {
        "input_shape": [28, 28, 1],
        "layers": [
            {"type": "conv2d", "filters": 4, "kernel_size": 5, "stride": 2},
            {"type": "batch_norm"},
            {"type": "relu"},
            {"type": "flatten"},
            {"type": "dropout", "rate": 0.2},
            {"type": "dense", "units": 10},
        ],
    },
    "dataset": "digits",
    "epochs": 3,
    "batch_size": 32,
    "seed": 7,
}
# Checkpoints within epochs; and the fate of every process in the hands of the test.
SETTINGS = {"CHECKPOINT_SECONDS": "0.1", "GRACE_SECONDS": "120", "HEARTBEAT_TIMEOUT": "600"}


class Result(NamedTuple):
    """What must not depend on what happens on the way."""

    weights: str
    epochs: list[dict[str, Any]]


Connect = Callable[..., httpx.Client]
WaitFor = Callable[..., Any]
Finished = Callable[[httpx.Client, str], dict[str, Any]]


@pytest.fixture
def service(start: Callable[..., ServerProcess]) -> ServerProcess:
    return start(**SETTINGS)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, connect: Connect, finished: Finished) -> Result:
    """What the run gives when nothing happens to it, on as many cores as the servers that are disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with ServerProcess(folder / "data", folder / "log", {}) as url, connect(url) as client:
        return result(client, finished(client, submit(client)))


def submit(client: httpx.Client) -> str:
    answer = client.post("/v1/training-jobs", json=REQUEST)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def result(client: httpx.Client, job: dict[str, Any]) -> Result:
    """Return the checksum of a job's weights and the figures of its epochs, without the time they took."""
    assert job["status"] == "succeeded", job
    file = client.get(f"/v1/models/{job['model_id']}/weights").content
    # the length of the description, the description, then the arrays
    weights = file[8 + int.from_bytes(file[:8], "little") :]
    epochs = client.get(f"/v1/training-jobs/{job['id']}/metrics").json()["data"]
    timeless = [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in epochs]
    assert weights
    return Result(hashlib.sha256(weights).hexdigest(), timeless)


def stop_mid_epoch(client: httpx.Client, job_id: str, data_dir: Path, wait_for: WaitFor) -> int:
    """Freeze the worker of a job in its second epoch, after a checkpoint, and return its process id."""

    def in_second_epoch() -> bool:
        job = client.get(f"/v1/training-jobs/{job_id}").json()
        assert job["status"] in ("queued", "running"), job
        return bool(job["progress"]["epoch"] == 2)

    wait_for(in_second_epoch, "the second epoch")
    lock = data_dir / "jobs" / job_id / "lock"
    assert is_locked(lock)
    pid = read_holder(lock)
    assert pid is not None
    pause(data_dir, pid)
    assert client.get(f"/v1/training-jobs/{job_id}").json()["status"] == "running"
    return pid


@pytest.mark.parametrize("also_the_worker", [False, True], ids=["server", "server-and-worker"])
def test_kill_9(
    service: ServerProcess,
    connect: Connect,
    wait_for: WaitFor,
    finished: Finished,
    expected: Result,
    also_the_worker: bool,
) -> None:
    with connect(service.start()) as client:
        job_id = submit(client)
        pid = stop_mid_epoch(client, job_id, service.data_dir, wait_for)
        service.kill()
    # a worker that is stopped for good may hold the database in the middle of a write: let it go on, or die
    os.kill(pid, signal.SIGKILL if also_the_worker else signal.SIGCONT)
    with connect(service.start()) as client:
        job = finished(client, job_id)
        assert result(client, job) == expected
        assert job["attempt"] == (2 if also_the_worker else 1)
        assert job["progress"]["exact_resume"] is True
        log = client.get(f"/v1/training-jobs/{job_id}/log").text
        assert f"attempt {job['attempt']}" in log
        if also_the_worker:
            assert "from step 0" in log.partition("attempt 2")[0]
            assert "from step 0" not in log.partition("attempt 2")[2]
    service.stop()


def test_sigterm_drains(
    service: ServerProcess,
    connect: Connect,
    wait_for: WaitFor,
    finished: Finished,
    expected: Result,
    leaves: Callable[[ServerProcess], None],
) -> None:
    with connect(service.start()) as client:
        job_id = submit(client)
        waiting = submit(client)
        pid = stop_mid_epoch(client, job_id, service.data_dir, wait_for)
        os.kill(service.pid, signal.SIGTERM)
        refused = wait_for(
            lambda: (answer := client.get("/readyz")).status_code == 503 and answer, "the end of readiness"
        )
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"] == "/problems/not-ready"
        assert "about to stop" in refused.json()["detail"]
        assert client.get("/livez").status_code == 200
        assert client.post("/v1/training-jobs", json=REQUEST).status_code == 503
        assert client.get(f"/v1/training-jobs/{job_id}").status_code == 200
        os.kill(pid, signal.SIGCONT)
    leaves(service)
    assert not is_locked(service.data_dir / "jobs" / job_id / "lock")
    assert not (service.data_dir / "server.json").exists()
    with connect(service.start()) as client:
        job = finished(client, job_id)
        assert result(client, job) == expected
        assert job["attempt"] == 1
        assert finished(client, waiting)["status"] == "succeeded"
    service.stop()


def test_a_second_signal_ends_it_at_once(
    service: ServerProcess, connect: Connect, wait_for: WaitFor, finished: Finished, expected: Result
) -> None:
    with connect(service.start()) as client:
        job_id = submit(client)
        pid = stop_mid_epoch(client, job_id, service.data_dir, wait_for)
        os.kill(service.pid, signal.SIGTERM)
        wait_for(lambda: client.get("/readyz").status_code == 503, "the end of readiness")
        os.kill(service.pid, signal.SIGTERM)
        wait_for(lambda: not is_locked(service.data_dir / "server.lock"), "the end of the server")
        os.kill(pid, signal.SIGCONT)
    service.kill()
    with connect(service.start()) as client:
        assert result(client, finished(client, job_id)) == expected
    service.stop()
