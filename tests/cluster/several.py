"""Several servers on one database and one bucket, each with a data directory of its own: what tests of them share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.cli.launch import ServerProcess
from app.files.locks import is_locked, read_holder
from tests.conftest import connect, wait_for
from tests.http.several import events
from tests.jobs.service import SMALL_NETWORK

JOB = {"architecture": SMALL_NETWORK, "dataset": "digits", "epochs": 30, "batch_size": 32, "name": "of-many"}
"""A job that takes long enough for something to happen, and whose result shows all that could go wrong."""
SETTINGS = {"LOG_FORMAT": "json", "CORES": "1", "CHECKPOINT_SECONDS": "0.5", "BUILTIN_MODELS": "false"}


@dataclass
class Server:
    """One of them, and a client of it."""

    process: ServerProcess
    http: httpx.Client

    def get(self, path: str) -> Any:
        """Return an answer as JSON."""
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def submit(self, request: dict[str, Any]) -> str:
        """Ask for a training job, and return its id."""
        answer = self.http.post("/v1/training-jobs", json=request)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def wait_end(self, job_id: str) -> dict[str, Any]:
        """Wait for the end of a training job, also while there is no answer now and then, and return it."""

        def ended() -> dict[str, Any] | None:
            answer = self.http.get(f"/v1/training-jobs/{job_id}")
            if answer.status_code == 503:
                return None
            assert answer.status_code == 200, answer.text
            job: dict[str, Any] = answer.json()
            return job if job["finished_at"] else None

        found: dict[str, Any] = wait_for(ended, f"the end of {job_id}")
        return found

    def wait_checkpoint(self, job_id: str, epoch: int = 3) -> None:
        """Wait until a job has a few epochs behind it, and with each a checkpoint."""
        where = f"/v1/training-jobs/{job_id}"
        wait_for(lambda: (self.get(where)["progress"].get("epoch") or 0) >= epoch, "a few epochs")

    def weights(self, model_id: str) -> bytes:
        """Return the file of a model."""
        answer = self.http.get(f"/v1/models/{model_id}/weights")
        assert answer.status_code == 200, answer.text
        return answer.content

    def worker(self, job_id: str) -> int:
        """Return the process on this machine that works on a job."""
        lock = self.process.data_dir / "jobs" / job_id / "lock"
        pid: int = wait_for(lambda: lock.exists() and is_locked(lock) and read_holder(lock), "a worker")
        return pid

    def holds(self) -> bool:
        """Tell whether it runs the jobs."""
        return len(events(self.process, "duties_taken")) > len(events(self.process, "duties_lost"))


@contextmanager
def servers(
    start: Callable[..., ServerProcess], of_the_first: Mapping[str, str] | None = None, **settings: str
) -> Iterator[list[Server]]:
    """Start two servers, the first of which runs the jobs.

    Args:
        start: makes one.
        of_the_first: what the first has in place of some settings.
        settings: of both.
    """
    with ExitStack() as stack:
        made = []
        for name, own in (("one", of_the_first or {}), ("two", {})):
            process = start(name, **SETTINGS | settings | dict(own))
            made.append(Server(process, stack.enter_context(connect(process.start()))))
        assert [server.holds() for server in made] == [True] + [False] * (len(made) - 1)
        yield made


def stop(pids: list[int]) -> None:
    """Freeze processes, as a machine is that swaps, sleeps or is moved."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def go_on(pids: list[int]) -> None:
    """Let processes go on that were frozen."""
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def undisturbed(folder: Path, request: Mapping[str, Any] = JOB) -> bytes:
    """Return the file of the model that a job makes when nothing happens, on one server and its disk."""
    process = ServerProcess(folder / "data", folder / "log", SETTINGS)
    with process as url, connect(url) as http:
        server = Server(process, http)
        job = server.wait_end(server.submit(dict(request)))
        assert job["status"] == "succeeded", job
        return server.weights(job["model_id"])
