"""Several serving processes: what tests of them share."""

from __future__ import annotations

import io
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
from PIL import Image

from app.cli.launch import ServerProcess

Connect = Callable[..., httpx.Client]
WaitFor = Callable[..., Any]

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


def status_anew(url: str, path: str, key: str) -> int:
    """Return the status of an answer to a request by a connection of its own, which any of the processes may have."""
    parts = httpx.URL(url)
    connection = HTTPConnection(parts.host, parts.port, timeout=60)
    with closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"})
        return connection.getresponse().status


def wait_end(client: httpx.Client, job_id: str, wait_for: WaitFor) -> dict[str, Any]:
    return ended(client, f"/v1/training-jobs/{job_id}", wait_for)


def ended(client: httpx.Client, address: str, wait_for: WaitFor) -> dict[str, Any]:
    """Wait for the end of a job of any kind, and return it."""

    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = get(client, address)
        return job if job["finished_at"] else None

    job: dict[str, Any] = wait_for(look, f"the end of {address}")
    return job


def wait_made(client: httpx.Client, dataset_id: str, wait_for: WaitFor) -> dict[str, Any]:
    def made() -> dict[str, Any] | None:
        dataset: dict[str, Any] = get(client, f"/v1/datasets/{dataset_id}")
        return dataset if dataset["status"] != "ingesting" else None

    dataset: dict[str, Any] = wait_for(made, f"the end of {dataset_id}")
    return dataset


def kill(service: ServerProcess, number: int, wait_for: WaitFor) -> None:
    """Kill a process, and wait for the one in its place."""
    ready = len(events(service, "process_ready"))
    os.kill(processes(service)[number], signal.SIGKILL)
    wait_for(lambda: len(events(service, "process_ready")) > ready, "the one in its place")


def go_on(done: Counter[str], loops: list[Future[None]], wait_for: WaitFor) -> None:
    """Wait until everything that is done again and again has been done a few times more."""
    before = done.copy()
    wait_for(
        lambda: any(loop.done() for loop in loops) or all(done[name] > before[name] + 2 for name in before),
        "some progress",
    )
    for loop in loops:
        if loop.done():
            loop.result()


def png(level: int, side: int = 9) -> bytes:
    """Return a picture; larger ones are noise, which takes a byte for each pixel."""
    buffer = io.BytesIO()
    noise = random.Random(level).randbytes(side * side)  # noqa: S311 - nothing to keep secret
    Image.frombytes("L", (side, side), noise).save(buffer, "PNG")
    return buffer.getvalue()


def pictures(side: int = 9) -> bytes:
    """Return an archive of pictures in two classes."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for number in range(12):
            archive.writestr(f"{'ab'[number % 2]}/{number}.png", png(number, side))
    return buffer.getvalue()
