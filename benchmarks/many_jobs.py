"""`python -m benchmarks.many_jobs`: what a database does where a million jobs have been, and where a thousand run.

Two databases: the SQLite file of one machine, and a PostgreSQL that is started for it, from the wheel of the tests
(`make cluster-tools`). In each a million jobs lie, one of 64 of them queued. Timed, call by call: the runner claims
the next job and puts it back; a page of the list, as the call reads it, with the places of those that wait; a page of
those that wait; a page of one name. Then a thousand jobs run, of which each shows twice a second that it lives: as
many writes as there can be are made by some threads, and it is said how many workers they stand for and what one
costs the database.

Prints a line for each, and keeps nothing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from sqlalchemy import ColumnElement, func, insert, select, true, update

from app.ids import JOB, new_id
from app.jobs.forecast import places
from app.jobs.heartbeat import INTERVAL
from app.jobs.kinds import TRAINING
from app.states import JobStatus
from app.store import Store
from app.store.records import JobRecord
from app.store.tables import jobs
from benchmarks.machine import processor, processor_seconds
from tests.cluster.postgres import postgres_server

BASE = 64
"""Jobs that are made one by one; the others are copies."""
BLOCK = 65_536
"""Jobs that are copied at once."""
CALLS = 200
WORKERS = 1000
THREADS = 8
REQUEST = {
    "name": "night",
    "architecture": {"input_shape": [28, 28, 1], "layers": [{"type": "dense", "units": 10}] * 8},
    "dataset": "digits",
    "epochs": 10,
    "batch_size": 64,
}


def fill(store: Store, count: int) -> int:
    """Store at least so many jobs, and return how many: the last of 64 waits, the others have ended."""
    for _ in range(BASE):
        store.jobs.create(JobRecord(new_id(JOB), TRAINING.name, REQUEST))
    columns = jobs.c
    with store.jobs._database.write() as connection:
        newest = select(func.max(columns.id)).scalar_subquery()
        ended = {
            "status": JobStatus.SUCCEEDED,
            "started_at": columns.created_at,
            "finished_at": columns.created_at,
        }
        connection.execute(update(jobs).where(columns.id != newest).values(**ended))
    names = [column.name for column in jobs.columns]

    def copy(suffix: str, rows: ColumnElement[bool]) -> None:
        copied = [columns.id + suffix if name == "id" else columns[name] for name in names]
        with store.jobs._database.write() as connection:
            connection.execute(insert(jobs).from_select(names, select(*copied).where(rows)))

    total = BASE
    while total < min(count, BLOCK):
        copy(f".{total}", true())
        total *= 2
    # a statement that writes more at once may take longer than the database is given
    for number in range(1, -(-count // total)):
        copy(f"-{number}", ~columns.id.contains("-"))
    return total * -(-count // total)


def timed(what: str, call: Callable[[], object]) -> None:
    """Print how long a call takes."""
    call()
    taken = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    half, most = np.percentile(taken, (50, 99))
    print(f"  {what}: {half:.1f} ms, p99 {most:.1f} ms")


def claimed(store: Store) -> JobRecord:
    """Claim a job, of which there are enough."""
    job = store.jobs.claim_next([TRAINING.name])
    if job is None:
        raise SystemExit(f"use more --jobs: of {BASE} one waits, and {WORKERS} are to run")
    return job


def calls(store: Store) -> None:
    """Time the calls of runners and lists."""

    def claim() -> None:
        job = claimed(store)
        store.jobs.requeue(job.id, job.attempt)

    def page(**narrowed: object) -> None:
        found = store.jobs.page(50, kind=TRAINING.name, **narrowed).data  # type: ignore[arg-type]
        if any(job.status is JobStatus.QUEUED for job in found):
            places(store.queues.state(TRAINING.name, found), 2)

    timed("claim the next job and put it back", claim)
    timed("a page of the list", page)
    timed("a page of those that wait", lambda: page(status=JobStatus.QUEUED))
    timed("a page of one name", lambda: page(name="night"))
    timed("how many there are of each kind that have not ended", store.queues.counts)


def beats(store: Store, spent: Callable[[], float], seconds: float) -> None:
    """Have a thousand jobs show that they live, as fast as that goes."""
    running = [claimed(store) for _ in range(WORKERS)]
    until = time.perf_counter() + seconds
    made = [0] * THREADS

    def work(number: int) -> None:
        for job in itertools.cycle(running[number::THREADS]):
            if time.perf_counter() > until:
                return
            store.jobs.beat(job.id, job.attempt, {"fraction": 0.5, "step": made[number]})
            made[number] += 1

    before, begun = spent(), time.perf_counter()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate, each = sum(made) / (time.perf_counter() - begun), (spent() - before) / sum(made)
    print(
        f"  signs of life: {rate:,.0f} a second, those of {rate * INTERVAL:,.0f} workers; "
        f"one worker takes {100 * each / INTERVAL:.3f} % of a processor there"
    )


@contextmanager
def databases() -> Iterator[list[tuple[str, str | None, Callable[[], float]]]]:
    """Have both, each with its address and what tells how much of a processor it has taken."""
    with postgres_server("many") as server:
        pid = server.pid
        yield [
            ("SQLite", None, time.process_time),
            ("PostgreSQL", server.url("many"), lambda: processor_seconds(pid)),
        ]


def main() -> None:
    """Measure both databases."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_jobs", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="for which jobs show that they live")
    options = parser.parse_args()
    print(f"On {os.cpu_count()} cores of {processor()}")
    with databases() as both:
        for name, address, spent in both:
            with tempfile.TemporaryDirectory() as folder:
                store = Store(Path(folder), address)
                store.migrate()
                begun = time.perf_counter()
                count = fill(store, options.jobs)
                print(f"{name}, {count:,} jobs (stored in {time.perf_counter() - begun:.0f} s):", flush=True)
                calls(store)
                beats(store, spent, options.seconds)
                store.close()


if __name__ == "__main__":
    main()
