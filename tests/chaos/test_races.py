"""What many do at the same moment ends in one of the ways in which it could have happened one after another."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import Conflict, StaleAttempt
from app.ids import JOB, new_id
from app.jobs.kinds import TRAINING
from app.states import JobStatus
from app.store import Store
from app.store.records import JobRecord
from tests.conftest import connect

Times = Callable[[int, int], int]
Record = Callable[[str, Any], None]


@contextmanager
def two_stores(folder: Path) -> Iterator[tuple[Store, Store]]:
    """Open one database twice, as a server and its worker do."""
    first = Store(folder / "data")
    first.migrate()
    second = Store(folder / "data")
    try:
        yield first, second
    finally:
        first.close()
        second.close()


def test_cancel_against_completion(
    tmp_path: Path, times: Times, chance: random.Random, record_property: Record
) -> None:
    """Whoever is second is refused: an answer of success stays one, and what is cancelled never succeeds later."""
    error = {"code": "non_finite", "message": "the loss is not finite"}
    ends: Counter[str] = Counter()
    with two_stores(tmp_path) as (server, worker), ThreadPoolExecutor(3) as pool:
        ways: dict[str, Callable[[str], object]] = {
            "succeed": lambda job: worker.jobs.succeed(job, 1),
            "fail": lambda job: worker.jobs.fail(job, 1, error),
            "requeue": lambda job: worker.jobs.requeue(job, 1),
            "lost": lambda job: server.jobs.lost(job, 1),
            "request_cancel": server.jobs.request_cancel,
        }
        for _ in range(times(1000, 25)):
            job = server.jobs.create(JobRecord(new_id(JOB), TRAINING.name, {"epochs": 1})).id
            assert server.jobs.claim_next([TRAINING.name]) is not None
            chosen = ["request_cancel", *chance.choices(list(ways), k=2)]
            chance.shuffle(chosen)
            together = threading.Barrier(len(chosen))

            def do(name: str, job: str = job, together: threading.Barrier = together) -> str | None:
                together.wait()
                try:
                    ways[name](job)
                except (Conflict, StaleAttempt):
                    return None
                return name

            done = {name for name in pool.map(do, chosen) if name}
            found = server.jobs.get(job)
            assert "request_cancel" in done or found.status.finished
            expected = _possible(done)
            assert found.status in expected, (chosen, done, found.status)
            assert (found.finished_at is not None) == found.status.finished
            if found.status is JobStatus.CANCELLING:
                worker.jobs.cancelled(job, 1)
                found = server.jobs.get(job)
            if found.status.finished:
                with pytest.raises(StaleAttempt):
                    worker.jobs.succeed(job, 1)
                assert server.jobs.get(job) == found
            ends[str(found.status)] += 1
            with suppress(Conflict):
                server.jobs.request_cancel(job)
        assert server.jobs.active() == ()
    record_property("races of cancel:", ", ".join(f"{count} {end}" for end, count in sorted(ends.items())))


def _possible(done: set[str]) -> set[JobStatus]:
    """Return how a job can be after calls that were all answered with success."""
    if "succeed" in done:
        return {JobStatus.SUCCEEDED}
    if done == {"request_cancel"}:
        return {JobStatus.CANCELLING}
    if "fail" in done:
        # cancelled, if that was asked for before
        return {JobStatus.FAILED, JobStatus.CANCELLED} if "request_cancel" in done else {JobStatus.FAILED}
    return {JobStatus.CANCELLED} if "request_cancel" in done else {JobStatus.QUEUED}


def test_identical_posts_with_one_key(server: str, times: Times, record_property: Record) -> None:
    count, address = times(100, 100), "/v1/architectures"
    body = {"name": "posted-once", "input_shape": [4, 4, 1], "layers": [{"type": "flatten"}]}
    with connect(server) as http, ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(
                lambda _: http.post(address, json=body, headers={"Idempotency-Key": "a-hundred"}),
                range(count),
            )
        )
        made = [entry for entry in _all(http, address) if entry["name"] == "posted-once"]
    assert len(made) == 1
    good = [answer for answer in answers if answer.status_code == 201]
    assert {answer.json()["id"] for answer in good} == {made[0]["id"]}
    assert sum("idempotent-replayed" not in answer.headers for answer in good) == 1
    others = [answer for answer in answers if answer.status_code != 201]
    assert {(answer.status_code, answer.json()["type"]) for answer in others} <= {
        (409, "/problems/idempotency-key-in-use")
    }
    record_property("identical POSTs:", f"{count}, 1 thing made, {len(good)} answered alike")


def _all(http: httpx.Client, address: str) -> Iterator[dict[str, Any]]:
    query: dict[str, Any] = {"limit": 200}
    while True:
        page = http.get(address, params=query).json()
        yield from page["data"]
        if page["next"] is None:
            return
        query["after"] = page["next"]
