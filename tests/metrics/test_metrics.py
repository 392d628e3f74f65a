"""What Prometheus reads of a server is what has happened there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.files.locks import read_holder
from app.metrics.families import FAMILIES
from app.store.database import DATABASE_NAME
from tests.conftest import Guarded
from tests.http.several import LONG, Connect, WaitFor, kill, png, submit, wait_end
from tests.metrics.scrape import families, scrape

PREDICT = "/v1/models/model_example/predict"
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("metrics")
    settings = {"CORES": "1", "MAX_DATA_BYTES": str(2**33), "MAX_PREDICT_IMAGES": "3", "LOG_FORMAT": "json"}
    process = ServerProcess(folder / "data", folder / "log", settings)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own(service: ServerProcess, connect: Connect) -> Iterator[httpx.Client]:
    with connect(address(service)) as client:
        yield client


def address(service: ServerProcess) -> str:
    return str(json.loads((service.data_dir / "server.json").read_text())["url"])


def test_all_families_are_there_as_they_are_described(own: httpx.Client) -> None:
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in families(own)
    }
    assert exposed.keys() == FAMILIES.keys()
    for name, family in FAMILIES.items():
        assert (exposed[name].type, exposed[name].documentation) == (family.kind, family.help)
        for sample in exposed[name].samples:
            assert sample.labels.keys() - {"le"} == set(family.labels)


def test_names_follow_the_conventions() -> None:
    for family in FAMILIES.values():
        assert family.name.startswith("convserve_")
        assert family.help.endswith(".")
        assert (family.kind == "counter") == family.name.endswith("_total")
        if family.kind == "histogram":
            assert family.name.endswith(("_seconds", "_bytes", "_pictures"))


def test_requests_are_counted_by_route_and_status(own: httpx.Client) -> None:
    before = scrape(own)
    for number in range(3):
        own.get(f"/v1/models/model_{number}")
    own.get("/v1/models/model_example")
    own.head("/v1/models/model_example")
    own.get("/docs")
    own.get("/v1/made/up/1")
    own.get("/v1/made/up/2")
    after = scrape(own)

    def more(**labels: str) -> float:
        name = "http_request_duration_seconds_count"
        return after.sum(name, **labels) - before.sum(name, **labels)

    assert more(method="GET", route="/v1/models/{model_id}", status="404") == 3
    assert more(method="GET", route="/v1/models/{model_id}", status="200") == 1
    assert more(method="HEAD", route="/v1/models/{model_id}", status="200") == 1
    assert more(route="pages", status="200") == 1
    assert more(route="unmatched", status="404") == 2
    assert more(route="/metrics") == 1
    assert after.all("http_requests_in_progress") == [1]
    assert after.sum("http_connections") >= 1


@pytest.mark.parametrize(
    ("reason", "status", "call"),
    [
        (
            "limit-exceeded",
            413,
            lambda http: http.post(PREDICT, files=[("files", ("a.png", png(1), "image/png"))] * 4),
        ),
        ("unsupported-media-type", 415, lambda http: http.post(PREDICT, content=b"a", headers={"Content-Type": "a/b"})),
        ("invalid", 422, lambda http: http.post("/v1/training-jobs", json={"epochs": 0})),
    ],
)  # fmt: skip
def test_refusals_are_counted_by_their_reason(
    own: httpx.Client, reason: str, status: int, call: Callable[[httpx.Client], httpx.Response]
) -> None:
    labels = {"status": str(status)}
    before = scrape(own).sum("http_refusals_total", **labels)
    answer = call(own)
    assert answer.status_code == status, answer.text
    labels["reason"] = answer.json()["type"].removeprefix("/problems/")
    assert scrape(own).sum("http_refusals_total", **labels) >= 1
    assert scrape(own).sum("http_refusals_total", status=str(status)) == before + 1


def test_predictions_are_counted_by_model(own: httpx.Client) -> None:
    name = own.get("/v1/models/model_example").json()["name"]
    before = scrape(own)
    for _ in range(5):
        assert own.post(PREDICT, content=png(3, 28), headers=PNG).status_code == 200
    several = [("files", (f"{number}.png", png(number, 28), "image/png")) for number in range(3)]
    assert own.post(PREDICT, files=several).status_code == 200
    after = scrape(own)

    def more(name_: str, **labels: str) -> float:
        return after.sum(name_, model=name, **labels) - before.sum(name_, model=name, **labels)

    assert more("predictions_total") == 8
    assert more("prediction_batch_pictures_sum") == 8
    assert more("prediction_wait_seconds_count") == 6
    assert more("prediction_batch_pictures_bucket", le="1.0") == 5
    assert more("prediction_batch_duration_seconds_count") == 6
    assert more("prediction_batch_duration_seconds_sum") > 0
    assert after.all("prediction_queue_pictures") == [0]
    assert after.all("request_bodies_bytes") == [0]
    assert after.all("models_loaded") == [1]
    assert 0 < after.sum("models_loaded_bytes") < after.sum("models_loaded_limit_bytes")


def test_jobs_are_counted_by_kind_through_their_life(
    own: httpx.Client, service: ServerProcess, wait_for: WaitFor
) -> None:
    before = scrape(own)
    running, waiting = submit(own, LONG), submit(own)

    def trains() -> bool:
        return scrape(own).sum("training_images_per_second") > 0

    wait_for(trains, "training")
    during = scrape(own)
    assert during.sum("jobs", kind="training", status="running") == 1
    assert during.sum("jobs", kind="training", status="queued") == 1
    assert during.sum("jobs_oldest_queued_age_seconds", kind="training") > 0
    assert (
        during.sum("job_attempts_total", kind="training")
        == before.sum("job_attempts_total", kind="training") + 1
    )
    wait_for(lambda: scrape(own).sum("training_checkpoint_seconds") > 0, "a checkpoint")
    holder = read_holder(service.data_dir / "jobs" / running / "lock")
    assert holder is not None
    os.kill(holder, signal.SIGKILL)
    lost = before.sum("job_attempts_lost_total", kind="training") + 1
    wait_for(lambda: scrape(own).sum("job_attempts_lost_total", kind="training") == lost, "the loss")
    own.post(f"/v1/training-jobs/{running}/cancel")
    assert wait_end(own, running, wait_for)["status"] == "cancelled"
    assert wait_end(own, waiting, wait_for)["status"] == "succeeded"

    def ends() -> dict[str, float]:
        now = scrape(own)
        name = "job_duration_seconds_count"
        return {
            status: now.sum(name, kind="training", status=status)
            - before.sum(name, kind="training", status=status)
            for status in ("succeeded", "cancelled", "failed")
        }

    wait_for(lambda: ends() == {"succeeded": 1, "cancelled": 1, "failed": 0}, "the counts")
    after = scrape(own)
    assert after.sum("job_wait_seconds_count", kind="training") == before.sum("job_wait_seconds_count") + 2
    assert after.sum("log_events_total", level="warning", event="worker_gone") >= 1


def test_what_the_server_takes_of_the_machine(
    own: httpx.Client, service: ServerProcess, wait_for: WaitFor
) -> None:
    found = scrape(own)
    resident = found.all("process_resident_memory_bytes", process="0")
    assert all(2**24 < value < 2**32 for value in resident)
    assert bool(resident) == Path("/proc/self/statm").exists()
    assert 0 < found.sum("process_open_fds") < found.sum("process_max_fds")
    assert found.sum("process_cpu_seconds_total") > 0
    disk = shutil.disk_usage(service.data_dir)
    assert found.all("disk_size_bytes") == [disk.total]
    assert found.sum("disk_free_bytes") == pytest.approx(disk.free, rel=0.5)
    assert found.all("data_limit_bytes") == [2**33]
    assert found.sum("data_bytes") > 0
    assert found.all("database_up") == [1]
    with httpx.stream("GET", f"{address(service)}/v1/events") as stream:
        received = stream.iter_bytes()  # held: the stream ends with it
        next(received)
        wait_for(lambda: scrape(own).all("event_streams") == [1], "the reader")


def test_it_needs_the_key_as_prometheus_sends_it(guarded_server: Guarded, connect: Connect) -> None:
    with connect(guarded_server.url) as http:
        assert http.get("/metrics").status_code == 401
        answer = http.get("/metrics", headers={"Authorization": f"Bearer {guarded_server.key}"})
        assert answer.status_code == 200


def test_open_metrics_are_there_for_who_asks(own: httpx.Client) -> None:
    answer = own.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")


def test_they_are_there_when_the_database_is_not(
    start: Callable[..., ServerProcess], connect: Connect
) -> None:
    service = start(LOG_FORMAT="json")
    with connect(service.start()) as http:
        assert scrape(http).all("database_up") == [1]
        with closing(sqlite3.connect(service.data_dir / DATABASE_NAME)) as database:
            database.execute("ALTER TABLE deliveries RENAME TO gone")
        found = scrape(http)
        assert found.all("database_up") == [0]
        assert found.sum("http_request_duration_seconds_count", route="/metrics") == 1
        assert found.sum("process_open_fds") > 0
        assert scrape(http).sum("log_events_total", event="metrics_without_rows") >= 1
    service.kill()


@pytest.mark.slow
def test_any_of_several_processes_answers_for_all_and_what_was_counted_outlives_its_process(
    several: ServerProcess, several_url: str, connect: Connect, wait_for: WaitFor
) -> None:
    def count() -> float:
        with connect(several_url) as http:
            return scrape(http).sum("http_request_duration_seconds_count", route="/v1/models")

    for _ in range(20):
        with connect(several_url) as http:  # a connection of its own: either process may get it
            assert http.get("/v1/models").status_code == 200
    assert {count() for _ in range(8)} == {20}

    def process_labels() -> set[str]:
        with connect(several_url) as http:
            return {
                sample.labels["process"]
                for sample in scrape(http).samples
                if sample.name == "convserve_process_start_time_seconds"
            }

    wait_for(lambda: process_labels() == {"0", "1"}, "the values of both")
    with connect(several_url) as http:
        before = scrape(http)
    kill(several, 1, wait_for)
    assert {count() for _ in range(8)} == {20}

    def replaced() -> bool:
        with connect(several_url) as http:
            started = scrape(http)
        return min(started.all("process_start_time_seconds", process="1"), default=0) > max(
            before.all("process_start_time_seconds")
        )

    wait_for(replaced, "the values of the one in its place")
    with connect(several_url) as http:
        assert scrape(http).sum("prediction_queue_limit_pictures") == 1024
        assert 0 <= scrape(http).sum("runner_silent_seconds") < 60


@pytest.mark.slow
def test_promtool_finds_nothing_to_say(own: httpx.Client) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None, "this test needs promtool (Debian: apt-get install prometheus)"
    own.post(PREDICT, content=png(3, 28), headers=PNG)
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=own.get("/metrics").text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
