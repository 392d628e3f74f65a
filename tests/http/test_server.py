"""The server process: one per data directory, found by a file, ready only when it can work."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.health.readiness import FRESH_SECONDS
from app.main import create_app
from app.services import Services
from app.settings import SettingsError, load_settings
from app.web.server import serve

Connect = Callable[..., httpx.Client]


class Running(NamedTuple):
    """A server of this module's own, and a client of it."""

    service: ServerProcess
    client: httpx.Client


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, connect: Connect) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("logged")
    service = ServerProcess(folder / "data", folder / "log", {"CORES": "1", "LOG_FORMAT": "json"})
    with service as url, connect(url) as client:
        yield Running(service, client)


def logged(service: ServerProcess, request_id: str) -> list[dict[str, Any]]:
    """Return the lines about a request, once the last of them is there: it comes after the answer."""
    deadline = time.monotonic() + 60
    while True:
        lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
        found = [line for line in lines if line.get("request_id") == request_id]
        if any(line["event"] == "request" for line in found) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_it_can_be_found_while_it_runs(
    start: Callable[..., ServerProcess], connect: Connect, leaves: Callable[[ServerProcess], None]
) -> None:
    service = start()
    url = service.start()
    found = json.loads((service.data_dir / "server.json").read_text())
    assert found == {"url": url, "pid": service.pid}
    with connect(found["url"]) as client:
        assert client.get("/livez").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ok", "warnings": []}
    os.kill(service.pid, signal.SIGINT)
    leaves(service)
    assert not (service.data_dir / "server.json").exists()


def test_a_data_directory_has_one_server(running: Running) -> None:
    settings = load_settings(data_dir=running.service.data_dir)
    with pytest.raises(SettingsError) as caught:
        Services.open(settings)
    assert f"in use by process {running.service.pid}" in str(caught.value)
    assert "CONVSERVE_DATA_DIR" in str(caught.value)
    assert running.client.get("/readyz").status_code == 200


def test_a_data_directory_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(SettingsError, match=r"cannot be used.*CONVSERVE_DATA_DIR"):
        Services.open(load_settings(data_dir=tmp_path / "data"))


def test_a_data_directory_of_a_later_version(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path)
    Services.open(settings).close()
    with sqlite3.connect(tmp_path / "convserve.sqlite3") as database:
        database.execute("UPDATE alembic_version SET version_num = 'later'")
    database.close()
    for _ in range(2):  # the second time shows that the first one let go of the lock
        with pytest.raises(SettingsError, match="newer version"):
            Services.open(settings)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = load_settings(data_dir=tmp_path / "data", port=port)
        with pytest.raises(SettingsError, match=f"port {port}.*CONVSERVE_PORT"):
            serve(create_app(settings), settings)
    assert not (tmp_path / "data").exists()


def test_an_address_that_is_not_there(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "data", host="nowhere.invalid", api_key="key")
    with pytest.raises(SettingsError, match=r"nowhere\.invalid"):
        serve(create_app(settings), settings)


@pytest.mark.local
def test_who_is_alone_does_not_write_to_keep_its_lease(running: Running) -> None:
    database = sqlite3.connect(running.service.data_dir / "convserve.sqlite3")

    def lease() -> Any:
        return database.execute("SELECT owner, term, until FROM leases").fetchall()

    try:
        before = lease()
        assert [owner for owner, _, _ in before] == ["process 0"]
        time.sleep(3.0)  # several processes renew it sooner
        assert lease() == before
    finally:
        database.close()
    time.sleep(FRESH_SECONDS)
    assert running.client.get("/readyz").status_code == 200


def test_readiness_looks_at_the_runner(tmp_path: Path) -> None:
    app = create_app(load_settings(data_dir=tmp_path))

    async def ask() -> httpx.Response:
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
        ):
            services: Services = app.state.services
            assert (await client.get("/readyz")).status_code == 200
            services.duties.stop_jobs(0)
            await asyncio.sleep(FRESH_SECONDS)
            return await client.get("/readyz")

    answer = asyncio.run(ask())
    assert answer.status_code == 503
    assert [fault["parameter"] for fault in answer.json()["errors"]] == ["runner"]


