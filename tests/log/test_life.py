"""The log of a whole life: each line is JSON, each job has its start and its end there, and no secret is in it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.cli.launch import SERVE, ServerProcess
from app.jobs.kinds import ASKED_FOR
from tests.http.several import LONG, TRAINING, Connect, WaitFor, events, pictures, png, processes

KEY = "Kq7-a-key-that-nobody-may-read"
WRONG = "Wx9-a-key-that-somebody-mistyped"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
TOKEN = "Tz3-a-token-of-an-address"  # noqa: S105 - of nobody
SECRETS = (KEY, WRONG, SECRET, SECRET[6:], TOKEN, base64.b64encode(f":{KEY}".encode()).decode())
DIVERGES = TRAINING | {
    "architecture": {
        "input_shape": [28, 28, 1],
        "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}, {"type": "dense", "units": 10}],
    },
    "optimizer": {"type": "sgd", "learning_rate": 1e30},
}
FINISHED = {"succeeded", "failed", "cancelled"}


class Life(NamedTuple):
    """A server of two processes of which one crashed, and that has been stopped; and what it has done."""

    service: ServerProcess
    kinds: set[str]


@pytest.fixture(
    scope="module", params=[{"training"}, pytest.param(set(ASKED_FOR) - {"download"}, marks=pytest.mark.slow)],
    ids=["training", "every kind"],
)  # fmt: skip
def lived(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    connect: Connect,
    wait_for: WaitFor,
) -> Iterator[Life]:
    """Jobs of one kind, or of every kind that needs nothing from elsewhere."""
    folder = tmp_path_factory.mktemp("life")
    settings = {
        "WORKERS": "2", "MAXJOBS": "2", "CORES": "1", "LOG_FORMAT": "json", "LOG_LEVEL": "debug", "API_KEY": KEY,
        "WEBHOOK_SECRET": SECRET, "WEBHOOK_PRIVATE": "true", "DATASET_MIRROR": str(folder / "mirror"),
    }  # fmt: skip
    service = ServerProcess(folder / "data", folder / "log", settings)
    url = service.start()
    try:
        _work(service, url, connect, wait_for, others=len(request.param) > 1)
        service.stop()
        yield Life(service, request.param)
    finally:
        service.kill()


@pytest.fixture
def life(lived: Life) -> ServerProcess:
    return lived.service


def _work(service: ServerProcess, url: str, connect: Connect, wait_for: WaitFor, *, others: bool) -> None:
    with connect(url, Authorization=f"Bearer {KEY}") as http:
        wait_for(lambda: len(events(service, "process_ready")) == 2, "both")
        for path in (
            "/livez",
            "/readyz",
            "/metrics",
            "/v1/system",
            f"/v1/models?after={TOKEN}",
            f"/v1/nothing?key={TOKEN}",
        ):
            http.get(path)
        http.get("/v1/models", headers={"Authorization": f"Bearer {WRONG}"})
        http.get("/v1/models", auth=("", KEY))
        http.get("/v1/nothing%01%0a\u732b")
        http.request("BREW", "/v1/models")
        http.post("/v1/training-jobs", content=b"{", headers={"Content-Type": "application/json"})
        http.post("/v1/training-jobs", json={"a": "\n{"})
        with http.stream("GET", "/v1/training-jobs/job_example/events") as stream:
            next(stream.iter_bytes(), None)
        http.post(
            "/v1/models/model_example/predict", content=png(1, 28), headers={"Content-Type": "image/png"}
        )
        http.post("/v1/models/model_example/predict", content=b"x", headers={"Content-Type": "image/png"})
        hook = f"http://127.0.0.1:1/{TOKEN}?token={TOKEN}"
        burst = http.post("/v1/training-jobs", json=DIVERGES | {"webhook": {"url": hook}})
        if others:
            _every_kind(http, wait_for)
        _wait_end(http, burst, wait_for)
        http.post("/v1/training-jobs", json=LONG)
        wait_for(lambda: events(service, "webhook_sent"), "a webhook")
    ready = len(events(service, "process_ready"))
    os.kill(processes(service)[1], signal.SIGSEGV)
    wait_for(lambda: len(events(service, "process_ready")) > ready, "the one in its place")


def _every_kind(http: httpx.Client, wait_for: WaitFor) -> None:
    """Have jobs of every kind that needs nothing from elsewhere, and what comes to nothing."""
    jobs = [
        http.post("/v1/training-jobs", json=TRAINING),
        http.post("/v1/evaluations", json={"model": "model_example", "dataset": "digits"}),
        http.post(
            "/v1/batch-predictions", files={"file": ("a.zip", pictures())}, data={"model": "model_example"}
        ),
    ]
    made = http.post("/v1/datasets", files={"file": ("a.zip", pictures())}, data={"name": "made"})
    broken = http.post("/v1/datasets", files={"file": ("a.zip", pictures()[:300])}, data={"name": "broken"})
    missing = http.post("/v1/datasets/downloads", json={"dataset": "mnist", "name": "missing"})
    assert {made.status_code, broken.status_code} <= {202, 422}, (made.text, broken.text)
    assert missing.status_code in (202, 404, 422), missing.text
    for answer in jobs:
        _wait_end(http, answer, wait_for)
    dataset = made.headers["location"]
    wait_for(lambda: http.get(dataset).json()["status"] == "ready", "the data set")
    added = http.post(f"{dataset}/images", files={"file": ("a.zip", pictures(side=11))})
    assert added.status_code == 202, added.text
    wait_for(lambda: not _open_jobs(http), "the end of all jobs")


def _wait_end(http: httpx.Client, answer: httpx.Response, wait_for: WaitFor) -> None:
    assert answer.status_code == 202, answer.text
    at = answer.headers["location"]
    wait_for(lambda: http.get(at).json()["status"] in FINISHED, at)


def _open_jobs(http: Any) -> int:
    return sum(kind["running"] + kind["queued"] for kind in http.get("/v1/system").json()["jobs"])


def lines(service: ServerProcess) -> list[dict[str, Any]]:
    return [json.loads(line) for line in service.log.read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_every_line_is_json_with_its_time_in_utc_and_milliseconds(life: ServerProcess) -> None:
    for line in lines(life):
        assert {"timestamp", "level", "event", "logger"} <= line.keys()
        whole, _, rest = line["timestamp"].partition(".")
        assert len(whole) == len("2026-01-01T00:00:00")
        assert len(rest) == 4
        assert rest.endswith("Z")
    seen = {line["event"] for line in lines(life)}
    assert {"listening", "request", "worker_started", "job_ended", "draining", "stopped"} <= seen
    (unknown,) = events(life, "unknown_variable")
    assert (unknown["variable"], unknown["nearest"]) == ("CONVSERVE_MAXJOBS", "CONVSERVE_MAX_JOBS")


def test_no_secret_is_in_any_line_of_the_server_or_of_a_job(lived: Life) -> None:
    life = lived.service
    logs = [life.log, *life.data_dir.glob("jobs/*/*.log")]
    assert len(logs) > 1 + len(lived.kinds)
    for log in logs:
        text = log.read_text(encoding="utf-8")
        assert [secret for secret in SECRETS if secret in text] == [], log


def test_every_job_is_there_with_its_start_and_its_end(lived: Life) -> None:
    life = lived.service
    started = {line["job"]: line["kind"] for line in events(life, "worker_started")}
    ended = {line["job"]: line for line in events(life, "job_ended")}
    assert lived.kinds <= set(started.values())
    left = started.keys() - ended.keys()
    # the one that was running when the server stopped
    assert [line["job"] for line in events(life, "job_put_back")] == [*left]
    assert len(left) == 1
    for line in ended.values():
        assert line["status"] in FINISHED
        assert line["seconds"] >= 0
        assert (line["status"] == "failed") == bool(line["reason"] and line["error"])
    assert "non_finite" in {line["error"] for line in ended.values()}


def test_requests_have_an_id_and_who_called_and_polls_are_no_news(life: ServerProcess) -> None:
    requests = events(life, "request")
    assert all(line["client"] == "127.0.0.1" and len(line["request_id"]) == 32 for line in requests)
    levels = {
        path: {line["level"] for line in requests if line["path"] == path and line["status"] == 200}
        for path in ("/livez", "/readyz", "/metrics", "/v1/system", "/v1/models")
    }
    assert levels["/livez"] == levels["/readyz"] == levels["/metrics"] == {"debug"}
    assert levels["/v1/system"] == levels["/v1/models"] == {"info"}
    polls = [line for line in requests if (line["path"] or "").rpartition("/")[2].startswith("job_")]
    assert {line["level"] for line in polls if line["method"] == "GET"} == {"debug"}
    # what could not be read as a request has no path, and is news
    assert {line["level"] for line in requests if line["path"] is None} == {"info"}
    (wrong,) = [line for line in requests if line["status"] == 401]
    assert (wrong["level"], wrong["problem"]) == ("info", "unauthorized")


def test_libraries_say_nothing_below_a_warning_even_at_debug_level(life: ServerProcess) -> None:
    ours = ("app.", "engine.", "worker")
    others = [line for line in lines(life) if not line["logger"].startswith(ours)]
    assert [line for line in others if line["level"] in ("debug", "info")] == []


def test_a_crash_in_native_code_is_told_by_the_next_process(life: ServerProcess) -> None:
    (crash,) = events(life, "process_crashed")
    assert crash["trace"].startswith("Fatal Python error: Segmentation fault")
    assert 'File "' in crash["trace"]
    assert not list(life.data_dir.glob("crash-*"))
    assert events(life, "process_ended")[0]["status"] == -signal.SIGSEGV


def test_what_keeps_a_server_from_starting_is_json_where_that_is_asked_for(tmp_path: Path) -> None:
    environment = {**os.environ, "CONVSERVE_LOG_FORMAT": "json", "CONVSERVE_MAX_JOBS": "0"}
    done = subprocess.run(
        [*SERVE, "--data-dir", str(tmp_path / "data")],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = [json.loads(text) for text in done.stderr.splitlines()]
    assert (line["event"], line["level"]) == ("not_started", "error")
    assert line["reason"].startswith("CONVSERVE_MAX_JOBS: ")


UNCAUGHT = """
import logging, sys, threading, warnings
from app.log import Log, format as log_format
from app.settings import Settings

