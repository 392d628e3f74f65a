"""What a server writes into its log, what it says of bad options, and under which names its pictures are saved."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import SERVE, ServerProcess

NETWORK: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}],
}
DEEP = NETWORK | {"layers": [*NETWORK["layers"], {"type": "dense", "units": 10}]}
TRAINING = {"architecture": NETWORK, "dataset": "digits", "epochs": 1}


def test_every_line_of_a_json_log_is_json(
    start: Callable[..., ServerProcess], connect, finished, tmp_path: Path
) -> None:
    """Of a server under mixed requests: answers and errors, jobs that succeed and fail, connections that break."""
    service = start("logged", LOG_FORMAT="json", LOG_LEVEL="debug", MAXJOBS="2")
    url = service.start()
    with connect(url) as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/nothing%01%0a\u732b").status_code == 404
        assert client.post(
            "/v1/training-jobs", content=b"{", headers={"Content-Type": "application/json"}
        ).is_error
        assert client.post("/v1/training-jobs", json={"a": "\n{"}).is_error
        assert client.post("/v1/datasets", files={"file": ("\n.zip", b"PK")}).is_error
        assert client.request("BREW", "/v1/models").is_error
        with httpx.stream("GET", f"{url}/v1/training-jobs/job_example/events") as events:
            next(events.iter_bytes(), None)
        job = client.post("/v1/training-jobs", json=TRAINING).json()
        assert finished(client, job["id"])["status"] == "succeeded"
        diverges = TRAINING | {"architecture": DEEP, "optimizer": {"type": "sgd", "learning_rate": 1e30}}
        job = client.post("/v1/training-jobs", json=diverges).json()
        assert finished(client, job["id"])["status"] == "failed"
        # What is stopped in the middle is put back into the queue.
        client.post("/v1/training-jobs", json=TRAINING | {"epochs": 10_000})
    service.stop()
    lines = service.log.read_text(encoding="utf-8").splitlines()
    parsed = [json.loads(line) for line in lines]
    assert all(isinstance(line, dict) and {"timestamp", "level", "event"} <= line.keys() for line in parsed)
    events_seen = {line["event"] for line in parsed}
    assert {"listening", "request", "worker_started", "job_ended", "draining", "stopped"} <= events_seen
    (unknown,) = [line for line in parsed if line["event"] == "unknown_variable"]
    assert (unknown["variable"], unknown["nearest"]) == ("CONVSERVE_MAXJOBS", "CONVSERVE_MAX_JOBS")


@pytest.mark.parametrize(
    ("options", "variables", "name", "other"),
    [
        (["--port", "70000"], {}, "--port: ", "CONVSERVE_PORT"),
        (["--port", "http"], {"PORT": "1"}, "--port: ", "CONVSERVE_PORT"),
        ([], {"PORT": "70000"}, "CONVSERVE_PORT: ", "--port"),
        (["--port", "70000"], {"MAX_JOBS": "0"}, "CONVSERVE_MAX_JOBS: ", "--max-jobs"),
    ],
)
def test_a_bad_option_is_named_as_it_was_given(
    tmp_path: Path, options: list[str], variables: dict[str, str], name: str, other: str
) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CONVSERVE_")}
    environment |= {f"CONVSERVE_{key}": value for key, value in variables.items()}
    done = subprocess.run(
        [*SERVE, *options, "--data-dir", str(tmp_path / "data")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert name in done.stderr
    assert other not in done.stderr
    assert "Traceback" not in done.stderr


PICTURES = {
    "/v1/training-jobs/job_example/curves": "job_example-curves.svg",
    "/v1/datasets/digits/samples": "digits-samples.png",
    "/v1/datasets/digits/images/0": "digits-images-0.png",
}


@pytest.mark.parametrize("path", PICTURES)
def test_pictures_have_names(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 200
    name = PICTURES[path]
    assert answer.headers["Content-Disposition"] == f"inline; filename=\"{name}\"; filename*=UTF-8''{name}"
    assert http.head(path).headers["Content-Disposition"] == answer.headers["Content-Disposition"]


def test_a_picture_that_is_asked_for_in_another_form_has_its_end(http: httpx.Client) -> None:
    answer = http.get("/v1/training-jobs/job_example/curves", headers={"Accept": "image/png"})
    assert 'filename="job_example-curves.png"' in answer.headers["Content-Disposition"]


def test_curl_saves_pictures_under_their_names(http: httpx.Client, server: str, tmp_path: Path) -> None:
    for path, name in PICTURES.items():
        try:
            subprocess.run(["curl", "-sOJ", server + path], cwd=tmp_path, check=True, timeout=60)
        except FileNotFoundError:
            pytest.skip("there is no curl")
        assert (tmp_path / name).stat().st_size > 100


def test_what_is_no_picture_has_no_name(http: httpx.Client) -> None:
    assert "Content-Disposition" not in http.get("/v1/models").headers
    assert "Content-Disposition" not in http.get("/v1/datasets/digits/images/100000000").headers
    assert (
        http.get("/v1/models/model_example/weights").headers["Content-Disposition"].startswith("attachment")
    )
