"""What a server says of itself is what holds for it."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata

import httpx

from app import version
from app.cli.launch import ServerProcess
from engine.environment import REVISION
from tests.conftest import Guarded
from tests.http.several import LONG, WaitFor, pictures, submit

SYSTEM = "/v1/system"


def test_a_server_says_what_it_takes(
    start: Callable[..., ServerProcess], connect: Callable[..., httpx.Client], wait_for: WaitFor
) -> None:
    service = start(MAX_UPLOAD_BYTES="1000", MAX_PREDICT_IMAGES="3", CORES="1")
    with connect(service.start()) as http:
        before = http.get(SYSTEM).json()
        assert (before["version"], before["cores"], before["processes"]) == (version(), 1, 1)
        assert before["memory_bytes"] > 2**20
        assert (before["needs_key"], before["webhooks"]) == (False, False)
        limits = before["limits"]
        assert (limits["max_upload_bytes"], limits["max_predict_images"], limits["max_jobs"]) == (1000, 3, 1)
        assert {"PNG", "JPEG"} <= set(before["picture_formats"])
        assert before["transfer_sides"] == sorted(before["transfer_sides"])
        too_large = http.post("/v1/datasets", files={"file": ("a.zip", pictures(side=40))})
        assert too_large.status_code == 413
        running, waiting = submit(http, LONG), submit(http, LONG)
        job = f"/v1/training-jobs/{running}"
        wait_for(lambda: http.get(job).json()["status"] == "running", "the first job")
        (training,) = [entry for entry in http.get(SYSTEM).json()["jobs"] if entry["kind"] == "training"]
        assert training == {"kind": "training", "running": 1, "queued": 1}
        assert {entry["kind"]: entry["running"] + entry["queued"] for entry in before["jobs"]}[
            "evaluation"
        ] == 0
        for job in (waiting, running):
            http.post(f"/v1/training-jobs/{job}/cancel")


def test_it_is_for_those_with_the_key(guarded_server: Guarded, connect: Callable[..., httpx.Client]) -> None:
    with connect(guarded_server.url) as http:
        assert http.get(SYSTEM).status_code == 401
        answer = http.get(SYSTEM, headers={"Authorization": f"Bearer {guarded_server.key}"})
        assert answer.json()["needs_key"] is True
        assert guarded_server.key not in answer.text


def test_a_server_says_its_version_and_that_of_what_it_is_built_on(http: httpx.Client) -> None:
    answer = http.get("/v1/version").json()
    assert (answer["version"], answer["api"], answer["engine"]) == (version(), "v1", REVISION)
    assert answer["python"] == platform.python_version()
    libraries = answer["libraries"]
    assert {"numpy", "fastapi", "sqlalchemy", "safetensors"} <= libraries.keys()
    assert not {"pytest", "ruff", "playwright"} & libraries.keys()
    assert libraries["numpy"] == metadata.version("numpy")
    said = subprocess.run(
        [sys.executable, "-m", "app.cli", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == f"convserve {answer['version']}"
