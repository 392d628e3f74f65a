"""A service of our own as a process, and a client of it: what is measured over HTTP by whole jobs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from app.client import Client
from benchmarks.http.load import request_bytes
from benchmarks.http.processes import ROOT, ask, free_port, moment, running

INTERVAL = 0.05
"""Seconds between two looks at a job."""
_FINISHED = {"succeeded", "failed", "cancelled"}


@contextmanager
def service(data: Path, interpreter: str = sys.executable) -> Iterator[tuple[Client, Callable[[], float]]]:
    """Serve a data directory while entered; give a client, and what tells the seconds that processors have worked.

    Those are of the server and all that it has started. A worker counts as long as it runs and when it has ended.
    """
    port = free_port()
    command = [interpreter, "-P", "-m", "app.cli", "serve", "--data-dir", str(data), "--port", str(port)]
    # where PyTorch is, the project itself is not installed
    with running(command, {"PYTHONPATH": str(ROOT)}) as (process, began):
        ask(port, request_bytes("/readyz", close=True), process)
        with Client(f"http://127.0.0.1:{port}") as client:
            yield client, lambda: moment(process, began).processor


def upload(client: Client, pictures: Path, **options: object) -> str:
    """Send pictures, wait until they are a data set, and return its id."""
    dataset = client.datasets.wait(client.datasets.upload(pictures, **options).id, interval=INTERVAL)
    if dataset.status != "ready":
        raise RuntimeError(f"the data set is {dataset.status}: {dataset.error}")
    return dataset.id


def finish(client: Client, job: str) -> str:
    """Wait until a training job has ended, and return the id of its model.

    Raises:
        RuntimeError: it has none; the log of the job.
    """
    while (found := client.training_jobs.get(job)).status not in _FINISHED:
        time.sleep(INTERVAL)
    if found.model_id is None:
        raise RuntimeError(client.training_jobs.log(job))
    return found.model_id
