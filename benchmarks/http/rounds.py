"""Measurements of sides in turn, in short rounds; ratios are taken within a round, so that a slow minute is in both."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.http.cases import CASES, Case, write_files
from benchmarks.http.load import Load
from benchmarks.http.processes import ROOT, Process, ask, free_port, moment, running
from benchmarks.http.sides import PLAIN, Interpreters, Side, ours, plain, sides, twins
from benchmarks.start import first_answers, idle

Found = dict[str, Any]

_ANSWER_SECONDS = 60.0
"""Within which an answer must come that is not part of a measurement."""


@dataclass(frozen=True)
class Effort:
    """How long is measured."""

    rounds: int
    seconds: float
    connections: tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """The networks' files and a data directory that has them, for as long as a benchmark runs."""

    data: Path
    networks: dict[str, Path]
    models: dict[str, str]


@dataclass(frozen=True)
class Served:
    """A side that runs."""

    side: Side
    port: int
    process: Process
    began: float

    def weighed(self, connections: int, seconds: float) -> tuple[Load, float]:
        """Load it by its question; return also the milliseconds of processors that its processes took for a request."""
        before = moment(self.process, self.began).processor
        load = self.load(connections, seconds)
        taken = moment(self.process, self.began).processor - before
        return load, 1e3 * taken / max(1, load.answered)

    def load(
        self, connections: int, seconds: float, rate: float | None = None, path: str | None = None
    ) -> Load:
        """Load it from a process of its own: by its question, or by GET of a path."""
        with tempfile.NamedTemporaryFile() as body:
            body.write(self.side.body)
            body.flush()
            command = [sys.executable, "-m", "benchmarks.http.load"]
            command += [f"http://127.0.0.1:{self.port}{path or self.side.path}"]
            command += ["--connections", str(connections), "--seconds", str(seconds)]
            if path is None:
                command += ["--body", body.name]
                for name, value in self.side.headers.items():
                    command += ["--header", f"{name}: {value}"]
            if rate is not None:
                command += ["--rate", str(rate)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise SystemExit(f"{self.side.name} at {connections} connections:\n{done.stderr}")
        return Load(**json.loads(done.stdout))

    def call(self, method: str, path: str, body: bytes | None = None) -> Found:
        """Return the JSON of an answer.

        Raises:
            SystemExit: it is no success.
        """
        media_type = "application/json" if path.endswith("training-jobs") else "application/octet-stream"
        headers = {"Content-Type": media_type} if body else {}
        url = f"http://127.0.0.1:{self.port}{path}"
        answer = httpx.request(method, url, content=body, headers=headers, timeout=_ANSWER_SECONDS)
        if answer.is_error:
            raise SystemExit(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
        found: Found = answer.json()
        return found

    def megabytes(self) -> float:
        """Return what is resident, of all its processes, divided by those that serve."""
        return round(moment(self.process, self.began).resident / 1e6 / self.side.processes, 1)


@contextmanager
def place(names: Sequence[str], interpreters: Interpreters) -> Iterator[Place]:
    """Write the networks of these cases, and give them to a service whose data directory is then left alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        networks, models, files = {}, {}, {}
        for case in names:
            files[case], networks[case] = write_files(CASES[case], folder)
        data = folder / "data"
        with serving(ours(CASES["lenet"], interpreters.service, data, "model_example")) as served:
            for case, file in files.items():
                models[case] = served.call("POST", "/v1/models/import", file.read_bytes())["id"]
        # two servers never share a data directory
        for copy in twins(data):
            shutil.copytree(data, copy)
        yield Place(data, networks, models)


@contextmanager
def serving(side: Side) -> Iterator[Served]:
    """Run a side while entered."""
    port = free_port()
    with running(side.command(port), side.environment) as (process, began):
        ask(port, side.ready(), process)
        yield Served(side, port, process, began)


def predictions(name: str, where: Place, interpreters: Interpreters, effort: Effort) -> Iterator[Found]:
    """Load all sides in turn with what a case sends; a side that does not start is reported and left out."""
    case = CASES[name]
    with ExitStack() as stack:
        served: list[Served] = []
        for side in sides(case, where.networks[name], where.data, where.models[name], interpreters):
            try:
                one = stack.enter_context(serving(side))
                ask(one.port, side.question(close=True), one.process)
            except SystemExit as fault:
                print(f"{side.name} is left out: {fault}", flush=True)
                continue
            served.append(one)
        for connections in effort.connections:
            loads: dict[str, list[tuple[Load, float]]] = {one.side.name: [] for one in served}
            for _ in range(effort.rounds):
                for one in served:
                    loads[one.side.name].append(one.weighed(connections, effort.seconds))
            for one in served:
                found = _found(case, one, loads[one.side.name], loads.get(PLAIN))
                print(line(found), flush=True)
                yield found


def _found(
    case: Case, one: Served, weighed: list[tuple[Load, float]], peer: list[tuple[Load, float]] | None
) -> Found:
    loads = [load for load, _ in weighed]
    pairs = list(zip(weighed, peer or [], strict=False))
    speeds = [load.per_second / other.per_second for (load, _), (other, _) in pairs if other.per_second]
    costs = [cost / other for (_, cost), (_, other) in pairs if other]
    return {
        "case": case.title,
        "connections": loads[0].connections,
        "side": one.side.name,
        "per_second": spread([load.per_second for load in loads]),
        "to_plain": spread(speeds) if speeds else None,
        "p50_ms": spread([load.p50_ms for load in loads]),
        "p99_ms": spread([load.p99_ms for load in loads]),
        "processor_ms": spread([cost for _, cost in weighed]),
        "processor_to_plain": spread(costs) if costs else None,
        "megabytes": one.megabytes(),
        "errors": sum(load.errors for load in loads),
    }


def line(found: Found) -> str:
    """Return what was found of one side, for the terminal."""
    speed, cost = found["to_plain"], found["processor_to_plain"]
    ratio = "" if speed is None else f", {speed['median']:.2f} of plain"
    ratio += "" if cost is None else f", {cost['median']:.2f} of its processor time"
    return (
        f"{found['case']:28} {found['connections']:3} connections, {found['side']:24} "
        f"{found['per_second']['median']:8.1f}/s, p50 {found['p50_ms']['median']:7.2f} ms, "
        f"p99 {found['p99_ms']['median']:7.2f} ms, {found['processor_ms']['median']:6.2f} ms of processors, "
        f"{found['megabytes']:5.0f} MB{ratio}{errors(found)}"
    )


def errors(found: Found) -> str:
    """Return how many answers were not 200 and how many connections were lost, nothing if there were none."""
    return f", {found['errors']} ERRORS" if found["errors"] else ""


def starts(where: Place, interpreters: Interpreters, rounds: int) -> Iterator[Found]:
    """Start all sides in turn with LeNet-5: when they are alive, when they have answered, what they hold when idle."""
    case = CASES["lenet"]
    candidates = list(sides(case, where.networks["lenet"], where.data, where.models["lenet"], interpreters))
    clocks: dict[str, list[tuple[float, float, float]]] = {side.name: [] for side in candidates}
    for _ in range(rounds):
        for side in candidates:
            alive, answered = first_answers(side)
            clocks[side.name].append((alive.clock, answered.clock, answered.processor))
    for side in candidates:
        ratios = [
            (mine[1] / other[1], mine[2] / other[2])
            for mine, other in zip(clocks[side.name], clocks[PLAIN], strict=True)
        ]
        found = {
            "side": side.name,
            "alive_seconds": spread([alive for alive, _, _ in clocks[side.name]]),
            "answered_seconds": spread([answered for _, answered, _ in clocks[side.name]]),
            "processor_seconds": spread([processor for _, _, processor in clocks[side.name]]),
            "to_plain": spread([clock for clock, _ in ratios]),
            "processor_to_plain": spread([processor for _, processor in ratios]),
            "idle_megabytes": round(idle(side) / 1e6 / side.processes, 1),
        }
        print(
            f"{side.name:24} first answer after {found['answered_seconds']['median']:.2f} s, "
            f"{found['to_plain']['median']:.2f} of plain ({found['processor_to_plain']['median']:.2f} by the "
            f"processor), {found['idle_megabytes']:.0f} MB idle",
            flush=True,
        )
        yield found


def reading(where: Place, interpreters: Interpreters, effort: Effort) -> Iterator[Found]:
    """Read a job over and over; what the plain peer predicts in the same rounds says how fast the machine is."""
    case = CASES["lenet"]
    with (
        serving(ours(case, interpreters.service, where.data, where.models["lenet"])) as service,
        serving(plain(case, interpreters.peers, where.networks["lenet"])) as peer,
    ):
        for connections in effort.connections:
            mine, theirs = [], []
            for _ in range(effort.rounds):
                mine.append(service.load(connections, effort.seconds, path="/v1/training-jobs/job_example"))
                theirs.append(peer.load(1, effort.seconds))
            ratios = [one.per_second / other.per_second for one, other in zip(mine, theirs, strict=True)]
            found = {
                "connections": connections,
                "per_second": spread([one.per_second for one in mine]),
                "p50_ms": spread([one.p50_ms for one in mine]),
                "p99_ms": spread([one.p99_ms for one in mine]),
                "to_one_caller_of_plain": spread(ratios),
                "errors": sum(one.errors for one in mine),
            }
            print(
                f"GET of a job {connections:3} connections {found['per_second']['median']:8.1f}/s, "
                f"{found['to_one_caller_of_plain']['median']:.2f} of plain's predictions at one"
                f"{errors(found)}",
                flush=True,
            )
            yield found


def spread(values: Sequence[float]) -> Found:
    """Return the median of some values and their quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else list(values) * 3
    return {"median": round(middle, 3), "low": round(low, 3), "high": round(high, 3)}
