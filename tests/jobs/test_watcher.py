"""Jobs are looked at once for all who follow them, and whoever is slow neither fills the memory nor misses anything."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from app.jobs.kinds import EVALUATION, TRAINING
from app.jobs.watcher import LOOK, TOGETHER, Changed, Gone, Happening, News, State, Wanted, Watcher
from app.store import Store
from app.store.news import JobEvent
from app.store.records import JobRecord

ALL = Wanted()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    made.migrate()
    yield made
    made.close()


def queue(store: Store, kind: str = TRAINING.name) -> str:
    number = len(store.jobs.identifiers())
    return store.jobs.create(JobRecord(f"job_{number}", kind, {"name": "a"})).id


def run(store: Store) -> str:
    job = queue(store)
    claimed = store.jobs.claim_next([TRAINING.name])
    assert claimed is not None
    return job


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.01)


async def one_by_one(
    happenings: AsyncGenerator[Sequence[Happening], None],
) -> AsyncGenerator[Happening, None]:
    async with aclosing(happenings):
        async for together in happenings:
            for news in together:
                yield news


class Reader:
    """Follows in a task of its own, and keeps what it gets."""

    def __init__(self, watcher: Watcher, wanted: Wanted = ALL, after: int = 0) -> None:
        self.got: list[object] = []
        self._task = asyncio.create_task(self._read(watcher, wanted, after))

    async def _read(self, watcher: Watcher, wanted: Wanted, after: int) -> None:
        async for news in one_by_one(watcher.follow(wanted, after, quiet_seconds=0.05)):
            self.got.append(news)

    @property
    def events(self) -> list[JobEvent]:
        return [news.of for news in self.got if isinstance(news, News) and isinstance(news.of, JobEvent)]

    async def end(self) -> None:
        await asyncio.wait_for(self._task, 120)


def test_all_who_follow_cost_one_look(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = store.news.look
    monkeypatch.setattr(
        store.news, "look", lambda after, job_ids: (looks.append(after), look(after, job_ids))[1]
    )
    stopped = False

    async def follow(number: int) -> int:
        nonlocal stopped
        stopped = False
        watcher = Watcher(store, lambda: stopped)
        after = store.news.counter()
        readers = [Reader(watcher, after=after) for _ in range(number)]
        await until(lambda: len(watcher._followers) == number and looks)
        # nothing happens, and sooner or later nothing is read
        async with asyncio.timeout(120):
            while looks:
                looks.clear()
                await asyncio.sleep(3 * LOOK)
        for count in range(1, 6):
            await asyncio.to_thread(queue, store)
            await until(lambda count=count: all(len(reader.events) == count for reader in readers))
        found = len(looks)
        # what is written is one object for all
        written = {id(news) for reader in readers for news in reader.got if isinstance(news, News)}
        assert len(written) == 5
        stopped = True
        for reader in readers:
            await reader.end()
        assert not watcher._followers
        return found

    # one for each change, or some more while the database does not say at once whether anything has changed; were it
    # one for each who follows, it would be a thousand
    for number in (1, 200):
        assert 5 <= asyncio.run(follow(number)) < 100


def test_others_have_their_turn_while_many_are_told(store: Store) -> None:
    number, turn = 10 * TOGETHER, 0
    told: Counter[int] = Counter()

    async def follow() -> None:
        nonlocal turn
        stopped = False
        watcher = Watcher(store, lambda: stopped)

        class Noting(Reader):
            async def _read(self, watcher: Watcher, wanted: Wanted, after: int) -> None:
                async for _ in one_by_one(watcher.follow(wanted, after, quiet_seconds=600)):
                    told[turn] += 1

        after = store.news.counter()
        readers = [Noting(watcher, after=after) for _ in range(number)]
        await until(lambda: len(watcher._followers) == number)
        await asyncio.sleep(3 * LOOK)  # what there was before has been told
        told.clear()
        await asyncio.to_thread(queue, store, EVALUATION.name)
        while told.total() < number or told[turn - 1]:
            turn += 1
            await asyncio.sleep(0)
        stopped = True
        for reader in readers:
            await reader.end()

    asyncio.run(follow())
    assert max(told.values()) <= 3 * TOGETHER  # the event, the state of the job, and how many jobs there are


def test_a_slow_reader_misses_nothing_and_little_waits_for_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, epochs = 20, 100
    monkeypatch.setattr("app.jobs.watcher.MOST_WAITING", most)
    monkeypatch.setattr("app.store.news.MOST", 30)

    async def follow() -> None:
        watcher = Watcher(store, lambda: False)
        job = run(store)
        quick = Reader(watcher)
        slow = one_by_one(watcher.follow(ALL, 0, quiet_seconds=60))
        got = [await anext(slow)]
        await until(lambda: len(quick.events) == 2)
        for epoch in range(1, epochs + 1):
            store.jobs.record_epoch(job, 1, {"epoch": epoch})
            if epoch % 10 == 0:
                store.jobs.beat(job, 1, {"fraction": epoch})
                await until(lambda epoch=epoch: len(quick.events) == 2 + epoch)
                assert all(len(one.events) <= most for one in watcher._followers)
                assert all(len(one.progress) <= 1 for one in watcher._followers)
        store.jobs.succeed(job, 1)
        async for news in slow:
            if isinstance(news, News) and isinstance(news.of, JobEvent):
                got.append(news)
                if news.of.kind == "end":
                    break
        events = [news.of for news in got if isinstance(news, News)]
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert len(events) == 2 + epochs + 2
        await slow.aclose()
        await until(lambda: len(watcher._followers) == 1)

    asyncio.run(follow())


def test_each_gets_what_it_wants(store: Store) -> None:
    async def follow() -> None:
        stopped = False
        watcher = Watcher(store, lambda: stopped)
        first, other = queue(store), queue(store, EVALUATION.name)
        named = Reader(watcher, Wanted(frozenset({first, "job_gone"})))
        kind = Reader(watcher, Wanted(kinds=frozenset({EVALUATION.name})))
        await until(lambda: named.events and kind.events and Gone("job_gone") in named.got)
        later = queue(store, EVALUATION.name)
        store.jobs.request_cancel(first)
        await until(lambda: len(named.events) == 3 and len(kind.events) == 2)
        assert {event.job_id for event in named.events} == {first}
        assert [event.job_id for event in kind.events] == [other, later]
        stopped = True
        await named.end()
        await kind.end()

    asyncio.run(follow())


def test_of_very_many_jobs_it_is_told_that_the_list_is_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 5
    monkeypatch.setattr("app.jobs.watcher.MOST_WAITING", most)

    async def follow() -> None:
        watcher = Watcher(store, lambda: False)
        queue(store)
        quick = Reader(watcher)
        slow = one_by_one(watcher.follow(ALL, store.news.counter(), quiet_seconds=60))
        first = asyncio.ensure_future(anext(slow))
        await until(lambda: len(watcher._followers) == 2)
        names = [queue(store) for _ in range(2)]
        got = [await first]
        for _ in range(2 * most):
            names.append(await asyncio.to_thread(queue, store))
            await until(lambda: len(quick.events) == 1 + len(names))
            assert all(len(one.moved) <= most for one in watcher._followers)
        while not any(isinstance(news, Changed) for news in got):
            got.append(await anext(slow))
        assert got[-1] == Changed(("jobs",))
        # who reads has had each, as an object of all, and each once
        moved = [news.of for news in quick.got if isinstance(news, State) and isinstance(news.of, JobRecord)]
        assert [job.id for job in moved if job.id in names] == names
        await slow.aclose()

    asyncio.run(follow())


def test_a_state_is_written_once_also_when_who_asked_first_has_left(store: Store) -> None:
    async def ask() -> None:
        begun, go_on = threading.Event(), threading.Event()
        times: list[object] = []

        def write(of: object) -> bytes:
            times.append(of)
            begun.set()
            assert go_on.wait(60)
            return b"written"

        state = State({})
        readers = [asyncio.create_task(state.written(write)) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 60)
        readers[0].cancel()
        go_on.set()
        assert await asyncio.gather(*readers[1:]) == [b"written", b"written"]
        assert times == [{}]

    asyncio.run(ask())
