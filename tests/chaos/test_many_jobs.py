"""Ten thousand jobs wait while servers and workers are killed: none is lost, none is done twice, lists stay quick."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from app.care.check import check
from app.cli.launch import ServerProcess
from app.files.artifacts import LocalArtifacts
from app.files.locks import is_locked, read_holder
from app.ids import JOB, new_id
from app.jobs.kinds import TRAINING
from app.jobs.leftovers import ALONE, remove_leftovers
from app.states import JobStatus
from app.store import Store
from app.store.database import DATABASE_NAME
from app.store.records import JobRecord
from benchmarks.crowd import weigh
from tests.care.installation import at
from tests.conftest import DEADLINE, connect, wait_for
from tests.http.several import TRAINING as REQUEST
from tests.http.several import submit

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

SETTINGS = {"BUILTIN_MODELS": "false", "CORES": "1", "MAX_JOBS": "2"}
LIST = 0.05
"""Seconds that a page of the list may take, the quickest of fifty: a machine that others share is slow at times."""
CALLS = 50
READY = 2.0
"""Seconds within which a server is ready, on a machine that has nothing else to do."""

Times = Callable[[int, int], int]
Record = Callable[[str, Any], None]


def kill_workers(data_dir: Path) -> None:
    for lock in data_dir.glob("jobs/*/lock"):
        pid = read_holder(lock)
        if pid is not None and is_locked(lock):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_none_is_lost_and_none_done_twice(
    tmp_path: Path, times: Times, chance: random.Random, record_property: Record
) -> None:
    count = times(10_000, 200)
    server = ServerProcess(tmp_path / "data", tmp_path / "log", SETTINGS)
    with connect(server.start()) as http:
        template = submit(http, REQUEST)
    server.kill()
    kill_workers(server.data_dir)
    store = Store(server.data_dir)
    request, dataset = store.jobs.get(template).request, store.jobs.get(template).dataset_id
    jobs = [JobRecord(new_id(JOB), TRAINING.name, request, dataset_id=dataset) for _ in range(count - 1)]
    with ThreadPoolExecutor(1) as pool:
        made = {template, *(job.id for job in pool.map(store.jobs.create, jobs))}
    slowest, starts, work = 0.0, [], []
    restarts = times(10, 2)
    for _ in range(restarts):
        began = time.monotonic()
        url = server.start(DEADLINE)
        starts.append(time.monotonic() - began)
        work.append(weigh(server.pid).processor)
        with connect(url) as http:
            until = time.monotonic() + chance.uniform(1.0, 4.0)
            while time.monotonic() < until:
                began = time.monotonic()
                page = http.get("/v1/training-jobs?limit=50").json()["data"]
                took = time.monotonic() - began
                slowest = max(slowest, took)
                assert page
                time.sleep(0.1)
        server.kill()
        if chance.random() < 0.5:
            kill_workers(server.data_dir)
    with server as url, connect(url) as http:
        before = weigh(server.pid).processor
        quick = min(_seconds(lambda: http.get("/v1/training-jobs?limit=50")) for _ in range(CALLS))
        each = (weigh(server.pid).processor - before) / CALLS
        wait_for(lambda: _ends(server.data_dir)["succeeded"] > restarts, "some jobs that have ended")
    with closing(sqlite3.connect(server.data_dir / DATABASE_NAME)) as database:
        rows = dict(database.execute("SELECT id, status FROM jobs WHERE builtin = 0"))
        query = "SELECT model_id FROM jobs WHERE model_id IS NOT NULL AND builtin = 0"
        models = [model for (model,) in database.execute(query)]
        trained = database.execute("SELECT count(*) FROM models WHERE builtin = 0").fetchone()[0]
    assert set(rows) == made
    ended = Counter(rows.values())
    assert set(ended) <= {"queued", "succeeded"}, ended
    assert len(models) == len(set(models)) == trained == ended["succeeded"]
    # as the next start does
    remove_leftovers(store, LocalArtifacts(server.data_dir), ALONE)
    store.close()
    assert check(at(server.data_dir)).findings == []
    record_property("jobs queued:", f"{count}, {restarts} restarts, {ended['succeeded']} done, each once")
    record_property(
        "a page of the list in ms:",
        f"{quick * 1000:.0f}, {each * 1000:.0f} of the processor, at most {slowest * 1000:.0f} while jobs run",
    )
    record_property(
        "seconds until a server was ready again beside them:",
        f"{min(starts):.1f}, {min(work):.1f} of the processor, in half of the cases {statistics.median(starts):.1f}",
    )
    assert quick < 10 * LIST
    assert min(starts) < 10 * READY


def test_each_is_claimed_once(tmp_path: Path, times: Times, record_property: Record) -> None:
    """Two processes that both believe that the queue is theirs share it."""
    count = times(10_000, 200)
    stores = [Store(tmp_path / "data") for _ in range(2)]
    stores[0].migrate()
    made = {
        stores[0].jobs.create(JobRecord(new_id(JOB), TRAINING.name, {"epochs": 1})).id for _ in range(count)
    }

    def drain(store: Store) -> list[str]:
        done = []
        while (job := store.jobs.claim_next([TRAINING.name])) is not None:
            store.jobs.succeed(job.id, job.attempt)
            done.append(job.id)
        return done

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(drain, stores)
    assert sorted([*first, *second]) == sorted(made)
    assert all(stores[0].jobs.get(job).status is JobStatus.SUCCEEDED for job in made)
    for store in stores:
        store.close()
    record_property("jobs claimed once by two:", f"{len(first)} and {len(second)}")


def _seconds(call: Callable[[], Any]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def _ends(data_dir: Path) -> Counter[str]:
    with closing(sqlite3.connect(data_dir / DATABASE_NAME)) as database:
        return Counter(status for (status,) in database.execute("SELECT status FROM jobs WHERE builtin = 0"))
