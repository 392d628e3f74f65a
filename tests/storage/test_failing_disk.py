"""A server whose disk fails says so, goes on with what needs no disk, and is whole again when the disk is."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.conftest import connect
from tests.http.several import WaitFor, pictures, png
from tests.metrics.scrape import scrape
from tests.storage.disks import FailingDisk, failing_disk

ARCHITECTURE = {"input_shape": [4, 4, 1], "layers": [{"type": "flatten"}, {"type": "dense", "units": 2}]}
NETWORK = {
    "input_shape": [28, 28, 1],
    "layers": [
        {"type": "conv2d", "filters": 4, "kernel_size": 5, "stride": 2, "activation": "relu"},
        {"type": "flatten"},
        {"type": "dense", "units": 10},
    ],
}
TRAINING = {"name": "same", "architecture": NETWORK, "dataset": "digits", "epochs": 3, "batch_size": 64}
SETTINGS = {"CORES": "1", "CHECKPOINT_SECONDS": "0.2", "MIN_FREE_BYTES": "1000000", "LOG_FORMAT": "json"}

FULL = (507, "/problems/storage-full")
UNAVAILABLE = (503, "/problems/storage-unavailable")


class Failing(NamedTuple):
    """A server and its disk."""

    client: httpx.Client
    disk: FailingDisk
    service: ServerProcess
    weights: bytes


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    folder = tmp_path_factory.mktemp("failing")
    with failing_disk(folder) as disk:
        service = ServerProcess(disk.data, folder / "log", SETTINGS)
        with service as url, connect(url) as client:
            weights = client.get("/v1/models/model_example/weights").content
            yield Failing(client, disk, service, weights)


@pytest.fixture
def failing(running: Failing) -> Iterator[Failing]:
    """The server, whose disk is good before each test and after it."""
    try:
        yield running
    finally:
        running.disk.mend()


@contextmanager
def full(disk: FailingDisk) -> Iterator[tuple[int, str]]:
    disk.fill()
    yield FULL
    disk.mend()


@contextmanager
def read_only(disk: FailingDisk) -> Iterator[tuple[int, str]]:
    disk.make_read_only()
    yield UNAVAILABLE
    disk.mend()


faults = pytest.mark.parametrize("fault", [full, read_only])


def writing(failing: Failing) -> list[tuple[str, httpx.Response]]:
    """Make a call of every kind that stores something."""
    client, weights = failing.client, failing.weights
    raw = {"content-type": "application/octet-stream"}
    predict = {"model": "model_example", "dataset": "digits", "split": "test"}
    return [
        ("a form", client.post("/v1/datasets", files={"file": ("a.zip", pictures())})),
        ("a raw body", client.post("/v1/models/import", content=weights, headers=raw)),
        ("a form of a model", client.post("/v1/models/import", files={"file": ("m.safetensors", weights)})),
        ("a row", client.post("/v1/architectures", json={"name": "small", **ARCHITECTURE})),
        ("a job", client.post("/v1/training-jobs", json=TRAINING)),
        ("an evaluation", client.post("/v1/evaluations", json=predict)),
        (
            "a batch",
            client.post(
                "/v1/batch-predictions",
                data={"model": "model_example"},
                files={"file": ("a.zip", pictures())},
            ),
        ),
        (
            "an alias",
            client.put("/v1/models/lenet-5-digits/aliases/best", json={"model_id": "model_example"}),
        ),
    ]


def reading(failing: Failing) -> list[tuple[str, httpx.Response]]:
    """Make calls that need nothing written, predictions first."""
    client = failing.client
    return [
        ("predict", client.post("/v1/models/model_example/predict", files={"files": ("a.png", png(3, 28))})),
        ("look", client.get("/v1/models/model_example")),
        ("list", client.get("/v1/training-jobs")),
        ("statistics", client.get("/v1/datasets/digits/statistics")),
        ("operation", client.post("/v1/operations/relu", json={"input": [[[1.0]], [[-1.0]]]})),
        ("live", client.get("/livez")),
    ]


def files(failing: Failing) -> set[str]:
    """Return what lies in the folders of what is stored, and what is half written anywhere."""
    data = failing.disk.data
    found = {path for folder in ("uploads", "models", "datasets") for path in data.glob(f"{folder}/*")}
    return {str(path.relative_to(data)) for path in found | set(data.rglob(".tmp-*"))}


def readiness(failing: Failing, wait_for: WaitFor, parts: set[str]) -> dict[str, Any]:
    """Wait until readiness names these parts, and return what it says."""

    def told() -> dict[str, Any] | None:
        answer = failing.client.get("/readyz")
        named = {fault["parameter"] for fault in answer.json().get("errors", ())}
        assert answer.status_code == (503 if named else 200)
        return answer.json() if named == parts else None

    found: dict[str, Any] = wait_for(told, f"readiness with {parts or 'no fault'}")
    return found


@faults
def test_what_cannot_be_stored_is_said_and_the_rest_goes_on(
    failing: Failing, fault: Callable[..., Any], wait_for: WaitFor
) -> None:
    before = files(failing)
    with fault(failing.disk) as expected:
        for what, answer in writing(failing):
            assert (answer.status_code, answer.json()["type"]) == expected, what
            assert int(answer.headers["retry-after"]) > 0
            assert str(failing.disk.data) not in answer.text, what
            assert "operator" in answer.json()["detail"]
        for what, answer in reading(failing):
            assert answer.status_code == 200, (what, answer.text)
        found = readiness(failing, wait_for, {"disk", "database"})
        assert str(failing.disk.data) not in str(found)
        assert all(entry["hint"] for entry in found["errors"])
    readiness(failing, wait_for, set())
    assert files(failing) == before, "nothing is left of what was refused"
    assert failing.client.post("/v1/architectures", json={"name": "after", **ARCHITECTURE}).status_code == 201


@pytest.mark.parametrize(("fault", "kind"), [(full, "full"), (read_only, "read-only")])
def test_each_fault_is_counted_by_its_kind(
    failing: Failing, fault: Callable[..., Any], kind: str, wait_for: WaitFor
) -> None:
    def count(**labels: str) -> float:
        return scrape(failing.client).sum("storage_faults_total", **labels)

    files, rows = count(part="disk", kind=kind), count(part="database")
    with fault(failing.disk):
        assert failing.client.post("/v1/datasets", files={"file": ("a.zip", pictures())}).is_error
        assert count(part="disk", kind=kind) > files
        assert failing.client.post("/v1/architectures", json={"name": "s", **ARCHITECTURE}).is_error
        # SQLite says of some writes that they failed, and not why
        assert count(part="database") > rows
        readiness(failing, wait_for, {"disk", "database"})
    readiness(failing, wait_for, set())
    failing.disk.say_free(500_000)
    low = count(kind="low")
    assert failing.client.post("/v1/datasets", files={"file": ("a.zip", pictures())}).is_error
    assert count(kind="low") == low + 1


def test_a_key_is_free_again_after_a_call_that_could_not_be_stored(failing: Failing) -> None:
    call = {"json": {"name": "once", **ARCHITECTURE}, "headers": {"Idempotency-Key": "disk-was-full"}}
    failing.disk.fill()
    assert failing.client.post("/v1/architectures", **call).status_code == 507
    failing.disk.mend()
    first, again = (failing.client.post("/v1/architectures", **call) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]


def test_a_write_that_fails_once_makes_no_false_success(failing: Failing) -> None:
    client = failing.client
    raw = {"content-type": "application/octet-stream"}
    for number in range(40):
        before = {model["id"] for model in client.get("/v1/models?limit=200").json()["data"]}
        stored = files(failing)
        failing.disk.fail_once(after=number)
        answer = client.post("/v1/models/import", content=failing.weights, headers=raw)
        failed = failing.disk.has_failed
        failing.disk.mend()
        after = {model["id"] for model in client.get("/v1/models?limit=200").json()["data"]}
        if answer.status_code == 201:
            model = answer.json()["id"]
            assert after - before == {model}
            assert client.get(f"/v1/models/{model}/weights").content == failing.weights
            client.delete(f"/v1/models/{model}")
        else:
            assert (answer.status_code, answer.json()["type"]) == UNAVAILABLE
            assert after == before
            assert files(failing) == stored
        if not failed:
            break
    assert number > 3, "writes of the import were met"
    assert not failed


def test_little_room_refuses_new_work_and_nothing_else(failing: Failing, wait_for: WaitFor) -> None:
    failing.disk.say_free(500_000)
    for what, answer in writing(failing):
        if what not in ("a row", "an alias"):
            assert (answer.status_code, answer.json()["type"]) == FULL, what
            numbers = answer.json()["numbers"]
            assert numbers["free_bytes"] == 499_712
            assert numbers["needed_bytes"] >= 1_000_000
    for what, answer in reading(failing):
        assert answer.status_code == 200, what
    # so does what would leave little, before it is received
    failing.disk.say_free(1_500_000)
    large = {"file": ("a.zip", bytes(600_000))}
    answer = failing.client.post("/v1/datasets", files=large)
    assert (answer.status_code, answer.json()["type"]) == FULL
    assert answer.json()["numbers"]["needed_bytes"] > 1_600_000
    failing.disk.say_free(500_000)
    warned = wait_for(lambda: failing.client.get("/readyz").json()["warnings"], "the warning")
    assert "499712 bytes are free" in warned[0]
    failing.disk.mend()
    wait_for(lambda: not failing.client.get("/readyz").json()["warnings"], "its end")


def test_there_is_always_room_to_delete_something(failing: Failing, wait_for: WaitFor) -> None:
    reserve = failing.disk.data / "reserve"
    wait_for(reserve.exists, "the reserve")
    made = failing.client.post("/v1/architectures", json={"name": "spare", **ARCHITECTURE}).json()["id"]
    failing.disk.fill()
    assert failing.client.post("/v1/architectures", json={"name": "more", **ARCHITECTURE}).status_code == 507
    assert reserve.exists()
    assert failing.client.delete(f"/v1/architectures/{made}").status_code == 204
    assert not reserve.exists()
    assert failing.client.get(f"/v1/architectures/{made}").status_code == 404


def test_readiness_writes_at_most_once_a_second(failing: Failing) -> None:
    def written() -> int:
        with closing(sqlite3.connect(failing.disk.data / "convserve.sqlite3")) as database:
            (number,) = database.execute("PRAGMA user_version").fetchone()
            return int(number)

    before, began = written(), time.monotonic()
    for _ in range(60):
        assert failing.client.get("/readyz").status_code == 200
    assert written() - before <= 2 + (time.monotonic() - began)


def test_readiness_finds_that_the_database_is_gone(failing: Failing, wait_for: WaitFor) -> None:
    database = failing.disk.data / "convserve.sqlite3"
    aside = database.with_name("aside")
    database.rename(aside)
    try:
        readiness(failing, wait_for, {"database"})
        # another file of its name is not the one that is written to
        database.write_bytes(aside.read_bytes())
        readiness(failing, wait_for, {"database"})
    finally:
        aside.replace(database)
    readiness(failing, wait_for, set())


@pytest.mark.slow
def test_training_waits_for_the_disk_and_ends_in_the_same_bytes(failing: Failing, wait_for: WaitFor) -> None:
    client, disk = failing.client, failing.disk

    def submit() -> str:
        return str(client.post("/v1/training-jobs", json=TRAINING).json()["id"])

    def job(job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = client.get(f"/v1/training-jobs/{job_id}").json()
        return found

    def weights(job_id: str) -> bytes:
        ended = wait_for(lambda: (found := job(job_id))["finished_at"] and found, "the end")
        assert (ended["status"], ended["attempt"], ended["waiting_for"]) == ("succeeded", 1, None), ended
        return client.get(f"/v1/models/{ended['model_id']}/weights").content

    undisturbed = weights(submit())
    disturbed = submit()
    wait_for(lambda: job(disturbed)["progress"]["epoch"] >= 2, "an epoch")
    disk.fill()
    wait_for(lambda: "goes on later" in client.get(f"/v1/training-jobs/{disturbed}/log").text, "its pause")
    assert job(disturbed)["status"] == "running"
    assert client.post("/v1/models/model_example/predict", files={"files": ("a.png", png(3, 28))}).is_success
    disk.mend()
    waits = wait_for(lambda: job(disturbed)["waiting_for"], "what it waits for")
    assert waits["storage"] == "full"
    assert scrape(client).sum("storage_faults_total", part="worker", kind="full") >= 1
    assert weights(disturbed) == undisturbed
    folder: Path = disk.data / "jobs" / disturbed
    assert len(list(folder.glob("checkpoint-*"))) == 1
    assert not list(folder.glob(".tmp-*"))
