"""`python -m benchmarks.http.load URL`: a load generator, in a process of its own.

Closed loop by default: each connection sends its request, waits for the answer, and sends it again. With `--rate` open
loop: requests are due at even intervals whatever the server does, and a latency counts from the moment that a request
was due, so that a server that stalls is not asked less. Connections are kept alive, and the bytes of a request are
made once. Before anything is counted every connection has had an answer.

Prints one line of JSON: `requests` answered within `seconds`, `per_second`, `p50_ms` and `p99_ms` of their latencies,
how many answers of each status (`statuses`), and how many connections were lost (`lost`). It ends when what is under
way has been answered. Needs nothing but Python, and uses uvloop where it is installed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import re
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

WARM_UP_SECONDS = 0.3
LONGEST_WAIT = 20.0
"""Seconds for the first answer of each connection, and for the last."""
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Load:
    """What came of one run; latencies are of all answers, whatever their status."""

    connections: int
    requests: int
    answered: int
    """With those before and after the seconds in which they count."""
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]
    lost: int

    @property
    def errors(self) -> int:
        """Answers other than 200, and connections that were lost."""
        return self.lost + sum(count for status, count in self.statuses.items() if status != "200")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http.load", description=__doc__)
    parser.add_argument("url", help="where to send the requests, such as http://127.0.0.1:8000/livez")
    parser.add_argument("--body", type=Path, help="file to send by POST; without it the requests are GET")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE", help="header to send")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rate", type=float, help="requests a second that are due (open loop)")
    options = parser.parse_args()
    address = urlsplit(options.url)
    body = options.body.read_bytes() if options.body else None
    path = address.path + (f"?{address.query}" if address.query else "")
    headers = dict(header.split(": ", 1) for header in options.header)
    request = request_bytes(path or "/", body, headers)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    print(json.dumps(asdict(run(host, port, request, options.connections, options.seconds, options.rate))))


def request_bytes(
    path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, *, close: bool = False
) -> bytes:
    """Return a request: POST with a body, GET without."""
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def run(
    host: str, port: int, request: bytes, connections: int, seconds: float, rate: float | None = None
) -> Load:
    """Send a request over and over, and return what was measured.

    Args:
        host: of the server.
        port: of the server.
        request: all bytes of it.
        connections: how many there are.
        seconds: for how long answers are counted.
        rate: requests a second that are due; None sends the next when the last is answered.

    Raises:
        OSError: nothing listens there.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_Run(request, connections, seconds, rate).measure(host, port))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - where it is installed
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class _Run:
    """One run: its callers, when answers count, and what they were."""

    def __init__(self, request: bytes, connections: int, seconds: float, rate: float | None) -> None:
        self.request = request
        self.rate = rate
        self.counting = False
        self.ended = False
        self.latencies: list[float] = []
        self.statuses: Counter[bytes] = Counter()
        self.lost = 0
        self.idle: deque[_Caller] = deque()
        self.due: deque[float] = deque()
        """When requests were due for which there was no idle connection."""
        self.unanswered = connections if rate is None else 0
        self.warm = asyncio.Event()
        self.under_way = 0
        self.answered = 0
        self.drained = asyncio.Event()
        self._connections = connections
        self._seconds = seconds
        self._address: tuple[str, int] = ("", 0)
        self._tasks: set[asyncio.Task[None]] = set()

    async def measure(self, host: str, port: int) -> Load:
        self._address = (host, port)
        callers = [await self.connect() for _ in range(self._connections)]
        # a collection in the middle of it would count as the server's
        gc.collect()
        gc.disable()
        pace = None if self.rate is None else asyncio.create_task(self._pace(self.rate))
        for caller in callers:
            if pace is None:
                caller.send(time.perf_counter())
            else:
                self.idle.append(caller)
        began = time.perf_counter()
        if self.unanswered:
            await asyncio.wait_for(self.warm.wait(), LONGEST_WAIT)
        await asyncio.sleep(max(0.0, began + WARM_UP_SECONDS - time.perf_counter()))
        self.counting = True
        began = time.perf_counter()
        await asyncio.sleep(self._seconds)
        seconds = time.perf_counter() - began
        self.counting, self.ended = False, True
        if pace is not None:
            pace.cancel()
        # what is under way would take a core from whoever is measured next
        if self.under_way:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.drained.wait(), LONGEST_WAIT)
        # a connection that is on its way when the loop is closed can keep uvloop from closing
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for caller in callers:
            caller.end()
        await asyncio.sleep(0)
        gc.enable()
        ordered = sorted(self.latencies)
        return Load(
            self._connections,
            len(ordered),
            self.answered,
            round(seconds, 3),
            round(len(ordered) / seconds, 1),
            _milliseconds(ordered, 0.5),
            _milliseconds(ordered, 0.99),
            {status.decode(): count for status, count in self.statuses.items()},
            self.lost,
        )

    async def connect(self, caller: _Caller | None = None) -> _Caller:
        made = caller or _Caller(self)
        await asyncio.get_running_loop().create_connection(lambda: made, *self._address)
        return made

    def reconnect(self, caller: _Caller) -> None:
        async def again() -> None:
            try:
                await self.connect(caller)
            except OSError:
                return
            self.next(caller)

        task = asyncio.create_task(again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def next(self, caller: _Caller) -> None:
        """Give a caller that has nothing under way its next request."""
        if self.ended:
            return
        if self.rate is None:
            caller.send(time.perf_counter())
        elif self.due:
            caller.send(self.due.popleft())
        else:
            self.idle.append(caller)

    def finished(self) -> None:
        self.under_way -= 1
        if self.ended and not self.under_way:
            self.drained.set()

    def first_answer(self) -> None:
        self.unanswered -= 1
        if self.unanswered <= 0:
            self.warm.set()

    async def _pace(self, rate: float) -> None:
        began, number = time.perf_counter(), 0
        while True:
            number += 1
            moment = began + number / rate
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            if self.idle:
                self.idle.popleft().send(moment)
            else:
                self.due.append(moment)


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._transport: Any = None
        self._since = 0.0
        self._head = b""
        self._rest = 0
        """Bytes of the body that are still to come; -1 for a body in chunks."""
        self._status = b""
        self._fresh = True
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        run = self._run
        self._head, self._rest = b"", 0
        if self._busy:
            self._busy = False
            run.finished()
        if not run.ended:
            run.lost += 1
            run.reconnect(self)

    def send(self, since: float) -> None:
        self._since = since
        self._busy = True
        self._run.under_way += 1
        self._transport.write(self._run.request)

    def end(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._rest > 0:
            self._rest -= len(data)
            if self._rest <= 0:
                self._answered()
            return
        head = self._head = self._head + data if self._head else data
        if self._rest < 0:
            if head.endswith(_LAST_CHUNK):
                self._answered()
            return
        end = head.find(b"\r\n\r\n")
        if end < 0:
            return
        self._status = head[9:12]
        length = _LENGTH.search(head, 0, end)
        if length:
            self._rest = int(length[1]) - (len(head) - end - 4)
            if self._rest <= 0:
                self._answered()
        elif not _CHUNKED.search(head, 0, end) or head.endswith(_LAST_CHUNK):
            self._answered()
        else:
            self._rest = -1

    def _answered(self) -> None:
        run = self._run
        self._head, self._rest = b"", 0
        if run.counting:
            run.latencies.append(time.perf_counter() - self._since)
            run.statuses[self._status] += 1
        self._busy = False
        run.answered += 1
        run.finished()
        if self._fresh:
            self._fresh = False
            run.first_answer()
        run.next(self)


def _milliseconds(ordered: list[float], share: float) -> float:
    """Return the latency that this share of answers did not exceed; 0 where there was no answer."""
    if not ordered:
        return 0.0
    return round(1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


if __name__ == "__main__":
    sys.exit(main())
