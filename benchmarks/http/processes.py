"""Servers as processes: started, asked until they answer, weighed, ended."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import family, processor_seconds

ROOT = Path(__file__).parents[2]
_PAGE = os.sysconf("SC_PAGESIZE")

Process = subprocess.Popen[bytes]


class Moment(NamedTuple):
    """Seconds of the clock and of processors since a process was started, and bytes that are resident.

    Of the process and of all that it has started.
    """

    clock: float
    processor: float
    resident: int


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[tuple[Process, float]]:
    """Run a server while entered; give it and when it was started. Settings around us are not passed on.

    Its libraries were compiled when they were installed: ours are compiled once, too, not at each start.
    """
    given = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CONVSERVE_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
        command,
        cwd=ROOT,
        env=given | dict(environment or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, began
    finally:
        members = family(process.pid)[1:]
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # what it has left behind would take a core from the next
        for member in members:
            if Path(f"/proc/{member}").exists():
                os.kill(member, 9)


def ask(port: int, request: bytes, process: Process, timeout: float = 60.0) -> bytes:
    """Send a request that asks to close the connection until it is answered by 200, and return the answer.

    Raises:
        SystemExit: the process has ended, it answers something else, or nothing in time.
    """
    limit = time.perf_counter() + timeout
    while time.perf_counter() < limit:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} ended with status {process.returncode}")
        answer = _answer(port, request)
        if answer.split(b" ")[1:2] == [b"200"]:
            return answer
        if answer:
            raise SystemExit(answer.decode(errors="replace"))
        time.sleep(0.005)
    raise SystemExit(f"{process.args} did not answer within {timeout:.0f} s")


def _answer(port: int, request: bytes) -> bytes:
    """Return all of an answer, nothing where nobody listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(65536), b""))
    except ConnectionError:
        return b""


def moment(process: Process, began: float) -> Moment:
    clock = time.perf_counter() - began
    pages = sum(int(Path(f"/proc/{member}/statm").read_text().split()[1]) for member in family(process.pid))
    return Moment(clock, processor_seconds(process.pid), pages * _PAGE)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
