"""What open pages cost a training job: some real ones are recorded, and a hundred that do the same are played.

Real pages in headless Chromium show what a job does, each in a profile of its own, so that none shares the stream of
another. What each asks, and when, and how much it receives is recorded. Then a process plays a hundred pages: each has
a stream of events of its own, and asks what a real one has asked, at the same moments. That played pages ask as much
as real ones is read from the log of the server, which knows of neither.

What pages cost is what the server computes for them, in time of its processor: browsers are on other machines.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from app.cli.launch import ServerProcess
from benchmarks.machine import own_seconds, processor_seconds

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Request

PLAYED = 100
SETTLED_SECONDS = 3.0
"""After pages were opened, and after a job: longer than a page waits until it asks."""
VIEWS = {"list": "#/watch", "job": "#/watch?job={job}", "models": "#/watch?tab=models"}


@dataclass(frozen=True)
class Seen:
    """What a page did while a job went on.

    Attributes:
        calls: the seconds after it was let go at which it asked, and for what.
        last: the same from the end of the job on, in seconds after that: played jobs take longer.
        received: bytes of its stream of events.
    """

    calls: tuple[tuple[float, str], ...]
    last: tuple[tuple[float, str], ...]
    received: int


@dataclass(frozen=True)
class Cost:
    """What a job took, in seconds.

    Attributes:
        server: of the processor, of the server beside it.
        worker: of the processor, of the worker.
        clock: from its begin to its end.
        calls: that were answered meanwhile, by the server's log.
    """

    server: float
    worker: float
    clock: float
    calls: int


def measure(
    browser: Browser,
    server: ServerProcess,
    url: str,
    views: Sequence[str],
    real: int,
    epochs: Sequence[int],
    rounds: int,
) -> Iterator[str]:
    """Yield a line for each view and length of a job."""
    _Run(server, url, 1).go(lambda: None)  # what is loaded once is loaded
    for view, length in itertools.product(views, epochs):
        alone: list[Cost] = []
        played: list[Cost] = []
        with (
            _Run(server, url, length) as run,
            _open(browser, url, VIEWS[view].format(job=run.job), real) as pages,
        ):
            cost = run.go(pages.begin, pages.end)
            seen = pages.seen()
        for _ in range(rounds):
            with _Run(server, url, length) as run:
                alone.append(run.go(lambda: None))
            with _Run(server, url, length) as run, _play(url, seen, run.job) as crowd:
                played.append(run.go(crowd.begin, crowd.end))
        yield _words(view, length, Recorded(seen, cost, alone, played, crowd.received))


@dataclass(frozen=True)
class Recorded:
    """All that was measured of one view and one length of a job."""

    seen: Sequence[Seen]
    cost: Cost
    alone: Sequence[Cost]
    played: Sequence[Cost]
    received: float
    """Bytes of its stream, of a played page."""


def _words(view: str, epochs: int, found: Recorded) -> str:
    def median(costs: Sequence[Cost], of: str) -> float:
        return statistics.median(getattr(cost, of) for cost in costs)

    worker, clock = median(found.alone, "worker"), median(found.alone, "clock")
    more = median(found.played, "server") - median(found.alone, "server")
    own = median(found.alone, "calls")
    real, played = found.cost.calls - own, median(found.played, "calls") - own
    kilobytes = statistics.mean(one.received for one in found.seen) / 1000

    def further(of: str) -> float:
        return 100 * (median(found.played, of) / median(found.alone, of) - 1)

    return (
        f"{view}, a job of {epochs} epochs: {worker:.2f} s of the processor ({clock:.1f} s by the clock); "
        f"the server beside it {median(found.alone, 'server'):.2f} s alone, "
        f"{median(found.played, 'server'):.2f} s with {PLAYED} pages: "
        f"{100 * more / worker:+.1f} % of the job (target 5 %); "
        f"worker {further('worker'):+.1f} %, clock {further('clock'):+.1f} %. "
        f"Calls of a page: {real / len(found.seen):.1f} real, {played / PLAYED:.1f} played; "
        f"received {kilobytes:.1f} kB real, {found.received / 1000:.1f} kB played"
    )


class _Run:
    """A job that waits until it is let go: behind another one, so that pages can be opened on it before it begins."""

    def __init__(self, server: ServerProcess, url: str, epochs: int) -> None:
        self._server = server
        self._http = httpx.Client(base_url=url, timeout=600, trust_env=False)
        self._epochs = epochs
        self._before = self._ask(10_000)
        self.job = self._ask(epochs)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _ask(self, epochs: int) -> str:
        body = {"architecture": {"preset": "lenet-5"}, "dataset": "digits", "epochs": epochs}
        return str(self._http.post("/v1/training-jobs", json=body).raise_for_status().json()["id"])

    def go(self, begin: Callable[[], None], end: Callable[[], None] = lambda: None) -> Cost:
        """Let it go, and return what it took when what follows its end has settled.

        Args:
            begin: is called before it is let go.
            end: is called at its end.
        """
        time.sleep(SETTLED_SECONDS)
        own, every = own_seconds(self._server.pid), processor_seconds(self._server.pid)
        calls = _answered(self._server.log)
        begin()
        begun = time.perf_counter()
        self._http.post(f"/v1/training-jobs/{self._before}/cancel").raise_for_status()
        self._http.get(f"/v1/training-jobs/{self.job}/events").raise_for_status()
        clock = time.perf_counter() - begun
        end()
        time.sleep(SETTLED_SECONDS)
        own, every = own_seconds(self._server.pid) - own, processor_seconds(self._server.pid) - every
        calls = _answered(self._server.log) - calls
        return Cost(own, every - own, clock, calls)


class _Pages:
    """Real pages, and what they ask."""

    def __init__(self) -> None:
        self._begun = self._ended = 0.0
        self._asked: list[list[Request]] = []
        self._received: list[list[int]] = []
        self._pages: list[Any] = []

    def open(self, browser: Browser, address: str) -> None:
        page = browser.new_context().new_page()
        asked: list[Request] = []
        received: list[int] = []
        streams: set[str] = set()
        page.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - Playwright marks functions
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.on(
            "Network.requestWillBeSent",
            lambda one: (
                streams.add(one["requestId"]) if one["request"]["url"].endswith("/v1/events") else None
            ),
        )
        session.on(
            "Network.dataReceived",
            lambda one: received.append(one["dataLength"]) if one["requestId"] in streams else None,
        )
        page.goto(address)
        page.get_by_role("tabpanel").wait_for()
        self._asked.append(asked)
        self._received.append(received)
        self._pages.append(page)

    def begin(self) -> None:
        self._wait()
        for kept in (*self._asked, *self._received):
            kept.clear()
        self._begun = time.time()

    def end(self) -> None:
        self._ended = time.time()

    def seen(self) -> list[Seen]:
        """Return what each did since the begin."""
        self._wait()
        return [self._seen(*one) for one in zip(self._asked, self._received, strict=True)]

    def _seen(self, asked: list[Request], received: list[int]) -> Seen:
        calls = [
            (one.timing["startTime"] / 1000, one.url) for one in asked if not one.url.endswith("/v1/events")
        ]
        # pages may be told of the end before we are
        ended = self._ended - 0.5
        return Seen(
            tuple((at - self._begun, address) for at, address in calls if at < ended),
            tuple((max(at - self._ended, 0.0), address) for at, address in calls if at >= ended),
            sum(received),
        )

    def close(self) -> None:
        for page in self._pages:
            page.context.close()

    def _wait(self) -> None:
        # what the browser has told meanwhile is heard
        self._pages[0].wait_for_timeout(200)


@contextmanager
def _open(browser: Browser, url: str, place: str, count: int) -> Iterator[_Pages]:
    pages = _Pages()
    for _ in range(count):
        pages.open(browser, f"{url}/{place}")
    yield pages
    pages.close()


@dataclass
class _Crowd:
    """Pages that are played by another process."""

    received: float
    _pipe: Connection

    def begin(self) -> None:
        """Let them ask, from now on, at the moments at which the real ones have asked."""
        self._pipe.send("begin")

    def end(self) -> None:
        """Let them ask what the real ones have asked from the end of the job on."""
        self._pipe.send("ended")


@contextmanager
def _play(url: str, seen: Sequence[Seen], job: str) -> Iterator[_Crowd]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_crowd, args=(url, seen, job, theirs), daemon=True)
    process.start()
    if not ours.poll(120) or ours.recv() != "open":
        raise RuntimeError("the pages that are played could not be opened")
    crowd = _Crowd(0, ours)
    yield crowd
    ours.send("end")
    faults: list[str]
    faults, crowd.received = ours.recv()
    process.join()
    if faults:
        raise RuntimeError(f"what a played page has asked for was refused: {faults[0]}")


def _crowd(url: str, seen: Sequence[Seen], job: str, pipe: Connection) -> None:
    received = [0] * PLAYED
    faults: list[str] = []
    recorded = {
        name.partition("?")[0].split("/")[5]
        for one in seen
        for _, name in (*one.calls, *one.last)
        if "/job_" in name
    }

    async def listen(http: httpx.AsyncClient, at: int, opened: asyncio.Semaphore) -> None:
        async with http.stream("GET", "/v1/events", headers={"Accept": "text/event-stream"}) as answer:
            opened.release()
            async for data in answer.aiter_raw():
                received[at] += len(data)

    async def ask(http: httpx.AsyncClient, moment: float, address: str) -> None:
        await asyncio.sleep(moment)
        # it is another job each time
        path = address.removeprefix(url)
        for name in recorded:
            path = path.replace(name, job)
        answer = await http.get(path)
        if answer.is_error:
            faults.append(f"{path}: {answer.status_code}")

    async def everyone() -> None:
        opened = asyncio.Semaphore(0)
        clients = [httpx.AsyncClient(base_url=url, timeout=3600, trust_env=False) for _ in range(PLAYED)]
        tasks = [asyncio.create_task(listen(http, at, opened)) for at, http in enumerate(clients)]
        for _ in clients:
            await opened.acquire()
        await asyncio.to_thread(pipe.send, "open")
        await asyncio.to_thread(pipe.recv)
        received[:] = [0] * PLAYED
        for at, http in enumerate(clients):
            tasks += [asyncio.create_task(ask(http, *call)) for call in seen[at % len(seen)].calls]
        await asyncio.to_thread(pipe.recv)
        for at, http in enumerate(clients):
            tasks += [asyncio.create_task(ask(http, *call)) for call in seen[at % len(seen)].last]
        await asyncio.to_thread(pipe.recv)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for http in clients:
            await http.aclose()

    asyncio.run(everyone())
    pipe.send((faults, statistics.mean(received)))


def _answered(log: Path) -> int:
    """Count the requests that a server has answered, but for streams."""
    return sum(
        '"event": "request"' in line and "/events" not in line
        for line in log.read_text(encoding="utf-8").splitlines()
    )