log_format.configure(Settings(log_format="json"))

class Bad:
    def __del__(self):
        raise RuntimeError("nobody hears")

def broken():
    raise RuntimeError("in a thread")

warnings.warn("take care")
Bad()
thread = threading.Thread(target=broken, name="worker-7")
thread.start()
thread.join()
logging.getLogger("app").info("%d", "no number")
Log("app.x").info("after")
raise RuntimeError("in the main thread")
"""


def test_what_nobody_catches_is_json_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNCAUGHT],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"].partition(":")[0] for line in found if line["logger"] != "py.warnings"] == [
        "exception_ignored",
        "uncaught_exception",
        "line_not_written",
        "after",
        "uncaught_exception",
    ]
    texts = [line.get("exception", "") for line in found]
    for said in ("nobody hears", "in a thread", "in the main thread"):
        assert sum(said in text for text in texts) == 1
    assert [line["thread"] for line in found if "thread" in line] == ["worker-7"]
    assert any("take care" in line["event"] for line in found)


def test_what_lies_in_the_data_directory_is_documented(life: ServerProcess) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    block = page.partition("## What lies in the data directory")[2].partition("\n\n")[2].partition("\n\n")[0]
    documented = {line.split()[0].rstrip("/") for line in block.splitlines()}
    found = {re.sub(r"\d+\.log", "N.log", path.name) for path in life.data_dir.iterdir()}
    assert found <= documented
    assert len(found) > 6
