"""Webhooks: signed, told until somebody listens, never lost, and never sent where callers must not reach."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.files.locks import is_locked, read_holder
from app.jobs.webhooks import signed_headers
from app.settings import SettingsError, load_settings
from tests.http.receiver import SECRET, Receiver, receiver, verify
from tests.http.several import events
from tests.metrics.scrape import scrape

JOBS = "/v1/training-jobs"
SETTINGS = {"CORES": "1", "WEBHOOK_SECRET": SECRET, "WEBHOOK_PRIVATE": "true"}
TINY: dict[str, Any] = {
    "input_shape": [28, 28, 1],
    "layers": [{"type": "max_pool2d", "pool_size": 4}, {"type": "flatten"}, {"type": "dense", "units": 10}],
}

__all__ = ["receiver"]

WaitFor = Callable[..., Any]
Connect = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("webhooks")
    process = ServerProcess(folder / "data", folder / "log", SETTINGS)
    with process:
        yield process


@pytest.fixture(scope="module")
def client(service: ServerProcess, connect: Connect) -> Iterator[httpx.Client]:
    address = json.loads((service.data_dir / "server.json").read_bytes())["url"]
    with connect(address) as client:
        yield client


def end(client: httpx.Client, url: str, **changes: Any) -> str:
    """Submit a job with a webhook, and bring it to its end."""
    body = {"architecture": TINY, "dataset": "digits", "epochs": 100_000, "webhook": {"url": url}, **changes}
    answer = client.post(JOBS, json=body)
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    assert job["webhook"] == {"url": url, "status": "pending", "attempts": 0, "last_error": None}
    if "epochs" not in changes:
        assert client.post(f"{JOBS}/{job['id']}/cancel").status_code == 202
    return str(job["id"])


def settled(client: httpx.Client, job_id: str, wait_for: WaitFor) -> dict[str, Any]:
    """Wait until the message of a job is delivered or given up."""

    def look() -> dict[str, Any] | None:
        hook = client.get(f"{JOBS}/{job_id}").json()["webhook"]
        return hook if hook["status"] != "pending" else None

    hook: dict[str, Any] = wait_for(look, "the delivery")
    return hook


def test_the_signature_is_that_of_the_standard() -> None:
    # The example that its libraries are tested with.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.slow
def test_the_end_is_told_again_until_somebody_listens(
    client: httpx.Client, service: ServerProcess, receiver: Receiver, wait_for: WaitFor
) -> None:
    receiver.answers = [503, 302]
    job_id = end(client, receiver.url, epochs=1)
    hook = settled(client, job_id, wait_for)
    assert hook == {"url": receiver.url, "status": "delivered", "attempts": 3, "last_error": None}
    # Redirects are not followed.
    assert [path for path, _, _ in receiver.got] == ["/hook"] * 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    for _, headers, body in receiver.got:
        verify(headers, body)
        assert headers["content-type"] == "application/json"
        message = json.loads(body)
        job = client.get(f"{JOBS}/{job_id}").json()
        assert message["type"] == "training.succeeded"
        assert message["timestamp"] == job["finished_at"]
        known = ("id", "status", "attempt", "model_id", "error", "created_at", "started_at", "finished_at")
        assert message["data"] == {name: job[name] for name in known} | {"kind": "training"}
    text = client.get(JOBS).text + client.get(f"{JOBS}/{job_id}/log").text
    text += service.log.read_text() + str(receiver.got)
    assert SECRET not in text
    assert SECRET.removeprefix("whsec_") not in text


@pytest.mark.slow
def test_it_is_told_of_a_job_that_is_deleted_at_once(
    client: httpx.Client, receiver: Receiver, wait_for: WaitFor
) -> None:
    running = client.post(JOBS, json={"architecture": TINY, "dataset": "digits", "epochs": 100_000}).json()
    job_id = end(client, receiver.url)
    wait_for(lambda: client.delete(f"{JOBS}/{job_id}").status_code == 204, "its deletion")
    wait_for(lambda: receiver.got, "the message")
    assert json.loads(receiver.got[0][2])["type"] == "training.cancelled"
    client.post(f"{JOBS}/{running['id']}/cancel")


@pytest.mark.slow
def test_a_server_that_is_killed_tells_it_when_it_is_back(
    start: Callable[..., ServerProcess], connect: Connect, receiver: Receiver, wait_for: WaitFor
) -> None:
    service = start(**SETTINGS)
    receiver.answers = [500, 500, 500]
    with connect(service.start()) as client:
        job_id = end(client, receiver.url)
        wait_for(lambda: len(receiver.got) >= 2, "two attempts")
        service.kill()
    with connect(service.start()) as client:
        hook = settled(client, job_id, wait_for)
        assert (hook["status"], hook["last_error"]) == ("delivered", None)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    service.stop()


@pytest.mark.slow
def test_what_is_not_on_the_public_internet_is_not_called(
    start: Callable[..., ServerProcess], connect: Connect, receiver: Receiver, wait_for: WaitFor
) -> None:
    service = start(WEBHOOK_SECRET=SECRET)
    with connect(service.start()) as client:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            job_id = end(client, f"http://{host}:{receiver.port}/hook")
            hook = settled(client, job_id, wait_for)
            assert (hook["status"], hook["attempts"]) == ("failed", 1)
            assert "not on the public internet" in hook["last_error"]
    assert receiver.got == []
    service.stop()


def test_without_a_secret_there_are_no_webhooks(http: httpx.Client) -> None:
    body = {"architecture": TINY, "dataset": "digits", "webhook": {"url": "https://example.org/"}}
    answer = http.post(JOBS, json=body)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/no-webhook-secret"
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/webhook"
    assert "CONVSERVE_WEBHOOK_SECRET" in fault["hint"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "https:///nowhere",
        "https://me:password@example.org/",
        "https://example.org:99999/",
        "https://example.org/a b",
        "https://exämple.org/",
        "not an address",
        "",
    ],
)
def test_an_address_that_cannot_be_called_is_refused(client: httpx.Client, url: str) -> None:
    answer = client.post(JOBS, json={"architecture": TINY, "dataset": "digits", "webhook": {"url": url}})
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/webhook/url"


@pytest.mark.parametrize("value", ["short", "whsec_" + base64.b64encode(b"x" * 16).decode(), "whsec_%%%"])
def test_a_weak_secret_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="CONVSERVE_WEBHOOK_SECRET") as caught:
        load_settings(webhook_secret=value, data_dir=tmp_path)
    assert value not in str(caught.value)


@pytest.mark.slow
def test_an_end_while_no_server_runs_is_logged_counted_and_told_once_by_the_next(
    start: Callable[..., ServerProcess], connect: Connect, wait_for: WaitFor, receiver: Receiver
) -> None:
    service = start(**SETTINGS, LOG_FORMAT="json")
    with connect(service.start()) as http:
        job_id = end(http, receiver.url, epochs=1, batch_size=16)
        wait_for(lambda: "attempt 1 of" in http.get(f"{JOBS}/{job_id}/log").text, "its worker")
        lock = service.data_dir / "jobs" / job_id / "lock"
        worker = read_holder(lock)
        assert worker is not None
        os.kill(worker, signal.SIGSTOP)
    service.kill()
    os.kill(worker, signal.SIGCONT)
    wait_for(lambda: not is_locked(lock), "the end of its worker")
    assert [line for line in events(service, "job_ended") if line["job"] == job_id] == []
    assert receiver.got == []
    with service as url, connect(url) as http:
        wait_for(lambda: receiver.got, "the message")
        assert settled(http, job_id, wait_for)["status"] == "delivered"
        wait_for(lambda: events(service, "job_ended"), "the line")
        assert scrape(http).sum("job_duration_seconds_count", kind="training", status="succeeded") == 1
    with service as url, connect(url) as http:
        wait_for(lambda: scrape(http).all("database_up") == [1], "the next server")
        assert scrape(http).sum("job_duration_seconds_count") == 0
    (line,) = events(service, "job_ended")
    assert (line["job"], line["status"]) == (job_id, "succeeded")
    assert len(receiver.got) == 1
