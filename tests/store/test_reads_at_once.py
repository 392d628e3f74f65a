"""Many who ask for the same row at once have it read once, and never as it was before they asked."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.errors import NotFound
from app.store import Store
from app.store.records import JobRecord
from app.web.answers.stored import SMALL_BYTES, is_small, stored
from tests.store.databases import heard, only_sqlite


@pytest.fixture(autouse=True)
def job(store: Store) -> None:
    heard(store)
    store.jobs.create(JobRecord("job_1", "training", {"name": "a"}))


class Gate:
    """Lets reads begin, and end when it is opened."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.open = threading.Event()
        inner = type(store.jobs).get

        def get(jobs: object, identifier: str) -> JobRecord:
            self.begun += 1
            record: JobRecord = inner(store.jobs, identifier)
            self.open.wait(60)
            return record

        get.reads = inner.reads  # type: ignore[attr-defined]
        monkeypatch.setattr(type(store.jobs), "get", get)


async def until_read(gate: Gate, count: int) -> None:
    async with asyncio.timeout(60):
        while gate.begun < count:
            await asyncio.sleep(0.01)


@only_sqlite  # elsewhere a notice of what was written before may still come
def test_a_row_is_read_once_for_all_who_ask_while_nothing_changes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(store, monkeypatch)

    async def ask() -> None:
        asked = [asyncio.create_task(stored(store, store.jobs.get, "job_1")) for _ in range(100)]
        await until_read(gate, 1)
        await asyncio.to_thread(store.jobs.create, JobRecord("job_2", "training", {"name": "b"}))
        later = [asyncio.create_task(stored(store, store.jobs.get, "job_1")) for _ in range(100)]
        await until_read(gate, 2)
        asked[0].cancel()  # whoever goes takes the answer from nobody
        gate.open.set()
        found = await asyncio.gather(*asked[1:], *later)
        assert {record.id for record in found} == {"job_1"}
        await stored(store, store.jobs.get, "job_1")

    asyncio.run(ask())
    assert gate.begun == 2
    assert not store.cache.reading


def test_all_are_told_what_went_wrong_and_nothing_is_kept_of_it(store: Store) -> None:
    async def ask() -> None:
        asked = [asyncio.create_task(stored(store, store.jobs.get, "job_9")) for _ in range(3)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [NotFound] * 3
        await asyncio.to_thread(store.jobs.create, JobRecord("job_9", "training", {"name": "c"}))
        assert (await stored(store, store.jobs.get, "job_9")).id == "job_9"

    asyncio.run(ask())


def test_what_is_no_longer_kept_is_small_all_the_same(store: Store) -> None:
    """Where rows change all the time what was read has often been let go when its answer is made."""

    async def ask() -> None:
        read = store.jobs.get
        found = await stored(store, read, "job_1")
        await asyncio.to_thread(store.jobs.create, JobRecord("job_2", "training", {"name": "b"}))
        assert store.cache.find(read, "job_1") is None
        assert store.cache.size(read, "job_1") is None
        assert is_small(store, found, read, "job_1")
        long = JobRecord("job_1", "training", {"name": "a" * SMALL_BYTES})
        assert not is_small(store, long, read, "job_1")

    asyncio.run(ask())
