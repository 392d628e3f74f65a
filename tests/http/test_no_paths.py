"""No answer says where the server keeps its files, whatever goes wrong with them."""

from __future__ import annotations

import base64
import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from app.files import paths
from app.files.artifacts import LocalArtifacts
from app.files.locks import read_holder
from app.web.answers.logs import end_of_log

MARK = "where-the-files-are"
"""The name of a directory that everything of the server lies in."""
FINISHED = {"succeeded", "failed", "cancelled", "ready"}
JOBS = ("training-jobs", "evaluations", "batch-predictions")

Connect = Callable[..., httpx.Client]


class Broken(NamedTuple):
    """A server whose files can be damaged, and a client that keeps what it has been answered."""

    data: Path
    http: httpx.Client
    answers: list[httpx.Response]


@pytest.fixture
def broken(tmp_path: Path, connect: Connect) -> Iterator[Broken]:
    folder = tmp_path / MARK
    folder.mkdir()
    answers: list[httpx.Response] = []
    settings = {"DATASET_MIRROR": str(folder / "mirror"), "CORES": "1"}
    with ServerProcess(folder / "data", folder / "log", settings) as url, connect(url) as http:
        http.event_hooks = {"response": [answers.append]}
        yield Broken(folder / "data", http, answers)


def picture() -> bytes:
    written = io.BytesIO()
    Image.new("L", (8, 8), 200).save(written, "PNG")
    return written.getvalue()


def look_around(http: httpx.Client) -> None:
    """Read everything there is to read about jobs, models and data sets."""
    for kind in (*JOBS, "datasets", "models"):
        for one in http.get(f"/v1/{kind}?limit=100").json().get("data", ()):
            path = f"/v1/{kind}/{one['id']}"
            http.get(path)
            if kind in JOBS:
                http.get(f"{path}/log")
                if one["status"] in FINISHED and kind == "training-jobs":
                    http.get(f"{path}/events")
    http.get("/v1/datasets/downloads")
    http.get("/v1/system")
    http.get("/readyz")


def use_everything(http: httpx.Client, dataset: str, model: str) -> list[str]:
    """Make calls that need files, and return the addresses of the jobs that were begun."""
    image = base64.b64encode(picture()).decode()
    for path in ("", "/samples", "/images", "/images/0", "/statistics"):
        http.get(f"/v1/datasets/{dataset}{path}")
    for path in ("", "/weights", "/onnx", "/filters?node=conv2d_1", "/summary"):
        http.get(f"/v1/models/{model}{path}")
    http.post(f"/v1/models/{model}/predict", json={"images": [image]})
    http.post(f"/v1/models/{model}/explain?method=gradient", json={"images": [image]})
    http.post(f"/v2/models/{model}/infer", json={"inputs": []})
    http.post(
        "/v1/models/import",
        content=b"\x10\0\0\0\0\0\0\0{",
        headers={"Content-Type": "application/octet-stream"},
    )
    begun = [
        http.post(
            "/v1/training-jobs", json={"architecture": {"preset": "lenet-5"}, "dataset": dataset, "epochs": 1}
        ),
        http.post("/v1/training-jobs", json={"continue_from": "job_example", "epochs": 1}),
        http.post("/v1/evaluations", json={"model": model, "dataset": dataset}),
        http.post("/v1/datasets/downloads", json={"name": "mnist"}),
    ]
    return [answer.headers["location"] for answer in begun if answer.status_code == 202]


def leaks(answers: list[httpx.Response]) -> list[str]:
    """Return the lines of answers that say where the files are."""
    found = []
    for answer in answers:
        text = answer.read().decode(errors="replace") + str(answer.headers)
        found += [f"{answer.request.url.path}: {line[:300]}" for line in text.splitlines() if MARK in line]
    return found


def spoil(data: Path, how: str) -> None:
    """Damage the files of models, data sets and jobs; the database stays."""
    for folder in ("models", "datasets", "jobs"):
        for file in (data / folder).rglob("*"):
            if not file.is_file() or file.name == "lock" or file.suffix == ".log":
                continue
            match how:
                case "cut short":
                    os.truncate(file, file.stat().st_size // 2)
                case "gone":
                    file.unlink()
                case "other":
                    file.write_bytes(b"something else")
                case "directory":
                    file.unlink()
                    file.mkdir()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["gone", "cut short", "other", "directory"])
def test_files_that_are_damaged(broken: Broken, wait_for: Callable[..., Any], how: str) -> None:
    spoil(broken.data, how)
    for location in use_everything(broken.http, "digits", "model_example"):
        wait_for(lambda at=location: broken.http.get(at).json()["status"] in FINISHED, location)
    look_around(broken.http)
    assert any(answer.status_code >= 400 for answer in broken.answers)
    logs = [answer for answer in broken.answers if answer.request.url.path.endswith("/log")]
    assert {answer.status_code for answer in logs} == {200}
    if how in ("gone", "directory"):
        # the file is named, as it lies in the data directory
        assert any("'datasets/digits/segment-0001/images.npy'" in answer.text for answer in logs)
    assert leaks(broken.answers) == []


@pytest.mark.slow
def test_workers_that_die(broken: Broken, wait_for: Callable[..., Any]) -> None:
    body = {"architecture": {"preset": "lenet-5"}, "dataset": "digits", "epochs": 1000}
    location = broken.http.post("/v1/training-jobs", json=body).headers["location"]
    lock = broken.data / "jobs" / location.rpartition("/")[2] / "lock"
    killed: set[int] = set()

    def ended() -> bool:
        job = broken.http.get(location).json()
        pid = read_holder(lock) if lock.exists() and job["status"] == "running" else None
        if pid is not None and pid not in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGABRT)
            killed.add(pid)
        return job["status"] == "failed"

    wait_for(ended, "the failure")
    assert broken.http.get(location).json()["error"]["code"] == "worker_lost"
    look_around(broken.http)
    assert leaks(broken.answers) == []


def test_the_end_of_a_long_log_begins_with_a_line(tmp_path: Path) -> None:
    data = tmp_path / MARK
    artifacts = LocalArtifacts(data)
    written = artifacts.local_path(paths.log("job_1", 1))
    written.parent.mkdir(parents=True)
    line = f"{data}/jobs and {data} but {data}-other and /elsewhere{data}/x\n"
    for more in range(0, len(line), 40):
        written.write_text(line * 20_000 + "x" * more)
        lines = end_of_log("job_1", 1, artifacts).splitlines()
        assert lines[0] == f"jobs and . but {data}-other and /elsewhere{data}/x"