@pytest.mark.local
def test_readiness_looks_at_the_database(running: Running) -> None:
    database = sqlite3.connect(running.service.data_dir / "convserve.sqlite3")
    database.execute("ALTER TABLE jobs RENAME TO lost")
    try:
        time.sleep(FRESH_SECONDS)
        answer = running.client.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["retry-after"]
        assert [fault["parameter"] for fault in answer.json()["errors"]] == ["database"]
        assert answer.json()["errors"][0]["hint"]
        assert running.client.get("/livez").status_code == 200
    finally:
        database.execute("ALTER TABLE lost RENAME TO jobs")
        database.close()
    time.sleep(FRESH_SECONDS)
    assert running.client.get("/readyz").status_code == 200


@pytest.mark.local
def test_what_nobody_expected_is_logged_and_not_told(running: Running) -> None:
    service, client = running
    log = service.data_dir / "jobs" / "job_example" / "attempt-1.log"
    content = log.read_bytes()
    log.unlink()
    log.mkdir()
    answer = client.get("/v1/training-jobs/job_example/log")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/internal-error"
    assert "Traceback" not in answer.text
    assert str(service.data_dir) not in answer.text
    request_id = answer.headers["x-request-id"]
    assert request_id in answer.json()["detail"]
    lines = logged(service, request_id)
    assert [line["event"] for line in lines] == ["unexpected_error", "request"]
    assert "IsADirectoryError" in json.dumps(lines[0])
    assert "locals" not in json.dumps(lines[0])
    assert lines[1]["status"] == 500
    log.rmdir()
    log.write_bytes(content)
    assert client.get("/v1/training-jobs/job_example/log").status_code == 200


@pytest.mark.local
def test_a_model_whose_file_is_lost_is_damaged_until_it_is_back(running: Running) -> None:
    service, client = running
    page = client.get("/openapi.json").json()["paths"]["/v1/models/{model_id}/predict"]["post"]
    example = page["requestBody"]["content"]["application/json"]["examples"]["a digit"]["value"]
    model = service.data_dir / "models" / "model_example.safetensors"
    content = model.read_bytes()
    for change in (model.unlink, lambda: model.write_bytes(content[:-100])):
        change()
        answer = client.post("/v1/models/model_example/predict", json=example)
        assert answer.status_code == 409
        assert answer.json()["type"] == "/problems/damaged"
        assert str(service.data_dir) not in answer.text
    model.write_bytes(content)
    assert client.post("/v1/models/model_example/predict", json=example).status_code == 200


@pytest.mark.local
def test_a_data_set_whose_files_are_lost_is_damaged_until_they_are_back(running: Running) -> None:
    service, client = running
    segment = service.data_dir / "datasets" / "digits" / "segment-0001"
    segment.rename(segment.with_name("elsewhere"))
    answer = client.get("/v1/datasets/digits/images/0")
    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/damaged"
    assert str(service.data_dir) not in answer.text
    assert client.get("/v1/datasets").status_code == 200
    segment.with_name("elsewhere").rename(segment)
    assert client.get("/v1/datasets/digits/images/0").status_code == 200


def test_every_request_is_logged_under_its_id(running: Running) -> None:
    service, client = running
    answer = client.get("/v1/models?limit=3", headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert len({client.get("/v1/models").headers["x-request-id"] for _ in range(3)}) == 3
    for odd in ('a"b', "c" * 100, "two words"):
        assert client.get("/v1/models", headers={"X-Request-Id": odd}).headers["x-request-id"].isalnum()
    (line,) = logged(service, "mine-1")
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/models", 200)
    assert line["timestamp"].endswith("Z")
    assert "limit" not in json.dumps(line)
