"""Who changed what: one line of the log for each call that changes something, and for each that was refused."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http.all_calls import calls

TINY = {"input_shape": [4, 4, 1], "layers": [{"type": "flatten"}]}
FIELDS = {"key", "key_id", "client", "method", "path", "status", "id", "request_id"}
CHANGES = [call for call in calls() if call.changes]

WaitFor = Callable[..., Any]


@pytest.fixture
def admin(guarded_server: Any, connect: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    with connect(guarded_server.url, Authorization=f"Bearer {guarded_server.key}") as client:
        yield client


def lines(log: Path) -> list[dict[str, Any]]:
    written = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in written if line["event"] == "audit"]


class Audited:
    """Makes calls, each under a request id of its own, and finds what the log says of them."""

    def __init__(self, log: Path, wait_for: WaitFor) -> None:
        self._log, self._wait_for = log, wait_for

    def send(self, client: httpx.Client, method: str, url: str, **options: Any) -> tuple[str, httpx.Response]:
        identifier = uuid.uuid4().hex
        headers = {"X-Request-Id": identifier, **options.pop("headers", {})}
        return identifier, client.request(method, url, headers=headers, **options)

    def of(self, identifier: str) -> list[dict[str, Any]]:
        """Return the audit lines of a request, once that of the request itself is there, which is written before."""
        self._wait_for(lambda: identifier in self._log.read_text(), "the line of the request")
        # what was refused is looked for among the routes first, which the next line waits for
        return [line for line in lines(self._log) if line["request_id"] == identifier]


@pytest.fixture
def audited(guarded_server: Any, wait_for: WaitFor) -> Audited:
    return Audited(guarded_server.log, wait_for)


def test_every_call_that_changes_something_leaves_one_line(
    guarded_server: Any, admin: httpx.Client, audited: Audited, wait_for: WaitFor
) -> None:
    asked = {audited.send(admin, call.method, call.url)[0]: call for call in CHANGES}
    wait_for(
        lambda: len({line["request_id"] for line in lines(guarded_server.log)} & set(asked)) == len(asked)
    )
    written = [line for line in lines(guarded_server.log) if line["request_id"] in asked]
    assert len(written) == len(asked) > 20
    for line in written:
        call = asked[line["request_id"]]
        assert set(line) >= FIELDS
        assert (line["method"], line["path"]) == (call.method, call.url)
        assert (line["key"], line["key_id"], line["client"]) == ("environment", None, "127.0.0.1")
        assert line["level"] == "info"
        assert 400 <= line["status"] < 500
        assert line["id"] == ("/".join(["nothing"] * call.path.count("{")) or None)


def test_a_line_says_who_made_and_deleted_what(admin: httpx.Client, audited: Audited) -> None:
    made = admin.post("/v1/keys", json={"name": "builder", "scopes": ["write"]}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    identifier, answer = audited.send(
        admin, "POST", "/v1/architectures", json=TINY | {"name": "t"}, headers=headers
    )
    architecture = answer.json()["id"]
    (line,) = audited.of(identifier)
    assert {name: line[name] for name in FIELDS} == {
        "key": "builder",
        "key_id": made["id"],
        "client": "127.0.0.1",
        "method": "POST",
        "path": "/v1/architectures",
        "status": 201,
        "id": architecture,
        "request_id": identifier,
    }
    url = f"/v1/architectures/{architecture}"
    identifier, _ = audited.send(admin, "DELETE", url, headers=headers)
    (line,) = audited.of(identifier)
    assert (line["key"], line["status"], line["id"]) == ("builder", 204, architecture)
    identifier, _ = audited.send(admin, "DELETE", "/v1/keys/builder")
    (line,) = audited.of(identifier)
    assert (line["key"], line["status"], line["id"]) == ("environment", 204, "builder")


def test_what_was_refused_leaves_a_warning(
    guarded_server: Any, admin: httpx.Client, audited: Audited, connect: Callable[..., httpx.Client]
) -> None:
    made = admin.post("/v1/keys", json={"name": "looker", "scopes": ["read"]}).json()
    reader = {"Authorization": f"Bearer {made['key']}"}
    with connect(guarded_server.url) as client:
        for headers, name, path, status in (
            ({}, None, "/v1/architectures", 401),
            (reader, "looker", "/v1/architectures", 403),
            (reader, "looker", "/v1/models/model_example/predict", 403),
            (reader | {"Sec-Fetch-Site": "cross-site"}, "looker", "/v1/architectures/summary", 403),
        ):
            identifier, answer = audited.send(client, "POST", path, json=TINY, headers=headers)
            assert answer.status_code == status
            (line,) = audited.of(identifier)
            assert (line["key"], line["status"], line["level"]) == (name, status, "warning")
    admin.delete("/v1/keys/looker")


def test_what_was_refused_at_the_door_says_what_it_was_about(
    guarded_server: Any, audited: Audited, connect: Callable[..., httpx.Client]
) -> None:
    foreign = {"Authorization": f"Bearer {guarded_server.key}", "Sec-Fetch-Site": "cross-site"}
    with connect(guarded_server.url) as client:
        for headers, method, path, about in (
            ({}, "DELETE", "/v1/models/model_example", "model_example"),
            ({}, "DELETE", "/v1/keys/builder", "builder"),
            ({}, "PUT", "/v1/models/lenet-5-digits/aliases/best", "lenet-5-digits/best"),
            ({}, "POST", "/v1/training-jobs/job_example/cancel", "job_example"),
            ({}, "POST", "/v1/datasets/downloads", None),
            ({}, "POST", "/v1/nowhere/model_example", None),
            (foreign, "DELETE", "/v1/architectures/arch_example", "arch_example"),
        ):
            identifier, answer = audited.send(client, method, path, headers=headers)
            assert answer.status_code in (401, 403), path
            (line,) = audited.of(identifier)
            assert (line["id"], line["level"]) == (about, "warning"), path


def test_what_changes_nothing_leaves_no_line(admin: httpx.Client, audited: Audited) -> None:
    for method, path, body in (
        ("GET", "/v1/keys", None),
        ("POST", "/v1/architectures/summary", TINY),
        ("POST", "/v1/nowhere", {}),
    ):
        identifier, _ = audited.send(admin, method, path, json=body)
        assert audited.of(identifier) == []


def test_no_secret_is_in_a_line(guarded_server: Any, admin: httpx.Client, audited: Audited) -> None:
    identifier, answer = audited.send(admin, "POST", "/v1/keys?x=y", json={"name": "x", "scopes": ["read"]})
    assert answer.status_code == 422
    made = admin.post("/v1/keys", json={"name": "secretive", "scopes": ["read"]}).json()
    admin.delete("/v1/keys/secretive")
    audited.of(identifier)
    text = guarded_server.log.read_text()
    assert made["key"] not in text
    assert guarded_server.key not in text
    assert "x=y" not in text
