"""Turns, threads and memory that all computations share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import Unavailable
from app.files.budget import SMALL_BYTES, MemoryBudget
from app.pictures.bounds import Bounds
from app.serving.computing import CallerLeft, Computing

WAIT = 60


async def stays() -> None:
    await asyncio.Event().wait()


def computing(most_waiting: int = 100) -> Computing:
    return Computing(1, 1 << 30, most_waiting)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0.001)


def test_who_comes_when_too_many_wait_is_refused_and_the_others_are_served() -> None:
    async def run() -> None:
        shared, go_on = computing(most_waiting=2), threading.Event()
        leaving = asyncio.ensure_future(stays())
        calls = [asyncio.ensure_future(shared.run(lambda: go_on.wait(WAIT), leaving)) for _ in range(3)]
        await until(lambda: shared.waiting == 2)
        with pytest.raises(Unavailable, match="2 calls wait here already"):
            await shared.run(lambda: True, leaving)
        go_on.set()
        assert await asyncio.gather(*calls) == [True] * 3
        assert await shared.run(lambda: "again", leaving) == "again"
        leaving.cancel()
        shared.close()

    asyncio.run(run())


def test_nothing_is_computed_for_who_has_left_and_his_place_is_free_at_once() -> None:
    async def run() -> None:
        shared, go_on, begun = computing(), threading.Event(), []
        staying, leaving = asyncio.ensure_future(stays()), asyncio.get_running_loop().create_future()
        first = asyncio.ensure_future(shared.run(lambda: go_on.wait(WAIT), staying))
        second = asyncio.ensure_future(shared.run(lambda: begun.append(2), leaving))
        third = asyncio.ensure_future(shared.run(lambda: begun.append(3), staying))
        await until(lambda: shared.waiting == 2)
        leaving.set_result(None)
        with pytest.raises(CallerLeft):
            await second
        assert not first.done()
        go_on.set()
        await asyncio.gather(first, third)
        assert begun == [3]
        staying.cancel()
        shared.close()

    asyncio.run(run())


@pytest.mark.parametrize("when", ["waiting", "computing"])
def test_a_turn_ends_with_its_thread_whatever_becomes_of_the_call(when: str) -> None:
    async def run() -> None:
        shared, go_on, running = computing(), threading.Event(), threading.Event()
        staying = asyncio.ensure_future(stays())

        def work() -> None:
            running.set()
            go_on.wait(WAIT)

        first = asyncio.ensure_future(shared.run(work, staying))
        await until(running.is_set)
        other = asyncio.ensure_future(shared.run(lambda: None, staying))
        await until(lambda: shared.waiting == 1)
        (other if when == "waiting" else first).cancel()
        await asyncio.sleep(0.01)
        assert shared.turns.locked()  # the thread computes still
        go_on.set()
        assert await shared.run(lambda: "next", staying) == "next"
        staying.cancel()
        shared.close()

    asyncio.run(run())


def test_memory_is_held_by_no_more_than_there_is_and_one_that_needs_more_is_alone() -> None:
    budget = MemoryBudget(10 * SMALL_BYTES)
    held, most, lock = 0, 0, threading.Lock()

    def work(size: int) -> None:
        nonlocal held, most
        with budget.reserve(size):
            with lock:
                held += size
                assert held <= 10 * SMALL_BYTES or held == size
                most = max(most, held)
            with lock:
                held -= size

    sizes = [(2 + number % 7) * SMALL_BYTES for number in range(200)] + [40 * SMALL_BYTES] * 5
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, sizes))
    assert most >= 40 * SMALL_BYTES


def test_what_is_small_never_waits_for_memory() -> None:
    budget = MemoryBudget(1)
    with budget.reserve(100 * SMALL_BYTES), budget.reserve(SMALL_BYTES):
        pass


def test_a_thread_that_holds_memory_gets_more_at_once() -> None:
    budget = MemoryBudget(3 * SMALL_BYTES)
    both = threading.Barrier(2, timeout=WAIT)

    def work(_: int) -> None:
        with budget.reserve(SMALL_BYTES + 1):
            both.wait()  # neither has room for what it needs next while the other holds its own
            with budget.reserve(2 * SMALL_BYTES):
                pass

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))
    with budget.reserve(3 * SMALL_BYTES):  # all of it was given back
        pass


def test_who_is_waited_for_no_more_gives_the_memory_back_at_once() -> None:
    budget = MemoryBudget(SMALL_BYTES)

    def gone() -> None:
        raise TimeoutError

    bounds = Bounds(1, budget, gone)
    with pytest.raises(TimeoutError), bounds.reserve(SMALL_BYTES):
        raise AssertionError("it has begun")
    taken = threading.Thread(target=lambda: budget.reserve(SMALL_BYTES).__enter__())
    taken.start()
    taken.join(WAIT)
    assert not taken.is_alive()
