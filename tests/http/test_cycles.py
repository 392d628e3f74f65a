"""Answers as they are written on a connection: with what begins them, whole, and never split by a header."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.web.connections.heads import Heads

DEADLINE = 60.0


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the path says."""
    path, body = scope["path"], b"0123456789"
    headers = [(b"content-length", b"10")]
    if path == "/split":
        headers.append((b"x-said", b"a\r\nx-injected: b"))
    elif path == "/bare":
        headers.append((b"x-said", b"a\nx-injected: b"))
    elif path == "/stream":
        headers = []
    elif path == "/empty":
        headers, body = [(b"content-length", b"0")], b""
    elif path == "/none":
        headers, body = [], b""
    status = 204 if path == "/none" else 200
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if path == "/stream":
        # the head is there before the body is
        scope["state"]["begun"].set()
        assert await asyncio.to_thread(scope["state"]["go_on"].wait, DEADLINE)
    if path in ("/parts", "/stream"):
        for part in (body[:3], body[3:]):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        body = b""
    if path == "/short":
        body = body[1:]
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def state() -> dict[str, threading.Event]:
    return {"begun": threading.Event(), "go_on": threading.Event()}


@pytest.fixture(scope="module")
def address(state: dict[str, threading.Event]) -> Iterator[tuple[str, int]]:
    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await application({**scope, "state": state}, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(with_state, http=Heads, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join(DEADLINE)
    listener.close()


def exchange(address: tuple[str, int], *requests: str) -> bytes:
    """Send requests over one connection, and return what comes until it ends."""
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        connection.sendall("".join(requests).encode())
        received = b""
        while more := connection.recv(65536):
            received += more
        return received


def get(path: str, method: str = "GET", *, last: bool = True) -> str:
    connection = "close" if last else "keep-alive"
    return f"{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: {connection}\r\n\r\n"


@pytest.mark.parametrize("path", ["/whole", "/parts"])
def test_an_answer_comes_whole(address: tuple[str, int], path: str) -> None:
    head, _, body = exchange(address, get(path)).partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 200 OK"
    assert b"connection: close" in head
    assert body == b"0123456789"


def test_several_requests_at_once_are_answered_in_turn(address: tuple[str, int]) -> None:
    asked = (get("/whole", last=False), get("/none", last=False), get("/empty", last=False), get("/parts"))
    answers = exchange(address, *asked).split(b"HTTP/1.1 ")
    assert [answer[:3] for answer in answers[1:]] == [b"200", b"204", b"200", b"200"]
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers[1:]] == [
        b"0123456789",
        b"",
        b"",
        b"0123456789",
    ]
    assert b"transfer-encoding" not in answers[2]


def test_head_has_no_body(address: tuple[str, int]) -> None:
    head, _, body = exchange(address, get("/whole", "HEAD")).partition(b"\r\n\r\n")
    assert b"content-length: 10" in head
    assert body == b""


@pytest.mark.parametrize("path", ["/split", "/bare"])
def test_a_header_that_would_begin_another_is_not_sent(address: tuple[str, int], path: str) -> None:
    answer = exchange(address, get(path))
    assert b"injected" not in answer
    assert answer.startswith(b"HTTP/1.1 500 ")


def test_an_answer_that_is_shorter_than_it_says_is_broken_off(address: tuple[str, int]) -> None:
    head, _, body = exchange(address, get("/short", last=False)).partition(b"\r\n\r\n")
    assert b"content-length: 10" in head
    assert body == b"123456789"


def test_the_head_of_a_stream_does_not_wait_for_its_body(
    address: tuple[str, int], state: dict[str, threading.Event]
) -> None:
    with socket.create_connection(address, timeout=DEADLINE) as connection:
        connection.sendall(get("/stream").encode())
        assert state["begun"].wait(DEADLINE)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        assert received.endswith(b"transfer-encoding: chunked\r\n\r\n")
        state["go_on"].set()
        received = b""
        limit = time.monotonic() + DEADLINE
        while not received.endswith(b"0\r\n\r\n") and time.monotonic() < limit:
            received += connection.recv(65536)
        assert received == b"3\r\n012\r\n7\r\n3456789\r\n0\r\n\r\n"
