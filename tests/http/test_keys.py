"""API keys: made, listed and revoked, and when they work."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from app.cli.launch import ServerProcess
from app.cli.main import cli
from app.client import Client, ConvserveError
from app.settings import Settings
from app.web.middleware.gate import OPEN_PATHS, PAGE_FILES
from tests.http.several import events, status_anew

KEYS = "/v1/keys"
MODELS = "/v1/models"
ENDS_WITHIN = 10.0
"""Seconds; what is promised takes a tenth."""

Connect = Callable[..., httpx.Client]
WaitFor = Callable[..., Any]


@pytest.fixture(scope="module")
def admin(guarded_server: Any, connect: Connect) -> Iterator[httpx.Client]:
    """A client with the key of the settings."""
    with connect(guarded_server.url, Authorization=f"Bearer {guarded_server.key}") as client:
        yield client


def make(admin: httpx.Client, name: str, *scopes: str, **fields: Any) -> str:
    answer = admin.post(KEYS, json={"name": name, "scopes": scopes or ["read"], **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


def with_key(client: httpx.Client, key: str, path: str = MODELS) -> int:
    return client.get(path, headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_key_works_from_the_answer_that_made_it_to_the_one_that_revoked_it(
    guarded_server: Any, connect: Connect, admin: httpx.Client
) -> None:
    with connect(guarded_server.url) as client:
        for number in range(10):
            answer = admin.post(KEYS, json={"name": f"turn-{number}", "scopes": ["read", "predict", "read"]})
            assert answer.status_code == 201
            assert answer.headers["cache-control"] == "no-store"
            made = answer.json()
            assert answer.headers["location"] == f"{KEYS}/{made['id']}"
            assert made["scopes"] == ["read", "predict"]
            assert made["key"].startswith("cvs_")
            assert len(made["key"]) == len("cvs_") + 43  # 256 bits in base64
            assert with_key(client, made["key"]) == 200
            basic = base64.b64encode(f"me:{made['key']}".encode()).decode()
            assert client.get(MODELS, headers={"Authorization": f"Basic {basic}"}).status_code == 200
            shown = admin.get(f"{KEYS}/{(made['id'], made['name'])[number % 2]}").json()
            assert shown == {name: value for name, value in made.items() if name != "key"}
            assert admin.get(KEYS).json()["data"][0] == shown
            assert admin.delete(f"{KEYS}/{(made['name'], made['id'])[number % 2]}").status_code == 204
            assert with_key(client, made["key"]) == 401
            assert admin.get(f"{KEYS}/{made['id']}").status_code == 404
            assert admin.delete(f"{KEYS}/{made['id']}").status_code == 404


def test_a_key_is_nowhere_but_in_its_answer(guarded_server: Any, admin: httpx.Client) -> None:
    key = make(admin, "hidden")
    assert with_key(admin, key) == 200
    admin.delete(f"{KEYS}/hidden")
    for file in [guarded_server.log, *(guarded_server.log.parent / "data").rglob("*.sqlite3*")]:
        assert key.removeprefix("cvs_").encode() not in file.read_bytes()


def test_a_key_is_refused_once_it_has_expired(
    guarded_server: Any, connect: Connect, admin: httpx.Client
) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=1.5)
    key = make(admin, "short", expires_at=expires_at.isoformat())
    with connect(guarded_server.url) as client:
        assert with_key(client, key) == 200
        time.sleep(max(0.0, (expires_at - datetime.now(UTC)).total_seconds()))
        answer = client.get(MODELS, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401
    assert "expired" in answer.json()["errors"][0]["detail"]
    assert admin.delete(f"{KEYS}/short").status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "a"}, "/scopes"),
        ({"name": "a", "scopes": []}, "/scopes"),
        ({"name": "a", "scopes": ["delete"]}, "/scopes/0"),
        ({"name": "a", "scopes": ["read"] * 5}, "/scopes"),
        ({"name": "", "scopes": ["read"]}, "/name"),
        ({"name": "two words", "scopes": ["read"]}, "/name"),
        ({"name": "environment", "scopes": ["read"]}, "/name"),
        ({"name": "key_1", "scopes": ["read"]}, "/name"),
        ({"name": "a", "scopes": ["read"], "expires_at": "2001-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "a", "scopes": ["read"], "expires_at": "2999-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "a", "scopes": ["read"], "expires_at": "9999-12-31T23:59:59-23:59"}, "/expires_at"),
        ({"name": "a", "scopes": ["read"], "expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
        ({"name": "a", "scopes": ["read"], "expires_at": 1e300}, "/expires_at"),
        ({"name": "a", "scopes": ["read"], "key": "cvs_mine"}, "/key"),
    ],
)
def test_what_no_key_can_be_is_refused(admin: httpx.Client, body: dict[str, Any], pointer: str) -> None:
    answer = admin.post(KEYS, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_two_keys_have_two_names(admin: httpx.Client) -> None:
    make(admin, "twin")
    answer = admin.post(KEYS, json={"name": "twin", "scopes": ["read"]})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/name-taken")
    admin.delete(f"{KEYS}/twin")


def test_a_stream_ends_with_its_key(guarded_server: Any, connect: Connect, admin: httpx.Client) -> None:
    headers = {"Authorization": f"Bearer {make(admin, 'follower')}"}
    with connect(guarded_server.url) as client, client.stream("GET", "/v1/events", headers=headers) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("retry")
        assert admin.delete(f"{KEYS}/follower").status_code == 204
        start = time.monotonic()
        list(lines)
        assert time.monotonic() - start < ENDS_WITHIN


def test_the_client_and_the_commands_make_and_revoke_keys(
    guarded_server: Any, command: Callable[..., str]
) -> None:
    with Client(guarded_server.url, api_key=guarded_server.key) as client:
        made = client.keys.create("of-client", ["write"], expires_at=datetime.now(UTC) + timedelta(days=1))
        assert client.keys.get("of-client").scopes == ["write"]
        with Client(guarded_server.url, api_key=made.key) as holder:
            assert holder.system().needs_key
            with pytest.raises(ConvserveError, match="needs the scope admin"):
                holder.keys.list()
        key = command("keys", "add", "of-command", "--scope", "predict", "--days", "2").strip()
        assert {entry.name for entry in client.keys.list()} >= {"of-client", "of-command"}
        listed = command("keys", "list")
        assert "of-command" in listed
        assert key not in listed
        assert json.loads(command("keys", "list", "--json"))[0]["scopes"] == ["predict"]
        command("keys", "revoke", "of-command")
        client.keys.revoke(made.id)
        assert not {entry.name for entry in client.keys.list()} & {"of-client", "of-command"}


@pytest.fixture
def command(guarded_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Runs a command with the key in a file."""
    (tmp_path / "key").write_text(f"{guarded_server.key}\n")
    monkeypatch.setenv("CONVSERVE_URL", guarded_server.url)
    monkeypatch.setenv("CONVSERVE_API_KEY_FILE", str(tmp_path / "key"))

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_the_first_key_of_an_open_server_closes_it(
    start: Callable[..., ServerProcess], connect: Connect, wait_for: WaitFor
) -> None:
    service = start(LOG_LEVEL="error", LOG_FORMAT="json")
    with connect(service.start()) as client:
        assert client.get("/v1/system").json()["needs_key"] is False
        with client.stream("GET", "/v1/events") as open_stream:
            refused = client.post(KEYS, json={"name": "reader", "scopes": ["read"]})
            assert (refused.status_code, refused.json()["type"]) == (409, "/problems/no-admin-key")
            assert client.get(MODELS).status_code == 200
            operator = make(client, "operator", "admin")
            assert client.get(MODELS).status_code == 401
            list(open_stream.iter_lines())  # nobody in particular was let in before, and is no more
        for path in ("/", "/livez", "/readyz"):
            assert client.get(path).status_code == 200
        client.headers["Authorization"] = f"Bearer {operator}"
        assert client.get("/v1/system").json()["needs_key"] is True
        reader = make(client, "reader", "read")
        refused = client.delete(f"{KEYS}/operator")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/no-admin-key")
        assert client.delete(f"{KEYS}/reader").status_code == 204
        assert with_key(client, reader) == 401
        # a name of somewhere else: a page that has no key reads nothing
        assert client.get(MODELS, headers={"Host": "convserve.example"}).status_code == 200
    service.stop()
    # who changed what is written whatever the level of the log
    written = [(line["key"], line["method"], line["status"]) for line in events(service, "audit")]
    assert (None, "POST", 201) in written
    assert ("operator", "DELETE", 409) in written
    assert events(service, "request") == []
    with connect(service.start()) as client:
        assert client.get(MODELS).status_code == 401
        assert with_key(client, operator) == 200
        listed = client.get(KEYS, headers={"Authorization": f"Bearer {operator}"}).json()["data"]
    # noted when the server stops, and now and then
    assert [entry["name"] for entry in listed] == ["operator"]
    assert listed[0]["last_used_at"] is not None


