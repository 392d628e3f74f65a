"""Training jobs over HTTP for the tests on Ray: what is asked for, how far it is, and what it has learned."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

from tests.cluster.ray_cluster import PATIENCE
from tests.jobs.service import SMALL_NETWORK, until

REQUEST = {"name": "small", "architecture": SMALL_NETWORK, "dataset": "digits", "seed": 7}
"""What is missing says how long it takes: epochs, and the size of batches."""
_FINISHED = ("succeeded", "failed", "cancelled")


def submit(client: httpx.Client, request: dict[str, Any], **changes: Any) -> str:
    """Ask for a job, and return its id."""
    answer = client.post("/v1/training-jobs", json=request | changes)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def job_of(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """Return a job."""
    job: dict[str, Any] = client.get(f"/v1/training-jobs/{job_id}").json()
    return job


def ended(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """Wait for the end of a job, and return it."""
    job: dict[str, Any] = until(
        lambda: (job := job_of(client, job_id))["status"] in _FINISHED and job, "the end", PATIENCE
    )
    return job


def in_epoch(client: httpx.Client, job_id: str, epoch: int) -> None:
    """Wait until a job is in an epoch."""

    def come() -> bool:
        job = job_of(client, job_id)
        assert job["status"] in ("queued", "running"), job
        return bool(job["progress"].get("epoch", 0) >= epoch)

    until(come, f"epoch {epoch}", PATIENCE)


def weights(client: httpx.Client, job: dict[str, Any]) -> str:
    """Return the checksum of what a job has learned; see tests/http/test_recovery.py."""
    assert job["status"] == "succeeded", job
    file = client.get(f"/v1/models/{job['model_id']}/weights").content
    return hashlib.sha256(file[8 + int.from_bytes(file[:8], "little") :]).hexdigest()
