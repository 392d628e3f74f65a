"""What bodies hold in memory is bounded for all calls together that take pictures or numbers."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from app.cli.launch import ServerProcess

SIZE = 900
MODEL = "/v1/models/model_example"
ROWS = [[0, 0, 0], [0, 9, 0], [0, 0, 0]]


def picture() -> tuple[bytes, str]:
    file = io.BytesIO()
    Image.new("L", (28, 28)).save(file, format="PNG")
    return file.getvalue().ljust(SIZE, b"\0"), "image/png"


def numbers(**document: Any) -> tuple[bytes, str]:
    return json.dumps(document).encode().ljust(SIZE), "application/json"


CALLS = {
    f"{MODEL}/predict": picture(),
    f"{MODEL}/preprocess": picture(),
    f"{MODEL}/explain?method=gradient": picture(),
    f"{MODEL}/activations": picture(),
    f"{MODEL}/embedding": picture(),
    f"{MODEL}/trace?node=conv2d_1&position=0,0,0": picture(),
    "/v1/operations/convolve": numbers(input=ROWS, kernel=ROWS),
    "/v1/operations/relu": numbers(input=ROWS),
    "/v1/operations/augment": numbers(input=ROWS, augmentation={"type": "horizontal_flip"}),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with room for one body, and for two uploads."""
    folder: Path = tmp_path_factory.mktemp("small")
    server = ServerProcess(
        folder / "data", folder / "log", {"MAX_QUEUE_BYTES": str(SIZE), "MAX_UPLOADS": "2"}
    )
    yield server.start()
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True], ids=["of a length that is said", "in chunks"])
@pytest.mark.parametrize("path", CALLS)
def test_a_body_that_arrives_leaves_no_room_for_others(
    small: str, path: str, chunked: bool, wait_for: Callable[..., Any]
) -> None:
    body, kind = CALLS[path]
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SIZE}"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode()
    # the last byte, or the chunk that says that there are no more
    begin, end = (b"%x\r\n%s\r\n" % (SIZE, body), b"0\r\n\r\n") if chunked else (body[:-1], body[-1:])
    address = urlsplit(small)
    # the first call of a route loads it: others would have the room before it asks
    assert asked(small, path, 200)
    with socket.create_connection((address.hostname, address.port), timeout=60) as caller:
        caller.sendall(head + begin)
        refused = wait_for(lambda: asked(small, f"{MODEL}/predict", 503), "a word that there is no room")
        assert refused.json()["type"] == "/problems/queue-full"
        for other in CALLS:
            assert asked(small, other, 503), other
        caller.sendall(end)
        assert caller.recv(4096).startswith(b"HTTP/1.1 200")
    assert wait_for(lambda: asked(small, path, 200), "the room that was given back")


def asked(url: str, path: str, status: int) -> httpx.Response | None:
    """Return the answer to a call if it has this status."""
    body, kind = CALLS[path]
    answer = httpx.post(url + path, content=body, headers={"Content-Type": kind}, timeout=60)
    return answer if answer.status_code == status else None


def begun(url: str, path: str, kind: str, length: int, start: bytes) -> socket.socket:
    """Return a connection on which a body has begun."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=60)
    connection.sendall(head.encode() + start)
    return connection


def test_a_slow_body_holds_what_has_arrived_of_it_and_no_more(
    small: str, wait_for: Callable[..., Any]
) -> None:
    path = f"{MODEL}/predict"
    slow = [begun(small, path, "image/png", 1 << 20, b"\0") for _ in range(100)]
    try:
        # whole, each would be more than a thousand times what there is room for
        small_one = picture()[0].rstrip(b"\0")
        answer = httpx.post(
            small + path, content=small_one, headers={"Content-Type": "image/png"}, timeout=60
        )
        assert answer.status_code == 200
    finally:
        for connection in slow:
            connection.close()
    assert wait_for(lambda: asked(small, path, 200), "the room that was given back")


def test_long_documents_count_and_short_ones_do_not(small: str, wait_for: Callable[..., Any]) -> None:
    long = begun(small, "/v1/architectures", "application/json", 200_000, b" " * (64 * 1024 + SIZE))
    try:
        wait_for(lambda: asked(small, f"{MODEL}/predict", 503), "a word that there is no room")
        assert httpx.post(small + "/v1/architectures/summary", json={}, timeout=60).status_code == 422
    finally:
        long.close()
    assert wait_for(lambda: asked(small, f"{MODEL}/predict", 200), "the room that was given back")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/datasets", "multipart/form-data; boundary=x"),
        ("/v1/models/import", "application/octet-stream"),
        ("/v1/batch-predictions", "multipart/form-data; boundary=x"),
    ],
)
def test_uploads_at_a_time_are_bounded(
    small: str, path: str, kind: str, wait_for: Callable[..., Any]
) -> None:
    def refused() -> httpx.Response | None:
        answer = httpx.post(small + path, content=b"--x", headers={"Content-Type": kind}, timeout=60)
        return answer if answer.status_code == 503 else None

    with (
        begun(small, "/v1/datasets", "multipart/form-data; boundary=x", 1000, b"--x"),
        begun(small, "/v1/models/import", "application/octet-stream", 1000, b"x"),
    ):
        answer = wait_for(refused, "a word that there is no room")
        assert answer.json()["type"] == "/problems/too-many-uploads"
        assert int(answer.headers["retry-after"]) > 0
        assert httpx.get(small + "/v1/models", timeout=60).status_code == 200
    wait_for(lambda: refused() is None, "the end of the others")
