"""SIGTERM while everybody is at work: what was accepted is kept or answered, and the server is gone in time."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from app.cli.launch import LaunchError, ServerProcess
from app.files.locks import is_locked, read_holder
from tests.http.several import LONG, WaitFor, events, get, is_alive, processes, submit

GRACE = 10
MODEL = "/v1/models/mobilenet-v2-imagenet"
HEAD = "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {}\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture
def connected() -> Iterator[Connect]:
    """Make connections that send something; closed in the end."""
    with ExitStack() as opened:

        def connect(url: str, sent: bytes) -> socket.socket:
            address = urlsplit(url)
            connection = opened.enter_context(socket.create_connection((address.hostname, address.port), 60))
            connection.sendall(sent)
            return connection

        yield connect


def rest(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(1 << 20):
        received += part
    return received


def pictures(count: int) -> list[tuple[str, bytes]]:
    file = io.BytesIO()
    Image.effect_noise((224, 224), 50).save(file, "PNG")
    return [("files", file.getvalue())] * count


Connect = Callable[[str, bytes], socket.socket]
Start = Callable[..., ServerProcess]
Leaves = Callable[[ServerProcess], None]


def begin(url: str, connected: Connect, *streams: str) -> Callable[[], None]:
    """Open streams, and begin bodies and a head; return what asserts that each is told of the end of the server."""
    opened = [connected(url, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) for path in streams]
    bodies = [
        connected(url, HEAD.format(path, kind).encode() + start)
        for path, kind, start in (
            (f"{MODEL}/predict", "image/png", b"\x89PNG"),
            ("/v1/datasets", "multipart/form-data; boundary=x", b"--x\r\n"),
            ("/v1/architectures", "application/json", b"{"),
        )
    ]
    head = connected(url, b"GET /v1/mod")
    time.sleep(1)

    def assert_told() -> None:
        for stream in opened:
            assert b": the server is about to stop; " in rest(stream)[-200:]
        for body in bodies:
            answer = rest(body)
            assert answer.startswith(b"HTTP/1.1 503 "), answer
            assert b"retry-after: " in answer.lower()
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 503
        assert rest(head) == b""

    return assert_told


def test_streams_and_bodies_are_told(start: Start, connected: Connect, leaves: Leaves) -> None:
    service = start(LOG_FORMAT="json")
    assert_told = begin(service.start(), connected, "/v1/events")
    os.kill(service.pid, signal.SIGTERM)
    assert_told()
    leaves(service)
    assert "Traceback" not in service.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_all_at_work(
    start: Start, connected: Connect, wait_for: WaitFor, leaves: Leaves, workers: int
) -> None:
    service = start(WORKERS=str(workers), CORES="1", GRACE_SECONDS=str(GRACE), LOG_FORMAT="json")
    url = service.start()
    wait_for(lambda: workers == 1 or len(events(service, "process_ready")) == workers, "all processes")
    with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(8) as threads:
        running, waiting = submit(client, LONG), submit(client, LONG)
        wait_for(
            lambda: get(client, f"/v1/training-jobs/{running}")["status"] == "running", "a job that runs"
        )
        calls = [
            threads.submit(httpx.post, url + MODEL + path, files=pictures(count), timeout=60)
            for path, count in (("/explain?method=occlusion", 1), ("/predict", 256))
        ]
        assert_told = begin(url, connected, "/v1/events", f"/v1/training-jobs/{running}/events")
        begun = time.monotonic()
        os.kill(service.pid, signal.SIGTERM)
        assert_told()
        for call in calls:
            assert call.result().status_code in (200, 503), call.result().text
        leaves(service)
        assert time.monotonic() - begun < GRACE + 20
    assert "Traceback" not in service.log.read_text()
    again = ServerProcess(service.data_dir, service.log, {"MAX_JOBS": "2", "CORES": "2"})
    with again as url, httpx.Client(base_url=url, timeout=60) as client:
        for job in (running, waiting):
            assert get(client, f"/v1/training-jobs/{job}")["status"] in ("queued", "running")
            client.post(f"/v1/training-jobs/{job}/cancel")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_at_once(
    start: Start, connected: Connect, wait_for: WaitFor, workers: int
) -> None:
    service = start(WORKERS=str(workers), CORES="1", GRACE_SECONDS="600", LOG_FORMAT="json")
    url = service.start()
    wait_for(lambda: workers == 1 or len(events(service, "process_ready")) == workers, "all processes")
    begin(url, connected, "/v1/events")
    pids = [service.pid, *processes(service).values()]
    os.kill(service.pid, signal.SIGTERM)
    wait_for(lambda: events(service, "draining"), "the first signal")
    os.kill(service.pid, signal.SIGTERM)
    with pytest.raises(LaunchError, match=f"status -{signal.SIGTERM.value}"):
        service.stop()
    wait_for(lambda: not any(map(is_alive, pids)), "the end of all")


def test_threads_that_compute_for_nobody_are_not_waited_for() -> None:
    program = """
        import threading, time
        from app.processes.leaving import leave
        threading.Thread(target=time.sleep, args=(300,)).start()
        leave()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=60, check=False)
    assert done.returncode == 0


def test_a_server_that_stops_is_not_ready(start: Start, wait_for: WaitFor) -> None:
    service = start(LOG_FORMAT="json", CORES="1", GRACE_SECONDS="60")
    with httpx.Client(base_url=service.start(), timeout=60) as client:
        lock = service.data_dir / "jobs" / submit(client, LONG) / "lock"
        worker = wait_for(lambda: is_locked(lock) and read_holder(lock), "a worker")
        assert client.get("/readyz").status_code == 200
        os.kill(worker, signal.SIGSTOP)  # the server waits for it until its grace is over
        try:
            os.kill(service.pid, signal.SIGTERM)
            wait_for(lambda: events(service, "draining"), "the signal")
            answer = wait_for(lambda: not_ready(client), "a word that it stops")
        finally:
            service.kill()
            os.kill(worker, signal.SIGKILL)
    assert answer.json()["type"] == "/problems/not-ready"
    assert [error["parameter"] for error in answer.json()["errors"]] == ["server"]


def not_ready(client: httpx.Client) -> httpx.Response | None:
    answer = client.get("/readyz")
    return answer if answer.status_code == 503 else None
