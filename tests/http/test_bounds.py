"""Bounds that operators set: memory of a job, size of the data directory, days that jobs are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess

JOBS = "/v1/training-jobs"
TINY: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}
JOB = {"architecture": TINY, "dataset": "digits", "epochs": 1, "batch_size": 200}

Start = Callable[..., ServerProcess]
Connect = Callable[..., httpx.Client]
WaitFor = Callable[..., Any]


def test_a_job_that_needs_too_much_memory_is_refused_with_the_numbers(start: Start, connect: Connect) -> None:
    service = start(MAX_TRAINING_BYTES=str(400 << 20), CORES="1")
    large = {"architecture": {"preset": "vgg-small"}, "dataset": "digits", "batch_size": 4000}
    with connect(service.start()) as client:
        answer = client.post(JOBS, json=large)
        assert answer.status_code == 422, answer.text
        problem = answer.json()
        assert problem["type"] == "/problems/memory-limit-exceeded"
        (fault,) = problem["errors"]
        assert fault["pointer"] == "/batch_size"
        numbers = problem["numbers"]
        assert numbers["limit_bytes"] == 400 << 20 < numbers["needed_bytes"]
        for number in (numbers["limit_bytes"], numbers["needed_bytes"]):
            assert str(number) in fault["detail"]
        fits = numbers["largest_batch_size"]
        assert 1 <= fits < 4000
        assert f"a batch_size of {fits} fits" in fault["hint"]
        accepted = client.post(JOBS, json=large | {"batch_size": fits})
        assert accepted.status_code == 202, accepted.text
        assert 0 < accepted.json()["memory_bytes"] <= 400 << 20
        client.post(f"{JOBS}/{accepted.json()['id']}/cancel")
        wide = {"type": "dense", "units": 40_000, "name": "wide"}
        hopeless = large | {
            "architecture": TINY | {"layers": [{"type": "flatten"}, wide, TINY["layers"][-1]]}
        }
        answer = client.post(JOBS, json=hopeless)
        assert answer.status_code == 422, answer.text
        assert answer.json()["numbers"]["largest_batch_size"] is None
        assert "no batch_size fits" in answer.json()["errors"][0]["hint"]
    service.stop()


@pytest.mark.slow
def test_a_full_data_directory_takes_no_more(start: Start, connect: Connect, wait_for: WaitFor) -> None:
    service = start(MAX_DATA_BYTES="1000")
    with connect(service.start()) as client:
        page = client.get("/openapi.json").json()["paths"]
        posts: dict[str, Any] = {
            JOBS: JOB,
            "/v1/evaluations": {"model": "model_example", "dataset": "digits"},
        }
        for path in ("/v1/datasets", "/v1/datasets/downloads", "/v1/models/import"):
            examples = page[path]["post"]["requestBody"]["content"]["application/json"]["examples"]
            posts[path] = next(iter(examples.values()))["value"]
        for path, body in posts.items():
            answer = client.post(path, json=body)
            assert answer.status_code == 507, f"{path}: {answer.text}"
            assert answer.json()["type"] == "/problems/quota-exceeded"
            numbers = answer.json()["numbers"]
            assert numbers["limit_bytes"] == 1000 < numbers["used_bytes"]
        # What adds nothing goes on.
        assert client.get("/v1/models").status_code == 200
        assert client.post("/v1/architectures", json={"name": "small", **TINY}).status_code == 201
    service.stop()


@pytest.mark.slow
def test_jobs_go_when_their_time_is_over_and_models_stay(
    start: Start, connect: Connect, wait_for: WaitFor
) -> None:
    service = start(RETENTION_DAYS="0.00001")
    orphan = service.data_dir / "models" / "model_nobody.safetensors"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"left by somebody who died before the record was written")
    with connect(service.start()) as client:
        assert not orphan.exists()
        job_id = client.post(JOBS, json=JOB).json()["id"]
        cancelled = client.post(JOBS, json=JOB | {"epochs": 100_000}).json()["id"]
        client.post(f"{JOBS}/{cancelled}/cancel")
        for gone in (job_id, cancelled):
            wait_for(lambda gone=gone: client.get(f"{JOBS}/{gone}").status_code == 404, f"the end of {gone}")
            folder = service.data_dir / "jobs" / gone
            wait_for(lambda folder=folder: not folder.exists(), f"the end of the files of {gone}")
        model = client.get(f"/v1/models/{job_id.replace('job_', 'model_')}")
        assert model.status_code == 200
        assert model.json()["training_job_id"] == job_id
        assert client.get(f"{JOBS}/job_example").status_code == 200
        assert client.delete(f"/v1/models/{model.json()['id']}").status_code == 204
        assert names(service.data_dir / "models") == {
            "model_example.safetensors",
            "mobilenet-v2-imagenet.safetensors",
        }
    service.stop()


def names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()}
