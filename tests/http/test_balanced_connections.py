"""Several processes on one port: each gets its share of the connections."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.cli.launch import ServerProcess
from tests.http.several import WaitFor, kill, processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts connections in /proc")

CONNECTIONS = 64
ESTABLISHED = "01"
REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def open_connections(several_url: str) -> Iterator[Callable[[int], list[socket.socket]]]:
    """Open connections all at once, each of which has then had an answer; closed in the end."""
    address = urlsplit(several_url)
    with ExitStack() as stack:

        def open_all(count: int) -> list[socket.socket]:
            made = []
            for _ in range(count):
                made.append(socket.create_connection((address.hostname, address.port), timeout=60))
                stack.enter_context(made[-1])
                made[-1].sendall(REQUEST)
            for connection in made:
                assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            return made

        yield open_all


def connections(pid: int, port: int) -> set[str]:
    """Return the connections to a port that a process has open."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = {row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == port and row[3] == ESTABLISHED}
    files = [str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()]
    return ours & {file.removeprefix("socket:[").removesuffix("]") for file in files}


def counts(several: ServerProcess, several_url: str) -> list[int]:
    """Return how many connections each process has."""
    port = urlsplit(several_url).port or 0
    return [len(connections(pid, port)) for pid in processes(several).values()]


def assert_balanced(found: list[int]) -> None:
    assert sum(found) == CONNECTIONS
    share = CONNECTIONS / len(found)
    assert all(0.75 * share <= count <= 1.25 * share for count in found), found


@pytest.mark.slow
@pytest.mark.parametrize("several", [2, 3], indirect=True)
def test_each_has_its_share_also_after_one_was_replaced(
    several: ServerProcess,
    several_url: str,
    open_connections: Callable[[int], list[socket.socket]],
    wait_for: WaitFor,
) -> None:
    open_connections(CONNECTIONS)
    found = counts(several, several_url)
    assert_balanced(found)
    kill(several, 1, wait_for)
    open_connections(found[1])
    assert_balanced(counts(several, several_url))


def test_who_has_fewer_takes_more(
    several: ServerProcess,
    several_url: str,
    open_connections: Callable[[int], list[socket.socket]],
    wait_for: WaitFor,
) -> None:
    """All connections are answered while one process is stopped; it gets the next ones."""
    other, stopped = processes(several).values()
    port = urlsplit(several_url).port or 0
    os.kill(stopped, signal.SIGSTOP)
    try:
        open_connections(CONNECTIONS // 2)
        assert len(connections(other, port)) == CONNECTIONS // 2
        before = waits(stopped)
    finally:
        os.kill(stopped, signal.SIGCONT)
    # ten in a second, in each of which it gives a sign of life
    wait_for(lambda: waits(stopped) > before + 20, "some turns of the event loop")
    open_connections(CONNECTIONS // 2)
    assert_balanced(counts(several, several_url))


@pytest.mark.slow
def test_those_that_are_closed_do_not_count(
    several: ServerProcess,
    several_url: str,
    open_connections: Callable[[int], list[socket.socket]],
    wait_for: WaitFor,
) -> None:
    opened = open_connections(CONNECTIONS)
    ours, port = processes(several)[0], urlsplit(several_url).port or 0
    for connection in opened:
        # closing what one process has leaves the other with its share, and room in the first
        if peer_of(connection, port) in connections(ours, port):
            connection.close()
    wait_for(lambda: not connections(ours, port), "the end of the connections")
    open_connections(sum(connection.fileno() < 0 for connection in opened))
    assert_balanced(counts(several, several_url))


def waits(pid: int) -> int:
    """Return how often the first thread of a process, which has the event loop, has waited for something."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def peer_of(connection: socket.socket, port: int) -> str:
    """Return the connection by the server's name for it."""
    local = connection.getsockname()[1]
    for row in (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]):
        if [int(end.rpartition(":")[2], 16) for end in row[1:3]] == [port, local]:
            return row[9]
    raise AssertionError("no such connection")
