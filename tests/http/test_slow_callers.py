"""Callers that are slow, or take nothing: each is waited for, and none for ever."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from app.processes.listener import bind
from app.settings import load_settings
from tests.http.several import events
from tests.metrics.scrape import scrape

SECONDS = 1.0
"""What the server of these tests waits; a look comes each second, and a busy machine may take some more."""
PATIENCE = 60.0
PREDICT = b"POST /v1/models/model_example/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("impatient")
    settings = {f"{name}_SECONDS": str(SECONDS) for name in ("HEADER", "BODY", "ANSWER", "KEEP_ALIVE")}
    server = ServerProcess(folder / "data", folder / "log", settings | {"LOG_FORMAT": "json"})
    server.start()
    yield server
    server.stop()


@pytest.fixture
def connected(impatient: ServerProcess) -> Iterator[Callable[[], socket.socket]]:
    """Make connections, all closed in the end."""
    url = urlsplit(json.loads((impatient.data_dir / "server.json").read_text())["url"])
    with ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection((url.hostname, url.port), PATIENCE))


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    received = b""
    try:
        while part := connection.recv(1 << 20):
            received += part
    except ConnectionError:
        pass
    return received


def assert_told(answer: bytes, status: int = 408, code: str = "request-timeout") -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert b"connection: close" in head
    assert json.loads(body)["type"] == f"/problems/{code}"


def test_a_head_that_does_not_come_whole_is_not_waited_for(connected: Callable[[], socket.socket]) -> None:
    half, silent, trickling, second = (connected() for _ in range(4))
    half.sendall(GET[:-2])
    second.sendall(GET)
    answer = b""
    while not answer.endswith(b"}"):
        answer += second.recv(65536)
    second.sendall(GET[:-2])
    trickling.settimeout(0.1)
    begun = time.monotonic()
    with pytest.raises(ConnectionError):  # noqa: PT012
        while time.monotonic() < begun + PATIENCE:
            trickling.sendall(b"G")
            time.sleep(0.1)
    assert_told(rest(half))
    assert (
        rest(silent) == b""
    )  # a browser opens connections before it needs them, and would show what was said
    assert_told(rest(second))


def test_a_body_is_waited_for_as_long_as_it_comes(connected: Callable[[], socket.socket]) -> None:
    file = io.BytesIO()
    Image.new("L", (28, 28)).save(file, format="PNG")
    body = file.getvalue().ljust(3000, b"\0")
    slow, stuck, trickling = (connected() for _ in range(3))
    for caller in (slow, stuck, trickling):
        caller.sendall(PREDICT + b"Content-Length: 3000\r\n\r\n" + body[:100])
    for start in range(100, 3000, 100):  # longer than the server waits for one that is stuck
        slow.sendall(body[start : start + 100])
        time.sleep(0.1)
    assert slow.recv(65536).startswith(b"HTTP/1.1 200")
    assert_told(rest(stuck))
    begun = time.monotonic()
    with pytest.raises(ConnectionError):  # noqa: PT012
        while time.monotonic() < begun + PATIENCE:
            trickling.sendall(b"\0")
            time.sleep(0.1)


def test_time_in_which_nothing_is_asked_of_a_caller_does_not_count(
    connected: Callable[[], socket.socket],
) -> None:
    """A stream of events of which there are none, and a body that was not asked for yet."""
    stream = connected()
    stream.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert stream.recv(65536).startswith(b"HTTP/1.1 200")
    time.sleep(3 * SECONDS)
    stream.setblocking(False)
    with suppress(BlockingIOError):
        assert stream.recv(65536) != b""


@pytest.mark.slow
def test_an_answer_that_is_not_taken_is_let_go_of(
    impatient: ServerProcess, connected: Callable[[], socket.socket], wait_for: Callable[..., Any]
) -> None:
    """Asked for a few times and never read: more than the systems on both ends keep."""
    greedy = connected()
    greedy.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30)
    wait_for(lambda: "answers" in ended(impatient), "a line of the log")
    assert rest(greedy).count(b"HTTP/1.1 200") < 30


def test_a_connection_that_rests_is_closed(connected: Callable[[], socket.socket]) -> None:
    resting = connected()
    resting.sendall(GET)
    answer = rest(resting)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


def test_they_are_counted_in_the_log(
    impatient: ServerProcess, connected: Callable[[], socket.socket], wait_for: Callable[..., Any]
) -> None:
    connected().sendall(GET[:-2])
    connected().sendall(PREDICT + b"Content-Length: 3000\r\n\r\n")
    wait_for(lambda: {"heads", "bodies"} <= ended(impatient), "lines of the log")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (GET[:-2], 408, "request-timeout"),
        (GET[:-2] + b"X-Long: " + b"a" * (65 * 1024), 431, "head-too-large"),
        (b"GET /livez HTTX/9\r\n\r\n", 400, "malformed-request"),
        (b"FETCH /livez HTTP/1.1\r\n\r\n", 501, "unknown-method"),
    ],
    ids=["late", "long", "malformed", "unknown"],
)
def test_what_is_refused_unread_is_counted_and_logged_as_other_requests_are(
    impatient: ServerProcess,
    connected: Callable[[], socket.socket],
    wait_for: Callable[..., Any],
    sent: bytes,
    status: int,
    code: str,
) -> None:
    def counted() -> tuple[float, float]:
        with httpx.Client(base_url=address(impatient), timeout=PATIENCE) as http:
            found = scrape(http)
        labels = {"status": str(status)}
        return (
            found.sum("http_request_duration_seconds_count", method="other", route="none", **labels),
            found.sum("http_refusals_total", reason=code, **labels),
        )

    before = counted()
    caller = connected()
    caller.sendall(sent)
    answer = rest(caller)
    assert_told(answer, status, code)
    assert counted() == (before[0] + 1, before[1] + 1)
    line = line_of(answer, impatient, wait_for)
    assert (line["level"], line["status"], line["problem"]) == ("info", status, code)
    assert (line["method"], line["path"], line["client"]) == (None, None, "127.0.0.1")


def test_a_body_that_is_too_slow_is_logged_and_counted_as_what_was_answered(
    impatient: ServerProcess, connected: Callable[[], socket.socket], wait_for: Callable[..., Any]
) -> None:
    def counted(status: int) -> float:
        labels = {"route": "/v1/models/{model_id}/predict", "status": str(status)}
        with httpx.Client(base_url=address(impatient), timeout=PATIENCE) as http:
            return scrape(http).sum("http_request_duration_seconds_count", **labels)

    before = counted(408)
    caller = connected()
    caller.sendall(PREDICT + b"X-Request-Id: too-slow\r\nContent-Length: 3000\r\n\r\n")
    answer = rest(caller)
    assert_told(answer)
    line = line_of(answer, impatient, wait_for)
    assert line["request_id"] == "too-slow"
    assert (line["status"], line["problem"]) == (408, "request-timeout")
    assert (line["method"], line["path"]) == ("POST", "/v1/models/model_example/predict")
    assert counted(408) > before


def address(server: ServerProcess) -> str:
    return str(json.loads((server.data_dir / "server.json").read_text())["url"])


def line_of(answer: bytes, server: ServerProcess, wait_for: Callable[..., Any]) -> dict[str, Any]:
    """Return the line of the log about what was answered so."""
    head = answer.partition(b"\r\n\r\n")[0].decode().lower()
    (request_id,) = re.findall("x-request-id: (.*)", head)

    def found() -> list[dict[str, Any]]:
        return [line for line in events(server, "request") if line.get("request_id") == request_id.strip()]

    (line,) = wait_for(found, "the line")
    return dict(line)


def ended(server: ServerProcess) -> set[str]:
    """Return for what connections were ended, as the log says."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if "connections_ended" in line]
    return {name for line in lines for name in line if name not in ("timestamp", "level", "event", "logger")}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such option")
def test_the_system_lets_go_of_callers_that_have_vanished(tmp_path: Path) -> None:
    """What nobody acknowledges any more ends the connection; a network that is cut off cannot be had here."""
    settings = load_settings(data_dir=tmp_path, port=0, answer_seconds=30)
    with bind(settings) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as taken:
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
