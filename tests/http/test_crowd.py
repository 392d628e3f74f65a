"""Hundreds of slow uploads, pollers and streams that vanish: others are answered, and nothing is left of them."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest

from app.cli.launch import ServerProcess
from benchmarks.crowd import Numbers, crowd, submit, weigh
from benchmarks.http import load
from tests.http.several import WaitFor, png

CROWD = Numbers(uploads=500, pollers=1000, streams=500)
RATE = 20.0
"""Predictions a second; they are asked for over several connections that stay."""
# What stays is no more than as many threads as there can be, with a connection to the database for each.
THREADS, FILES, BYTES = 60, 60, 128 << 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 5 * sum(vars(CROWD).values()), reason="too few files"
)
def test_a_crowd_that_vanishes(
    start: Callable[..., ServerProcess], wait_for: WaitFor, record_property: Callable[[str, object], None]
) -> None:
    service = start(CORES="1", LOG_LEVEL="warning", LOG_FORMAT="json")
    url = service.start()
    job = submit(url)
    address = urlsplit(url)
    asked = load.request_bytes("/v1/models/model_example/predict", png(5), {"Content-Type": "image/png"})

    def predictions() -> float:
        found = load.run(address.hostname or "", address.port or 0, asked, 8, 5.0, RATE)
        assert set(found.statuses) == {"200"}
        assert found.lost == 0
        return found.p99_ms

    p99 = [predictions()]
    before = weigh(service.pid)
    with crowd(url, job, CROWD):
        there = weigh(service.pid)
        assert there.files > before.files + CROWD.pollers + CROWD.streams
        p99.append(predictions())
        for path in ("/livez", "/readyz", "/v1/models"):
            assert httpx.get(url + path, timeout=60).status_code == 200
        full = httpx.post(f"{url}/v1/datasets", files={"file": b"PK\3\4"}, timeout=60)
        assert (full.status_code, full.json()["type"]) == (503, "/problems/too-many-uploads")
    wait_for(lambda: weigh(service.pid).files <= before.files + FILES, "the end of their connections")
    metrics = httpx.get(f"{url}/metrics", timeout=60).text
    assert "\nconvserve_event_streams 0" in metrics
    assert "\nconvserve_http_requests_in_progress 1" in metrics
    p99.append(predictions())
    after = weigh(service.pid)
    record_property("p99 of predictions in ms before, beside and after:", " ".join(f"{ms:.0f}" for ms in p99))
    record_property("open files:", f"{before.files}, {there.files}, {after.files}")
    record_property("threads:", f"{before.threads}, {there.threads}, {after.threads}")
    record_property("MiB:", ", ".join(str(weight.resident >> 20) for weight in (before, there, after)))
    assert after.threads <= before.threads + THREADS
    assert after.resident <= before.resident + BYTES
    assert httpx.post(f"{url}/v1/datasets", files={"file": b"PK\3\4"}, timeout=60).status_code != 503
    assert not list((service.data_dir / "uploads").glob(".tmp-*"))
    httpx.post(f"{url}/v1/training-jobs/{job}/cancel", timeout=60)
    service.stop()
    assert "Traceback" not in service.log.read_text()
