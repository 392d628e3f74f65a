"""`python -m benchmarks.crowd`: what many slow callers, pollers and readers of events cost those who want predictions.

Two servers of its own train a small network each. Predictions of one are asked for at an even rate (open loop,
`benchmarks/http/load.py`) before a crowd comes; while it is at the other server, where it takes as much of the machine;
while it arrives and is here; and after it has vanished without a word: its process is killed. The crowd uploads slowly,
a few hundred bytes a second, and comes again when it is refused; asks for the state of the job every other second; and
follows the job's events. Of the server we read its processor time, open files, threads and memory each time.

Prints a line for each phase, and keeps nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

from app.cli.launch import ServerProcess
from app.files.limits import raise_open_files
from benchmarks.http import load
from benchmarks.http.cases import CASES
from benchmarks.http.processes import ROOT
from benchmarks.http.sides import ours
from benchmarks.machine import own_seconds

POLL_SECONDS = 2.0
PIECE = b"." * 300
"""What a slow upload sends each second: a little more than it has to."""
AGAIN_SECONDS = 5.0
READY = "all there"
_JOB = {"architecture": {"preset": "lenet-5"}, "dataset": "digits", "epochs": 10_000, "batch_size": 64}
_CONNECTIONS = 8

Kind = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@dataclass(frozen=True)
class Numbers:
    """How many there are of each."""

    uploads: int = 500
    pollers: int = 1000
    streams: int = 500


class Load(NamedTuple):
    """What a server has of the machine: seconds of processors, files, threads, bytes."""

    processor: float
    files: int
    threads: int
    resident: int


def weigh(pid: int) -> Load:
    """Read what a process has."""
    place = Path(f"/proc/{pid}")
    fields = (place / "stat").read_text().rpartition(")")[2].split()
    resident = int((place / "statm").read_text().split()[1]) * 4096
    return Load(
        own_seconds(pid),
        sum(1 for _ in (place / "fd").iterdir()),
        int(fields[17]),
        resident,
    )


@contextmanager
def crowd(url: str, job: str, numbers: Numbers) -> Iterator[subprocess.Popen[str]]:
    """Have a crowd while entered, all of it connected; killed in the end."""
    command = [sys.executable, "-m", "benchmarks.crowd", "--crowd", url, "--job", job]
    command += [f"--{name}={value}" for name, value in vars(numbers).items()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own
        try:
            if process.stdout is None or process.stdout.readline().strip() != READY:
                raise SystemExit("the crowd did not come")
            yield process
        finally:
            process.kill()


class _Crowd:
    """All of it, in one process."""

    def __init__(self, url: str, job: str) -> None:
        address = urlsplit(url)
        self._host, self._port, self._job = address.hostname or "", address.port or 80, job
        self._there = asyncio.Semaphore(0)

    async def run(self, numbers: Numbers) -> None:
        kinds = (
            [self._upload] * numbers.uploads
            + [self._poll] * numbers.pollers
            + [self._follow] * numbers.streams
        )
        tasks = [asyncio.create_task(self._again(kind)) for kind in kinds]
        for _ in kinds:
            await self._there.acquire()
        print(READY, flush=True)
        await asyncio.gather(*tasks)

    async def _again(self, kind: Kind) -> None:
        first = True
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection(self._host, self._port)
                if first:
                    self._there.release()
                    first = False
                try:
                    await kind(reader, writer)
                finally:
                    writer.close()
            await asyncio.sleep(AGAIN_SECONDS * (0.5 + random.random()))  # noqa: S311 - nothing to keep secret

    async def _upload(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"POST /v1/datasets HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 1000000000\r\n\r\n--x\r\n"
            b'Content-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\nPK\x03\x04'
        )
        answer = asyncio.ensure_future(reader.read(1))
        while not answer.done():
            writer.write(PIECE)
            await asyncio.wait([answer], timeout=1.0)

    async def _poll(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = load.request_bytes(f"/v1/training-jobs/{self._job}")
        # nobody polls in step with others
        await asyncio.sleep(POLL_SECONDS * random.random())  # noqa: S311 - nothing to keep secret
        while True:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            await asyncio.sleep(POLL_SECONDS * (0.5 + random.random()))  # noqa: S311 - as above

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(load.request_bytes(f"/v1/training-jobs/{self._job}/events"))
        while await reader.read(65536):
            pass


def submit(url: str) -> str:
    """Start the job that everybody looks at, and return its id once it runs."""
    with httpx.Client(base_url=url, timeout=60) as client:
        job = str(client.post("/v1/training-jobs", json=_JOB).json()["id"])
        while client.get(f"/v1/training-jobs/{job}").json()["status"] != "running":
            time.sleep(0.1)
    return job


def main() -> None:
    """Measure, or be the crowd."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    parser.add_argument("--rate", type=float, default=50.0, help="predictions a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each phase")
    for name, value in vars(Numbers()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--crowd", help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    options = parser.parse_args()
    numbers = Numbers(options.uploads, options.pollers, options.streams)
    if options.crowd:
        raise_open_files()
        asyncio.run(_Crowd(options.crowd, options.job).run(numbers))
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        here, elsewhere = (
            ServerProcess(folder / at, folder / f"{at}.log", {"CORES": "1"}) for at in ("a", "b")
        )
        url, other_url = (stack.enter_context(service) for service in (here, elsewhere))
        job, other_job = submit(url), submit(other_url)
        question = ours(CASES["lenet"], sys.executable, folder / "a", "model_example").question()
        address = urlsplit(url)

        def predictions(phase: str) -> None:
            before = weigh(here.pid)
            found = load.run(
                address.hostname or "",
                address.port or 80,
                question,
                _CONNECTIONS,
                options.seconds,
                options.rate,
            )
            after = weigh(here.pid)
            print(
                f"{phase:<9} p50 {found.p50_ms:6.2f} ms, p99 {found.p99_ms:7.2f} ms, {found.statuses}; processor "
                f"{(after.processor - before.processor) / options.seconds:.2f} of a core, {after.files} files, "
                f"{after.threads} threads, {after.resident >> 20} MiB",
                flush=True,
            )

        predictions("warm")
        predictions("before")
        with crowd(other_url, other_job, numbers):
            time.sleep(options.seconds)
            predictions("elsewhere")
        time.sleep(3)
        with crowd(url, job, numbers):
            predictions("arriving")
            predictions("with")
        time.sleep(3)
        predictions("after")


if __name__ == "__main__":
    main()
