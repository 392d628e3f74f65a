"""How many requests with one key are answered at once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli.launch import ServerProcess
from app.settings import Settings

IMPORT = "/v1/models/import"
MODELS = "/v1/models"

WaitFor = Callable[..., Any]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("turns")
    settings = {"API_KEY": "the-key", "MAX_REQUESTS_PER_KEY": "2"}
    with ServerProcess(folder / "data", folder / "log", settings) as address:
        yield address


def slow(url: str, key: str) -> socket.socket:
    """Begin a request whose body does not end yet, so that it is being answered until it does."""
    parts = httpx.URL(url)
    connection = socket.create_connection((parts.host, parts.port or 80), timeout=60)
    connection.sendall(
        f"POST {IMPORT} HTTP/1.1\r\nHost: {parts.host}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: 9\r\n\r\nbegun".encode()
    )
    return connection


def occupy(
    client: httpx.Client, url: str, key: str, wait_for: WaitFor
) -> tuple[list[socket.socket], httpx.Response]:
    """Take all turns of a key, and return what has them and the answer to one request more.

    A request that asks has a turn itself meanwhile, so that one of those that are to stay may be refused.
    """
    begun: list[socket.socket] = []

    def refused() -> httpx.Response | None:
        answer = client.get(MODELS, headers={"Authorization": f"Bearer {key}"})
        if answer.status_code == 429:
            return answer
        begun.append(slow(url, key))
        return None

    answer: httpx.Response = wait_for(refused, "the last turn to be taken")
    return begun, answer


def finish(connection: socket.socket) -> int:
    """End the body, and return the status of the answer."""
    with connection:
        connection.sendall(b"ends")
        return int(connection.recv(1 << 16).split()[1])


def test_more_requests_than_a_key_may_have_at_once_are_told_to_come_again(
    url: str, connect: Callable[..., httpx.Client], wait_for: WaitFor
) -> None:
    with connect(url) as client, connect(url, Authorization="Bearer the-key") as admin:
        key = admin.post("/v1/keys", json={"name": "busy", "scopes": ["write"]}).json()["key"]
        begun, answer = occupy(client, url, key, wait_for)
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["type"] == "/problems/too-many-requests"
        assert answer.json()["numbers"] == {"limit": 2}
        # others, and probes, are not kept out
        assert admin.get(MODELS).status_code == 200
        headers = {"Authorization": f"Bearer {key}"}
        assert client.get("/readyz", headers=headers).status_code == 200
        statuses = [finish(connection) for connection in begun]
        assert statuses.count(422) >= 2
        assert set(statuses) <= {422, 429}
        assert client.get(MODELS, headers=headers).status_code == 200


def test_open_event_streams_take_no_turn(url: str, connect: Callable[..., httpx.Client]) -> None:
    with connect(url, Authorization="Bearer the-key") as client, ExitStack() as streams:
        for _ in range(4):
            answer = streams.enter_context(client.stream("GET", "/v1/events"))
            assert answer.status_code == 200
            next(answer.iter_raw())
        assert client.get(MODELS).status_code == 200


def test_callers_that_leave_give_their_turn_back(
    url: str, connect: Callable[..., httpx.Client], wait_for: WaitFor
) -> None:
    with connect(url, Authorization="Bearer the-key") as client:
        for _ in range(3):
            begun, _ = occupy(client, url, "the-key", wait_for)
            for connection in begun:
                connection.close()
            wait_for(lambda: client.get(MODELS).status_code == 200, "their turns")


def test_what_a_key_may_have_at_once_is_shared_by_the_processes(tmp_path: Path) -> None:
    shares = [Settings(data_dir=tmp_path, workers=n, max_requests_per_key=8).share() for n in (1, 3, 16)]
    assert [share.max_requests_per_key for share in shares] == [8, 2, 1]
    assert Settings(data_dir=tmp_path, workers=3).share().max_requests_per_key is None
