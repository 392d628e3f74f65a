"""More connections than there is room for: who has nothing to do goes, and probes are always answered."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.cli.launch import SERVE, LaunchError, ServerProcess
from tests.http.several import WaitFor, events, processes
from tests.metrics.scrape import scrape

FILES = 300
"""So many a process may have open; half of them may be connections."""
MOST = 8
GET = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
STREAM = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"

Connect = Callable[..., list[socket.socket]]
Start = Callable[..., ServerProcess]


@pytest.fixture
def open_all() -> Iterator[Connect]:
    """Make connections to a server that all send the same; closed in the end."""
    with ExitStack() as opened:

        def connect(url: str, count: int, sent: bytes) -> list[socket.socket]:
            address = urlsplit(url)
            made = []
            for _ in range(count):
                made.append(socket.create_connection((address.hostname, address.port), 60))
                opened.enter_context(made[-1])
                with suppress(ConnectionError):
                    made[-1].sendall(sent)
            return made

        yield connect


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with room for few connections."""
    folder = tmp_path_factory.mktemp("small")
    server = ServerProcess(
        folder / "data", folder / "log", {"MAX_CONNECTIONS": str(MOST), "LOG_FORMAT": "json"}
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def url(small: ServerProcess) -> str:
    return str(json.loads((small.data_dir / "server.json").read_text())["url"])


def few_files(folder: Path, **settings: str) -> ServerProcess:
    """Return a server whose processes may have few files open."""
    command = ("sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh", *SERVE)
    return ServerProcess(folder / "data", folder / "log", {"LOG_FORMAT": "json", **settings}, command)


def status(url: str, path: str) -> int:
    return httpx.get(url + path, timeout=60).status_code


def files(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while connection.recv(65536):
            pass
        return False
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="counts files in /proc")
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_who_sends_a_byte_keeps_nobody_out(
    tmp_path: Path, open_all: Connect, wait_for: WaitFor, workers: int
) -> None:
    settings = {"WORKERS": str(workers), "MAX_CONNECTIONS": str(100 * workers), "HEADER_SECONDS": "60"}
    service = few_files(tmp_path, **settings)
    with service as url:
        if workers > 1:
            wait_for(lambda: len(events(service, "process_ready")) == workers, "all processes")
        pids = list(processes(service).values()) or [service.pid]
        assert status(url, "/v1/models/model_example") == 200  # all that it opens is open
        before = [files(pid) for pid in pids]
        callers = open_all(url, 1100, b"G")
        for path in ("/livez", "/readyz", "/v1/models", "/v1/models/model_example"):
            assert status(url, path) == 200
        wait_for(
            lambda: all(files(pid) <= was + 100 for pid, was in zip(pids, before, strict=True)), "their end"
        )
        assert 0 < sum(map(is_open, callers)) <= 100 * workers
        (one,) = open_all(url, 1, GET)
        assert one.recv(65536).startswith(b"HTTP/1.1 200")
        wait_for(
            lambda: sum(map(is_open, callers)) <= 100 * workers // 4, "no more than the share of an address"
        )
        assert any(map(is_open, callers))
        assert is_open(one)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts files in /proc")
def test_whoever_opens_many_at_once_is_answered_on_all(tmp_path: Path, open_all: Connect) -> None:
    with few_files(tmp_path) as url:
        callers = open_all(url, FILES // 2 - 10, b"")
        for caller in callers:
            caller.sendall(GET)
        for caller in callers:
            assert caller.recv(65536).startswith(b"HTTP/1.1 200")


def test_when_all_are_at_work_probes_are_answered_and_the_rest_is_told_to_wait(
    small: ServerProcess, url: str, open_all: Connect, wait_for: WaitFor
) -> None:
    streams = open_all(url, MOST, STREAM)
    for stream in streams:
        assert stream.recv(65536).startswith(b"HTTP/1.1 200")
    for path in ("/livez", "/readyz", "/v2/health/live"):
        assert status(url, path) == 200
    refused = httpx.get(url + "/v1/models", timeout=60)
    assert refused.status_code == 503
    assert refused.json()["type"] == "/problems/too-many-connections"
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["connection"] == "close"
    request_id = refused.headers["x-request-id"]
    found = wait_for(
        lambda: [line for line in events(small, "request") if line.get("request_id") == request_id],
        "its line",
    )
    assert {(line["path"], line["status"], line["problem"]) for line in found} == {
        ("/v1/models", 503, "too-many-connections")
    }
    open_all(url, 100, b"G")  # who only begins does not keep probes out
    assert status(url, "/livez") == 200
    assert all(is_open(stream) for stream in streams)
    streams[0].close()
    deadline = time.monotonic() + 60
    while (again := status(url, "/v1/models")) == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert again == 200
    with httpx.Client(base_url=url, timeout=60) as client:
        wait_for(lambda: client.get("/livez").is_success)
        labels = {"route": "none", "method": "GET", "status": "503"}
        assert scrape(client).sum("http_request_duration_seconds_count", **labels) >= 1


def test_those_that_rest_make_room_the_one_that_rested_longest_first(
    url: str, open_all: Connect, small: ServerProcess, wait_for: WaitFor
) -> None:
    resting = []
    for _ in range(MOST):
        (caller,) = open_all(url, 1, GET)
        assert caller.recv(65536).startswith(b"HTTP/1.1 200")
        resting.append(caller)
        if len(resting) == 1:
            time.sleep(2.5)  # two looks, so that it is known to be the first
    time.sleep(2.5)
    assert status(url, "/v1/models") == 200
    assert not is_open(resting[0])
    assert sum(map(is_open, resting)) == MOST - 1
    wait_for(lambda: events(small, "connections_ended"), "a line of the log")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads memory in /proc")
def test_long_heads_that_are_not_whole_hold_little_together(start: Start, open_all: Connect) -> None:
    service = start(HEADER_SECONDS="60")
    url = service.start()
    assert status(url, "/v1/models") == 200
    before = resident(service.pid)
    long = GET[:-2] + b"X-Long: " + b"a" * (60 << 10)
    callers = open_all(url, 1000, long)
    assert status(url, "/v1/models") == 200
    assert resident(service.pid) < before + (32 << 20)  # of 60 MB
    assert 100 < sum(map(is_open, callers)) < 300  # those that came last
    callers[-1].setblocking(True)
    callers[-1].sendall(b"\r\n\r\n")
    assert callers[-1].recv(65536).startswith(b"HTTP/1.1 200")


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux changes the limits of others")
@pytest.mark.parametrize("workers", [1, 2])
def test_too_many_open_files_end_no_server_and_keep_none_busy(
    start: Start, open_all: Connect, wait_for: WaitFor, workers: int
) -> None:
    service = start(WORKERS=str(workers), LOG_FORMAT="json")
    url = service.start()
    wait_for(lambda: workers == 1 or len(events(service, "process_ready")) == workers, "all processes")
    pids = list(processes(service).values()) or [service.pid]
    assert status(url, "/v1/models") == 200
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (files(pid), before[pid][1]))
    callers = open_all(url, 20, b"G")
    used = sum(map(processor_seconds, pids))
    time.sleep(2)
    assert sum(map(processor_seconds, pids)) - used < 1
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before[pid])
    for caller in callers:
        caller.close()
    wait_for(lambda: answers(url), "an answer")
    service.stop()


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return status(url, "/livez") == 200
    return False


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_more_connections_than_files_are_refused_at_the_start(tmp_path: Path) -> None:
    service = few_files(tmp_path, MAX_CONNECTIONS=str(FILES))
    with pytest.raises(LaunchError, match=r"CONVSERVE_MAX_CONNECTIONS: .*ulimit -Hn"):
        service.start()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts files in /proc")
def test_five_thousand_connections(start: Start, open_all: Connect, wait_for: WaitFor) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 12_000:
        pytest.skip("this machine lets nobody open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (12_000, hard))
    # longer than any machine takes until it looks at those that rest
    service = start(KEEP_ALIVE_SECONDS="600")
    try:
        url = service.start()
        assert status(url, "/v1/models") == 200
        before = files(service.pid)
        resting = open_all(url, 2_500, GET)
        silent = open_all(url, 2_500, b"G")
        for path in ("/livez", "/readyz", "/v1/models"):
            assert status(url, path) == 200
        assert all(caller.recv(65536).startswith(b"HTTP/1.1 200") for caller in resting)
        wait_for(lambda: not any(map(is_open, silent)), "the end of those that say nothing")
        assert all(map(is_open, resting))
        for caller in resting:
            caller.close()
        # threads keep their connections to the database
        wait_for(lambda: files(service.pid) <= before + 60, "the files")
        service.stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
