"""Mixed work that goes on for long: the server's memory and open files stay as they are."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.care.check import check
from app.cli.launch import ServerProcess
from tests.care.installation import at
from tests.conftest import connect, wait_for
from tests.http.several import pictures, png, submit, wait_end, wait_made
from tests.jobs.service import anonymous

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

SETTINGS = {"BUILTIN_MODELS": "false", "CORES": "1"}
SAMPLES = 40
MOST_GROWTH = 24 * 2**20
"""Bytes by which the line through the samples may rise from the first third on: what allocators keep."""
MOST_FILES = 16
PICTURE = {"content-type": "image/png"}


def predict(http: httpx.Client, number: int) -> None:
    answer = http.post("/v1/models/model_example/predict", content=png(number % 9), headers=PICTURE)
    assert answer.status_code == 200, answer.text


def look(http: httpx.Client, number: int) -> None:
    for address in ("/v1/models", "/v1/datasets", "/v1/training-jobs", "/metrics", "/readyz", "/v1/nothing"):
        assert http.get(address).status_code < 500
    time.sleep(0.1)


def come_and_go(http: httpx.Client, number: int) -> None:
    """Upload a data set, train on another, follow that by its events, and delete what was made."""
    form = {"image_size": "8", "channels": "1"}
    made = http.post("/v1/datasets", data=form, files={"file": ("a.zip", pictures())})
    assert made.status_code == 202, made.text
    job = submit(http)
    with (
        suppress(httpx.ReadTimeout),
        http.stream("GET", f"/v1/training-jobs/{job}/events", timeout=5) as stream,
    ):
        for line, _ in zip(stream.iter_lines(), range(5), strict=False):
            assert isinstance(line, str)
    ended = wait_end(http, job, wait_for)
    assert ended["status"] == "succeeded", ended
    wait_made(http, made.json()["id"], wait_for)
    model = f"/v1/models/{ended['model_id']}"
    assert http.post(f"{model}/predict", content=png(number % 9), headers=PICTURE).status_code == 200
    for address in (f"/v1/training-jobs/{job}", model, made.headers["location"]):
        answer = http.delete(address)
        assert answer.status_code == 204, answer.text


def test_soak(
    tmp_path: Path, pytestconfig: pytest.Config, record_property: Callable[[str, Any], None]
) -> None:
    seconds = 60 * pytestconfig.getoption("--minutes")
    server = ServerProcess(tmp_path / "data", tmp_path / "log", SETTINGS)
    done: Counter[str] = Counter()
    memory, files = [], []
    with server as url:
        end = time.monotonic() + seconds

        def repeat(what: Callable[[httpx.Client, int], None]) -> None:
            with connect(url) as http:
                for number in count():
                    if time.monotonic() > end:
                        return
                    what(http, number)
                    done[what.__name__] += 1

        with ThreadPoolExecutor(3) as pool:
            loops = [pool.submit(repeat, what) for what in (predict, look, come_and_go)]
            for _ in range(SAMPLES):
                time.sleep(seconds / SAMPLES)
                memory.append(anonymous(server.pid))
                files.append(len(list(Path(f"/proc/{server.pid}/fd").iterdir())))
            for loop in loops:
                loop.result()
    assert check(at(server.data_dir)).findings == []
    steady = slice(SAMPLES // 3, None)
    slope = np.polyfit(range(SAMPLES)[steady], memory[steady], 1)[0]
    growth = int(slope * len(memory[steady]))
    record_property("minutes of mixed work:", f"{seconds / 60:.1f}")
    record_property("calls:", ", ".join(f"{number} {name}" for name, number in sorted(done.items())))
    record_property(
        "memory:", f"{memory[-1] / 2**20:.0f} MiB, {growth / 2**20:+.1f} MiB in the last two thirds"
    )
    record_property("open files:", f"{min(files[steady])} to {max(files[steady])}")
    assert all(done[name] for name in ("predict", "look", "come_and_go"))
    assert growth < MOST_GROWTH
    assert max(files[steady]) - min(files[steady]) <= MOST_FILES
