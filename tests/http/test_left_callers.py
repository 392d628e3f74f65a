"""What is computed for callers who have left ends early, and does not keep the server from ending."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from app.cli.launch import ServerProcess
from tests.pictures.hostile_pictures import saved

MODEL = "/v1/models/mobilenet-v2-imagenet"
ENOUGH = 8.0
"""Seconds of a core: none of these calls takes more once its caller has left, and all of them several times that."""


def pictures(count: int) -> dict[str, Any]:
    digit = base64.b64encode(saved("PNG", (28, 28), "L")).decode()
    return {"images": [digit] * count}


CALLS: dict[str, tuple[str, str, Callable[[], dict[str, Any]]]] = {
    "vectors of pictures": (f"{MODEL}/embedding", "application/x-npz", lambda: pictures(250)),
    "an explanation": (f"{MODEL}/explain?method=occlusion", "application/json", lambda: pictures(1)),
}


def seconds(server: ServerProcess) -> float:
    """Return how much of a core the server has used."""
    fields = Path(f"/proc/{server.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_what_nobody_waits_for_ends_early(
    start: Callable[..., ServerProcess], name: str, wait_for: Callable[..., Any]
) -> None:
    path, accept, make = CALLS[name]
    body = json.dumps(make()).encode()
    server = start(CORES="1")
    url = server.start()
    address = urlsplit(url)

    def leave_a_call() -> None:
        # the weights and what computes are in memory: what is used from here on is the call's
        assert httpx.get(f"{url}{MODEL}/filters?node=no", timeout=300).status_code == 422
        before = seconds(server)
        # the vectors are too many for JSON
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: {accept}\r\n"
        with socket.create_connection((address.hostname, address.port), 300) as caller:
            caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            caller.settimeout(0.01)
            wait_for(lambda: seconds(server) > before + 2, "the computation")
            with pytest.raises(TimeoutError):
                caller.recv(1)  # it is not answered yet

    leave_a_call()
    left = seconds(server)
    # there is one turn: the next call is answered when the other has ended
    assert httpx.get(f"{url}{MODEL}/filters?node=no", timeout=300).status_code == 422
    assert seconds(server) - left < ENOUGH
    leave_a_call()
    server.stop()
