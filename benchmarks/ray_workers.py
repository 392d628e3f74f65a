"""`python -m benchmarks.ray_workers`: jobs a minute on Ray by four workers against one, and what a short job costs.

A server, and a Ray cluster of a head and one node with four slots, all on this machine. Rounds in which one job runs at
a time alternate with rounds in which four do. Of each job it is read where its time goes: until Ray has it, until its
process works, its work, and until Ray and the server have seen its end; a start of Python and what a worker imports
are timed by themselves. Beside that stands what a job takes of processors, in the server, in Ray with the worker, and
in a Ray that does nothing for as long.

Here all share the cores. What more cores would give follows from those parts, by simulation: of the time that a job
has a slot, some is computing, which waits for a core, some is the server's, which does one thing at a time, and the
rest is waiting.

Prints a line for each, and keeps nothing. Where Ray is not installed (`make cluster-tools`), or cannot be, it says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.cli.launch import ServerProcess
from benchmarks.http.processes import ROOT
from benchmarks.machine import own_seconds, processor, processor_seconds
from tests.cluster.ray_cluster import NODES, RayCluster, missing, running

SLOTS = (1, 4)
CORES = (2, 4, 8)
"""Of the machines that are simulated."""
FINISHED = {"succeeded", "failed", "cancelled"}
JOB = {
    "architecture": {
        "input_shape": [28, 28, 1],
        "layers": [{"type": "flatten"}, {"type": "dense", "units": 10}],
    },
    "dataset": "digits",
    "epochs": 1,
    "batch_size": 64,
}
IDLE_SECONDS = 5.0
PARTS = (
    "the server hands it to Ray",
    "Ray starts a process that works",
    "the work, with its imports",
    "the process ends, and Ray sees it",
    "the server sees it, and hands over the next",
)


@dataclass(frozen=True)
class Round:
    """What was found while so many jobs ran at a time.

    Attributes:
        per_minute: jobs that ended.
        parts: seconds of each job by `PARTS`, (jobs, parts).
        computed: seconds of each job within epochs.
        server: seconds of a processor that the server took for a job.
        ray: seconds of a processor that Ray and the worker took for a job.
    """

    per_minute: float
    parts: np.ndarray
    computed: float
    server: float
    ray: float


def moment(text: str) -> float:
    """Return the seconds of a time in ISO 8601."""
    return datetime.fromisoformat(text).timestamp()


def one_round(client: httpx.Client, cluster: RayCluster, server: int, jobs: int) -> Round:
    """Let so many jobs run."""
    before = own_seconds(server), of_ray(cluster)
    ids = [client.post("/v1/training-jobs", json=JOB).raise_for_status().json()["id"] for _ in range(jobs)]
    ended: dict[str, dict[str, Any]] = {}
    while len(ended) < jobs:
        time.sleep(0.5)
        # the server lets Ray forget them ten seconds later
        ended |= {
            name: job for name, job in cluster.records().items() if job["end_time"] and name[:-2] in ids
        }
    while not all(job["status"] in FINISHED for job in states(client, ids)):
        time.sleep(0.1)
    found = states(client, ids)
    taken = own_seconds(server) - before[0], of_ray(cluster) - before[1]
    if bad := [job for job in found if job["status"] != "succeeded"]:
        raise SystemExit(f"not all succeeded: {bad[0]}")
    found.sort(key=lambda job: str(job["started_at"]))
    seconds = max(moment(job["finished_at"]) for job in found) - moment(found[0]["started_at"])
    times = [[*times_of(client, job, ended[f"{job['id']}-1"])] for job in found]
    # when a job was over, the next one that began had its slot
    begun = [each[0] for each in times[1:]]
    rows = []
    for each in times:
        following = next((begin for begin in begun if begin > each[-1]), None)
        rows.append(np.diff([*each, each[-1] if following is None else following]))
        if following is not None:
            begun.remove(following)
    figures = client.get(f"/v1/training-jobs/{ids[0]}/metrics").raise_for_status().json()["data"]
    computed = sum(float(row["seconds"]) for row in figures)
    return Round(60 * jobs / seconds, np.array(rows), computed, taken[0] / jobs, taken[1] / jobs)


def states(client: httpx.Client, ids: list[str]) -> list[dict[str, Any]]:
    """Return the jobs as they are."""
    return [client.get(f"/v1/training-jobs/{job}").raise_for_status().json() for job in ids]


def times_of(client: httpx.Client, job: dict[str, Any], ray: dict[str, Any]) -> Iterator[float]:
    """Return when a job was claimed, was with Ray, began to work, had done its work, and had ended for Ray."""
    yield moment(job["started_at"])
    yield ray["start_time"] / 1000
    log = client.get(f"/v1/training-jobs/{job['id']}/log").raise_for_status().text
    lines = [line.split() for line in log.splitlines() if " INFO " in line]
    yield moment(lines[0][0])
    yield moment(lines[-1][0])
    yield ray["end_time"] / 1000


def of_ray(cluster: RayCluster) -> float:
    """Return the seconds of processors that all processes of a cluster have taken."""
    return sum(map(processor_seconds, cluster.pids()))


def started(code: str) -> tuple[float, float]:
    """Return seconds of the clock and of a processor of a Python that does only this: the least of five."""
    command = [sys.executable, "-P", "-c", code]
    taken = []
    for _ in range(5):
        before, begun = os.times(), time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603 - our own interpreter
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        taken.append((time.perf_counter() - begun, used))
    return min(taken)


def simulated(slots: int, cores: int, server: float, computing: float, waiting: float) -> float:
    """Return how many jobs a minute there are where each takes its slot for three stages.

    Args:
        slots: jobs at a time.
        cores: which computing jobs share; a job computes on one.
        server: seconds with the server, which has one of them at a time.
        computing: seconds on a core.
        waiting: seconds for which nobody computes for it.
    """
    # (stage, what is left of it) of each slot; who has waited longest for the server is first
    stages = (server, computing, waiting)
    places = [(0, server) for _ in range(slots)]
    clock, done = 0.0, 0
    turns = list(range(slots))
    while done < 100 * slots:
        busy = sum(1 for stage, _ in places if stage == 1)
        speeds = [
            (1.0 if turns and turns[0] == slot else 0.0, min(1.0, cores / max(busy, 1)), 1.0)[stage]
            for slot, (stage, _) in enumerate(places)
        ]
        step = min(left / speed for (_, left), speed in zip(places, speeds, strict=True) if speed)
        clock += step
        for slot, ((stage, left), speed) in enumerate(zip(list(places), speeds, strict=True)):
            if left - step * speed > 1e-9:
                places[slot] = (stage, left - step * speed)
                continue
            following = (stage + 1) % len(stages)
            places[slot] = (following, stages[following])
            if stage == 0 and speed:
                turns.remove(slot)
            if following == 0:
                turns.append(slot)
                done += 1
    return 60 * done / clock


def report(found: dict[int, list[Round]], idle: float) -> None:
    """Print what was found, and what follows."""
    for slots, rounds in found.items():
        rate = np.median([each.per_minute for each in rounds])
        server, ray = (np.median([getattr(each, name) for each in rounds]) for name in ("server", "ray"))
        print(
            f"{slots} at a time: {rate:.1f} jobs a minute; each {server:.2f} s of a processor in the server, "
            f"{ray:.2f} in Ray and the worker, where a Ray without jobs takes {60 * idle / rate:.2f} meanwhile"
        )
        for part, name in enumerate(PARTS):
            # the last of a round is followed by none
            parts = np.concatenate([each.parts[:, part] for each in rounds])
            if part == len(PARTS) - 1:
                parts = parts[parts > 0]
            if len(parts):
                print("  {3}: {1:.2f} s ({0:.2f}-{2:.2f})".format(*np.percentile(parts, (25, 50, 75)), name))
        print(f"  of the work in epochs: {np.median([each.computed for each in rounds]):.2f} s")
    ratios = [many.per_minute / one.per_minute for one, many in zip(*found.values(), strict=True)]
    print("{} against {}: {:.2f} ({:.2f}-{:.2f})".format(*SLOTS[::-1], *np.percentile(ratios, (50, 25, 75))))
    alone = found[SLOTS[0]]
    server = float(np.median([each.server for each in alone]))
    computing = float(np.median([each.ray for each in alone])) - 60 * idle / float(
        np.median([each.per_minute for each in alone])
    )
    whole = 60 / float(np.median([each.per_minute for each in alone]))
    waiting = max(0.0, whole - server - computing)
    print(
        f"Of the {whole:.2f} s that a job alone has its slot, {computing:.2f} are computing, {server:.2f} the server's "
        f"and {waiting:.2f} waiting. By simulation:"
    )
    for cores in CORES:
        one, many = (simulated(slots, cores, server, max(computing, 1e-3), waiting) for slots in SLOTS)
        print(f"  {cores} cores: {many:.0f} jobs a minute by {SLOTS[1]}, {many / one:.2f} times those of one")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ray_workers", description=__doc__)
    parser.add_argument("--jobs", type=int, default=12, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if why := missing():
        print(f"Jobs on Ray are left out: {why}.")
        return
    print(f"On {os.cpu_count()} cores of {processor()}")
    plain, imports = started("pass"), started("import app.jobs.work.attempt")
    print(
        f"a start of Python: {plain[0]:.2f} s, {plain[1]:.2f} of a processor; "
        f"with what a worker imports before it works: {imports[0]:.2f} s, {imports[1]:.2f}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(folder, NODES[0], cores=max(SLOTS)) as cluster:
            before = of_ray(cluster)
            time.sleep(IDLE_SECONDS)
            idle = (of_ray(cluster) - before) / IDLE_SECONDS
            found: dict[int, list[Round]] = {slots: [] for slots in SLOTS}
            for _ in range(options.rounds):
                for slots in SLOTS:
                    settings = {**cluster.settings(), "CORES": "1", "MAX_JOBS": str(slots)}
                    server = ServerProcess(folder / "data", folder / "log", settings)
                    with server as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
                        found[slots].append(one_round(client, cluster, server.pid, options.jobs))
            report(found, idle)


if __name__ == "__main__":
    main()
