"""Addresses that need no key: what they open, and what ends them."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.cli.launch import ServerProcess

KEY = {"Authorization": "Bearer a-long-random-key"}
PICTURE = "/v1/datasets/digits/images/17"
EVENTS = "/v1/training-jobs/job_example/events"

Connect = Callable[..., httpx.Client]


class Guarded(NamedTuple):
    """A server with a key and two processes, a client without the key, and its directory."""

    url: str
    http: httpx.Client
    folder: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, connect: Connect) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded-pair")
    settings = {
        "API_KEY": "a-long-random-key",
        "WORKERS": "2",
        "ROOT_PATH": "/convserve",
        "LOG_LEVEL": "debug",
    }
    with ServerProcess(folder / "data", folder / "log", settings) as url, connect(url) as http:
        yield Guarded(url, http, folder)


def sign(http: httpx.Client, path: str, seconds: int = 300, key: dict[str, str] = KEY) -> str:
    answer = http.post("/v1/signed-addresses", json={"path": path, "seconds": seconds}, headers=key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    ends = datetime.fromisoformat(answer.json()["expires_at"])
    assert (
        timedelta(seconds=-60) < ends - datetime.now(UTC) - timedelta(seconds=seconds) <= timedelta(seconds=1)
    )
    return str(answer.json()["address"])


def new_key(http: httpx.Client, *scopes: str, **more: Any) -> tuple[str, dict[str, str]]:
    made = http.post(
        "/v1/keys", json={"name": os.urandom(6).hex(), "scopes": scopes, **more}, headers=KEY
    ).json()
    return made["id"], {"Authorization": f"Bearer {made['key']}"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        PICTURE,
        f"{PICTURE}?size=64",
        f"{PICTURE}?size=&crop=",
        "/v1/models/%6Dodel_example/weights",
        "/v1/training-jobs/job_example/log",
        "/v1/training-jobs/job_example/norms",
        EVENTS,
    ],
)
def test_it_opens_what_it_was_made_for_in_every_process(
    guarded: Guarded, connect: Connect, path: str
) -> None:
    address = sign(guarded.http, path)
    assert address.startswith(path)
    wanted = guarded.http.get(path, headers=KEY)
    assert wanted.status_code in (200, 422)
    for _ in range(4):
        # a connection of its own each time: either process answers
        with connect(guarded.url) as fresh:
            answer = fresh.get(address)
            assert (answer.status_code, answer.content) == (wanted.status_code, wanted.content)
            assert fresh.get(f"/convserve{address}").content == wanted.content
            assert fresh.head(address).status_code == wanted.status_code
            assert fresh.get(path).status_code == 401


def test_it_opens_nothing_else(guarded: Guarded) -> None:
    http = guarded.http
    address = sign(http, f"{PICTURE}?size=64")
    path, _, query = address.partition("?")
    signature = query.partition("signature=")[2]
    key, until, mac = signature.split(".")
    for other in (
        address.replace("images/17", "images/18"),
        address.replace("size=64", "size=65"),
        f"{path}?signature={signature}",
        f"{path}?size=64&size=64&signature={signature}",
        f"{path}?size=64&signature={key}.{int(until) + 1}.{mac}",
        f"{path}?size=64&signature={key}.{until}.{mac[:-1]}{'A' if mac[-1] != 'A' else 'B'}",
        f"{path}?size=64&signature=-.{until}.{mac}",
        f"{path}?size=64&signature=key_unknown.{until}.{mac}",
        f"{path}?size=64&signature={key}.{until}.{base64.urlsafe_b64encode(bytes(32)).decode().rstrip('=')}",
        f"/v1/datasets/digits/images/17/?size=64&signature={signature}",
        # cut short, or followed by something
        f"{path}?size=64&signature=",
        f"{path}?size=64&signature=x.1.y",
        f"{address}&size=64",
        f"{address}.",
    ):
        answer = http.get(other)
        assert answer.status_code == 403, other
        problem = answer.json()
        assert problem["type"] == "/problems/signed-address"
        assert "signed-addresses" in problem["errors"][0]["hint"]
    for method in ("POST", "DELETE", "PUT", "PATCH"):
        assert http.request(method, address).status_code == 401


def test_it_is_for_reading_what_the_key_may_read(guarded: Guarded) -> None:
    http = guarded.http
    _, predicts = new_key(http, "predict")
    refused = http.post("/v1/signed-addresses", json={"path": PICTURE}, headers=predicts)
    assert refused.status_code == 403
    _, reads = new_key(http, "read")
    assert http.get(sign(http, PICTURE, key=reads)).status_code == 200
    assert http.post("/v1/signed-addresses", json={"path": PICTURE}).status_code == 401


def test_its_time_ends(guarded: Guarded, wait_for: Callable[..., Any]) -> None:
    address = sign(guarded.http, PICTURE, seconds=1)
    answer = wait_for(lambda: (got := guarded.http.get(address)).status_code == 403 and got)
    assert "its time is over" in answer.json()["detail"]


def test_it_ends_with_its_key(guarded: Guarded, wait_for: Callable[..., Any]) -> None:
    http = guarded.http
    key_id, reads = new_key(http, "read")
    address, events = sign(http, PICTURE, key=reads), sign(http, "/v1/events", key=reads)
    assert http.get(address).status_code == 200
    with http.stream("GET", events) as stream:
        assert stream.status_code == 200
        assert http.delete(f"/v1/keys/{key_id}", headers=KEY).status_code == 204
        assert http.get(address).status_code == 403
        for _ in stream.iter_raw():
            pass  # to its end
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    _, short = new_key(http, "read", expires_at=soon)
    late = sign(http, PICTURE, key=short)
    answer = wait_for(lambda: (got := http.get(late)).status_code == 403 and got)
    assert "expired" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "v1/models",
        "/",
        "/livez",
        "/v2/models",
        "https://evil.example/v1/models",
        "/v1/a b",
        "/v1/\u00e9",
        "/v1/x#y",
    ],
)
def test_what_is_no_address_is_not_signed(guarded: Guarded, path: str) -> None:
    answer = guarded.http.post("/v1/signed-addresses", json={"path": path}, headers=KEY)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/path"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/keys",
        "/v1/keys/builder",
        "/v1/models?limit=1",
        "/v1/models/model_example",
        "/v1/system",
        "/v1/evaluations/eval_1/cancel",
        "/v1/models/model_example/predict",
        "/v1/nowhere",
        "/v1/../metrics",
    ],
)
def test_only_events_pictures_and_downloads_are_signed(guarded: Guarded, path: str) -> None:
    answer = guarded.http.post("/v1/signed-addresses", json={"path": path}, headers=KEY)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["pointer"] == "/path"
    assert "with the key" in fault["hint"]


def test_all_that_gives_something_else_than_json_can_be_signed(guarded: Guarded) -> None:
    document = guarded.http.get("/openapi.json", headers=KEY).json()["paths"]
    for path, item in document.items():
        if "get" in item and path.startswith("/v1/"):
            is_file = set(item["get"]["responses"]["200"]["content"]) != {"application/json"}
            named = re.sub(r"{\w+}", "1", path)
            answer = guarded.http.post("/v1/signed-addresses", json={"path": named}, headers=KEY)
            assert answer.status_code == (200 if is_file else 422), path


@pytest.mark.parametrize("seconds", [0, -1, 3601, 1e9, 1.5])
def test_at_most_an_hour(guarded: Guarded, seconds: float) -> None:
    answer = guarded.http.post(
        "/v1/signed-addresses", json={"path": PICTURE, "seconds": seconds}, headers=KEY
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/seconds"


def test_an_address_is_signed_once(guarded: Guarded) -> None:
    answer = guarded.http.post(
        "/v1/signed-addresses", json={"path": sign(guarded.http, PICTURE)}, headers=KEY
    )
    assert answer.status_code == 422


def test_no_signature_is_logged(guarded: Guarded, wait_for: Callable[..., Any]) -> None:
    address = sign(guarded.http, f"{PICTURE}?size=32")
    guarded.http.get(address, headers={"X-Request-Id": "signed-last"})
    guarded.http.get(address.replace("32", "33"), headers={"X-Request-Id": "signed-wrong"})
    log = guarded.folder / "log"
    wait_for(lambda: "signed-wrong" in log.read_text() and "signed-last" in log.read_text())
    assert re.search(r"signature=|[\w-]{43}", log.read_text()) is None
    line = next(json.loads(line) for line in log.read_text().splitlines() if "signed-last" in line)
    assert line["key"] == "environment"


@pytest.mark.local
def test_what_is_signed_with_is_for_the_server_alone(guarded: Guarded) -> None:
    sign(guarded.http, PICTURE)
    (held,) = guarded.folder.glob("data/signing-key*")
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    assert held.stat().st_size == 32


def test_a_server_without_keys_signs_too(http: httpx.Client) -> None:
    address = sign(http, PICTURE, key={})
    assert http.get(address).status_code == 200
    assert http.get(address.replace("17", "18")).status_code == 403


@pytest.mark.slow
def test_it_outlives_the_server_but_not_its_key(
    start: Callable[..., ServerProcess], connect: Connect
) -> None:
    with start(API_KEY="a-long-random-key") as url, connect(url) as http:
        address = sign(http, PICTURE)
    with start(API_KEY="a-long-random-key") as url, connect(url) as http:
        assert http.get(address).status_code == 200
    began = time.time()
    with start(API_KEY="another-long-random-key") as url, connect(url) as http:
        assert http.get(address).status_code == 403
    assert time.time() - began < 200, "its time may have been over"
