"""What is bounded for a server is bounded for all of its processes together."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from app.cli.launch import ServerProcess
from tests.http.several import WaitFor, events, png

CALLERS = 16
SIZE = 900
BODY = png(1).ljust(SIZE, b"\0")


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        pytest.param(
            f"Content-Length: {SIZE}\r\n\r\n".encode() + BODY[:-1], BODY[-1:], id="of a length that is said"
        ),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % SIZE + BODY,
            b"\r\n0\r\n\r\n",
            id="in chunks",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_bodies_that_wait_hold_no_more_than_in_one_process(
    start: Callable[..., ServerProcess], wait_for: WaitFor, begin: bytes, end: bytes
) -> None:
    """There is room for four bodies, and so for two in each of two processes."""
    server = start(WORKERS="2", LOG_FORMAT="json", MAX_QUEUE_BYTES=str(4 * SIZE))
    address = urlsplit(server.start())
    wait_for(lambda: len(events(server, "process_ready")) == 2, "the second process")
    head = b"POST /v1/models/model_example/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    with ExitStack() as stack:
        callers = [
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))
            for _ in range(CALLERS)
        ]
        for caller in callers:
            caller.sendall(head + begin)

        def refused() -> list[socket.socket]:
            return select.select(callers, [], [], 0)[0]

        wait_for(lambda: len(refused()) >= CALLERS - 4, "a word to those for whom there is no room")
        there = [caller for caller in callers if caller not in refused()]
        for caller in refused():
            assert caller.recv(4096).startswith(b"HTTP/1.1 503")
        assert len(there) == 4
        for caller in there:
            caller.sendall(end)
            assert caller.recv(4096).startswith(b"HTTP/1.1 200")
    server.stop()
