"""A clock that jumps a day, either way: nothing is lost, nobody is taken for dead, and all goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.care.check import check
from app.cli.launch import ServerProcess
from tests.care.installation import at
from tests.conftest import connect, wait_for
from tests.http.several import LONG, TRAINING, pictures, submit, wait_end, wait_made
from tests.storage.disks import failing_disk

pytestmark = pytest.mark.slow

DAY = 24 * 3600
SETTINGS = {"BUILTIN_MODELS": "false", "CORES": "1", "MAX_JOBS": "2", "API_KEY": "a-long-random-key"}
ARCHITECTURE = {"name": "n", "input_shape": [4, 4, 1], "layers": [{"type": "flatten"}]}


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["a-day-ahead", "a-day-back"])
def test_a_clock_that_jumps(tmp_path: Path, jump: int, record_property: Callable[[str, Any], None]) -> None:
    with failing_disk(tmp_path, clock=True) as disk:
        server = ServerProcess(disk.data, tmp_path / "log", SETTINGS)
        with server as url, connect(url, Authorization="Bearer a-long-random-key") as http:
            soon = (datetime.now(UTC) + timedelta(hours=12)).isoformat()
            key = {"name": "short", "scopes": ["read"], "expires_at": soon}
            short = http.post("/v1/keys", json=key).json()["key"]
            job = submit(http, LONG)
            _running(http, job)
            upload = {"file": ("a.zip", pictures())}
            form = {"image_size": "8", "channels": "1"}
            dataset = http.post("/v1/datasets", data=form, files=upload).json()["id"]
            once = {"Idempotency-Key": "before-the-jump"}
            first = http.post("/v1/architectures", json=ARCHITECTURE, headers=once).json()["id"]

            disk.put_clock_forward(jump)

            assert http.get("/readyz").status_code == 200
            beats = _running(http, job)
            wait_for(lambda: _running(http, job) > beats, "more steps of the worker")
            assert wait_made(http, dataset, wait_for)["status"] == "ready"
            # keys of callers and of calls last by the clock, and by nothing else
            with connect(url, Authorization=f"Bearer {short}") as reader:
                assert reader.get("/v1/models").status_code == (401 if jump > 0 else 200)
            again = http.post("/v1/architectures", json=ARCHITECTURE, headers=once).json()["id"]
            assert (again == first) == (jump < 0)
            after = submit(http, TRAINING)
            ended = wait_end(http, after, wait_for)
            assert (ended["status"], ended["attempt"]) == ("succeeded", 1)
            assert http.get(f"/v1/training-jobs/{job}").json()["attempt"] == 1
            assert http.post(f"/v1/training-jobs/{job}/cancel").status_code == 202
            assert wait_end(http, job, wait_for)["status"] == "cancelled"
            disk.put_clock_forward(0)
            assert wait_end(http, submit(http, TRAINING), wait_for)["status"] == "succeeded"
        assert check(at(disk.data)).findings == []
    record_property("clock:", f"jumped {jump // 3600:+} h")


def _running(http: Any, job: str) -> int:
    """Wait until a job runs, and return the steps that it has done."""

    def steps() -> int:
        found = http.get(f"/v1/training-jobs/{job}").json()
        assert found["status"] in ("queued", "running"), found
        return int(found["progress"].get("step", 0))

    return int(wait_for(steps, "the first steps"))