@pytest.mark.slow
def test_a_key_counts_in_every_process_at_once(several_url: str, connect: Connect) -> None:
    """Each request comes by a connection of its own, and so to one process or the other."""

    ask = partial(status_anew, several_url, MODELS)
    with connect(several_url) as client, ThreadPoolExecutor(4) as threads:
        operator = make(client, "operator", "admin")
        client.headers["Authorization"] = f"Bearer {operator}"
        for turn in range(4):
            key = make(client, f"turn-{turn}")
            assert set(threads.map(ask, [key] * 12)) == {200}
            assert client.delete(f"{KEYS}/turn-{turn}").status_code == 204
            assert set(threads.map(ask, [key] * 12)) == {401}

        headers = {"Authorization": f"Bearer {make(client, 'follower')}"}
        begun = threading.Semaphore(0)

        def follow(_: int) -> float:
            with connect(several_url, **headers) as reader, reader.stream("GET", "/v1/events") as answer:
                begun.release()
                list(answer.iter_lines())
                return time.monotonic()

        ends = [threads.submit(follow, number) for number in range(4)]
        for _ in ends:
            assert begun.acquire(timeout=60)
        assert client.delete(f"{KEYS}/follower").status_code == 204
        start = time.monotonic()
        assert max(end.result(60) for end in ends) - start < ENDS_WITHIN


def test_the_setting_names_all_that_needs_no_key() -> None:
    said = str(Settings.model_fields["api_key"].description)
    assert {path for path in OPEN_PATHS if path not in said} == set()
    assert f"below {PAGE_FILES}" in said
    assert "signed" in said
