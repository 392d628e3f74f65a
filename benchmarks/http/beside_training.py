"""Predictions at an even rate without and with a training job: what the job costs them, and they the job."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from benchmarks.http.cases import CASES
from benchmarks.http.rounds import Effort, Found, Place, Served, errors, serving, spread
from benchmarks.http.sides import Interpreters, ours

RATE = 50.0
"""Requests a second."""
_CONNECTIONS = 8
_LONGEST = 60.0
"""Seconds within which a job must go on."""


def training(where: Place, interpreters: Interpreters, effort: Effort) -> Iterator[Found]:
    """Ask for predictions at an even rate, without and with a training job; see what both lose by it."""
    case = CASES["lenet"]
    quiet, busy, alone, beside = [], [], [], []
    with serving(ours(case, interpreters.service, where.data, where.models["lenet"])) as served:
        served.load(1, effort.seconds)  # the model is in memory from here on
        for _ in range(effort.rounds):
            quiet.append(served.load(_CONNECTIONS, effort.seconds, RATE))
            job = served.call("POST", "/v1/training-jobs", _JOB)["id"]
            try:
                alone.append(_speed(served, job, lambda: time.sleep(effort.seconds)))
                beside.append(
                    _speed(served, job, lambda: busy.append(served.load(_CONNECTIONS, effort.seconds, RATE)))
                )
            finally:
                served.call("POST", f"/v1/training-jobs/{job}/cancel", b"")
                _until(served, job, lambda found: found["status"] == "cancelled")
    found = {
        "rate": RATE,
        "p50_ms": spread([one.p50_ms for one in quiet]),
        "p99_ms": spread([one.p99_ms for one in quiet]),
        "p50_ms_with_job": spread([one.p50_ms for one in busy]),
        "p99_ms_with_job": spread([one.p99_ms for one in busy]),
        "p99_ratio": spread(
            [one.p99_ms / other.p99_ms for one, other in zip(busy, quiet, strict=True) if other.p99_ms]
        ),
        "images_per_second": spread(alone),
        "images_per_second_beside": spread(beside),
        "job_ratio": spread([one / other for one, other in zip(beside, alone, strict=True)]),
        "errors": sum(one.errors for one in (*quiet, *busy)),
    }
    print(
        f"{RATE:.0f} predictions a second: p99 {found['p99_ms']['median']:.1f} ms, with a training job "
        f"{found['p99_ms_with_job']['median']:.1f} ({found['p99_ratio']['median']:.1f} times); the job "
        f"{found['images_per_second']['median']:.0f} pictures/s, beside them "
        f"{found['images_per_second_beside']['median']:.0f} ({found['job_ratio']['median']:.2f})"
        f"{errors(found)}",
        flush=True,
    )
    yield found


_BATCH = 64
_JOB = json.dumps(
    {
        "architecture": {"preset": "lenet-5"},
        "dataset": "digits",
        "epochs": 1000,
        "batch_size": _BATCH,
        "name": "beside predictions",
    }
).encode()


def _speed(served: Served, job: str, meanwhile: Callable[[], object]) -> float:
    """Return how many pictures a second a job trains on while something else is done."""
    first, steps = _step(served, job)
    meanwhile()
    last, more = _step(served, job)
    return round((more - steps) * _BATCH / (last - first), 1)


def _step(served: Served, job: str) -> tuple[float, int]:
    """Return the moment at which the job's steps are written down next, and how many they are."""
    before = _progress(served.call("GET", f"/v1/training-jobs/{job}"))
    found = _until(served, job, lambda shown: _progress(shown) != before and _progress(shown) > 0)
    return time.perf_counter(), _progress(found)


def _progress(job: Found) -> int:
    return int(job["progress"]["step"])


def _until(served: Served, job: str, reached: Callable[[Found], bool]) -> Found:
    limit = time.perf_counter() + _LONGEST
    while time.perf_counter() < limit:
        found = served.call("GET", f"/v1/training-jobs/{job}")
        if reached(found):
            return found
        if found["status"] == "failed":
            raise SystemExit(f"the training job failed: {found['error']}")
        time.sleep(0.02)
    raise SystemExit(f"the training job did not go on: {found['status']}")
