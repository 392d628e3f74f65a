"""`python -m benchmarks.two_servers`: predictions a second of two servers on one PostgreSQL against those of one.

Each server is one process with a data directory of its own, as on two machines; here they, the database and those who
ask share the cores, so that two answer more only where there are cores for both. What holds elsewhere too is what a
prediction takes of a processor in the servers, and in the database: rows are read from memory, and the database tells
what has changed. Rounds of one server alternate with rounds of both, with as many callers in all.

Prints a line for each, and keeps nothing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from app.cli.launch import ServerProcess
from benchmarks.http import load
from benchmarks.http.cases import CASES
from benchmarks.http.sides import ours
from benchmarks.machine import processor, processor_seconds
from tests.cluster.postgres import PostgresServer, postgres_server

CONNECTIONS = 16


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.two_servers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    options = parser.parse_args()
    print(f"On {os.cpu_count()} cores of {processor()}")
    with ExitStack() as stack:
        database = stack.enter_context(postgres_server("two"))
        settings = {"DATABASE_URL": database.url("two"), "LOG_LEVEL": "warning", "CORES": "1"}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [ServerProcess(folder / name / "data", folder / f"{name}.log", settings) for name in "ab"]
        addresses = [urlsplit(stack.enter_context(server)) for server in servers]
        side = ours(CASES["lenet"], "", folder, "model_example")
        request = load.request_bytes(side.path, side.body, side.headers)
        pool = stack.enter_context(ProcessPoolExecutor(2))
        found: dict[int, list[tuple[float, float, float]]] = {1: [], 2: []}
        for number in range(2 * (1 + options.rounds)):
            used = 1 + number % 2
            before = _taken(servers, database)
            runs = [
                pool.submit(
                    load.run, str(one.hostname), one.port or 0, request, CONNECTIONS // used, options.seconds
                )
                for one in addresses[:used]
            ]
            loads = [run.result() for run in runs]
            if bad := [one for one in loads if one.errors]:
                raise SystemExit(f"not all were answered: {bad}")
            answered = sum(one.answered for one in loads)
            each = [
                1e6 * (after - then) / answered
                for after, then in zip(_taken(servers, database), before, strict=True)
            ]
            if number > 1:  # the first round of each has them load what they need
                found[used].append((sum(one.per_second for one in loads), each[0], each[1]))
    for used, rounds in found.items():
        speed, here, there = np.median(np.array(rounds), axis=0)
        print(
            f"{used} of 2 asked: {speed:,.0f} predictions/s; each {here:.0f} µs of a processor, "
            f"{there:.1f} of them in the database"
        )
    ratios = [two[0] / one[0] for one, two in zip(found[1], found[2], strict=True)]
    print("two against one: {1:.2f} ({0:.2f}-{2:.2f})".format(*np.percentile(ratios, (25, 50, 75))))


def _taken(servers: list[ServerProcess], database: PostgresServer) -> tuple[float, float]:
    """Return how many seconds of processors servers and database have taken, and the database alone."""
    there = processor_seconds(database.pid)
    return sum(processor_seconds(server.pid) for server in servers) + there, there


if __name__ == "__main__":
    main()
