"""Batches that several threads compute."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import engine.fast.serving.pool
from engine.fast.estimate import pass_bytes
from engine.fast.layout.gemm import Tuning
from engine.fast.plan import Plan
from engine.fast.serving.plans import PlanMemory
from engine.fast.serving.pool import PlanPool
from engine.fast.serving.splitting import Splitting, fewest
from engine.graph.network import Network
from engine.layers import Context
from engine.presets import find
from tests.engine.fast.nets import CONV, HEAD, build, drawn

DEAR = build((32, 32, 3), [{**CONV, "filters": 64}] * 3 + HEAD)
"""Two of its pictures are worth two threads."""


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many pictures each plan takes that is compiled, and the thread that does it."""
    made: list[tuple[int, int]] = []

    class Noted(Plan):
        def __init__(self, network: Network, batch: int, *given: Any, **named: Any) -> None:
            super().__init__(network, batch, *given, **named)
            made.append((batch, threading.get_ident()))

    monkeypatch.setattr(engine.fast.serving.pool, "Plan", Noted)
    return made


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, *DEAR.input_shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("preset", "size", "pictures"),
    [
        ("lenet-5", None, 16),
        ("vgg-small", None, 7),
        ("resnet-20", None, 4),
        ("mobilenet-v2", 96, 4),
        ("mobilenet-v2", 224, 2),
        ("resnet-18", 224, 2),
    ],
)
def test_the_dearer_a_picture_the_fewer_are_split(preset: str, size: int | None, pictures: int) -> None:
    found = find(preset)
    assert found is not None
    shape = None if size is None else (size, size, 3)
    assert fewest(Network.build(found.architecture(shape, classes=10))) == pictures


def test_what_reads_as_many_weights_as_it_multiplies_is_split_late() -> None:
    layers: list[dict[str, Any]] = [{"type": "flatten"}, *([{"type": "dense", "units": 4000}] * 4)]
    network = build((8, 8, 1), layers)
    assert network.multiply_adds > 40_000_000
    assert fewest(network) == 16


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 70])
def test_a_few_dear_pictures_are_split_and_stay_in_order(executor: ThreadPoolExecutor, count: int) -> None:
    weights, _ = drawn(DEAR)
    x = pictures(count)
    pool = PlanPool(DEAR, weights, Tuning(), executor, ways=2)
    wanted = DEAR.forward(weights, x.astype(np.float64), Context()).output
    np.testing.assert_allclose(pool.scores(x), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_array_equal(pool.scores(x, pool.batches(count, {})), pool.scores(x))


def test_each_thread_computes_half_by_plans_as_large_as_that(
    executor: ThreadPoolExecutor, sizes: list[tuple[int, int]]
) -> None:
    pool = PlanPool(DEAR, drawn(DEAR)[0], Tuning(), executor, ways=2)
    both = threading.Barrier(2)
    part = pool._part

    def together(x: np.ndarray, scores: np.ndarray) -> None:
        both.wait(30)
        part(x, scores)
        both.wait(30)

    pool._part = together  # type: ignore[method-assign]
    pool.scores(pictures(8))
    assert [size for size, _ in sizes] == [4, 4]
    assert len({thread for _, thread in sizes}) == 2


def test_what_other_threads_take_part_in_is_not_ready(executor: ThreadPoolExecutor) -> None:
    pool = PlanPool(DEAR, drawn(DEAR)[0], Tuning(), executor, ways=2)
    pool.scores(pictures(8))
    pool.scores(pictures(1))
    assert [pool.batches(count, {1: 1.0, 8: 1.0}) for count in (1, 2, 9)] == [(1,), (2,), (9,)]
    assert [pool.is_ready((count,)) for count in (1, 2, 8)] == [True, False, False]


def test_alone_it_leaves_nothing_to_other_threads(executor: ThreadPoolExecutor) -> None:
    pool = PlanPool(DEAR, drawn(DEAR)[0], Tuning(), executor, ways=2)
    wanted = pool.scores(pictures(8))
    executor.shutdown()
    with pytest.raises(RuntimeError):
        pool.scores(pictures(8))
    np.testing.assert_allclose(
        pool.alone().scores(pictures(8)), wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max()
    )


@pytest.mark.parametrize("ways", [1, 2])
def test_nothing_is_split_where_there_is_one_thread(ways: int, executor: ThreadPoolExecutor) -> None:
    alone = Splitting(DEAR, executor if ways == 1 else None, ways)
    assert alone.fewest == math.inf
    threads: list[int] = []
    alone.run(lambda x, scores: threads.append(threading.get_ident()), pictures(16), np.empty(16))
    assert threads == [threading.get_ident()]


def test_parts_that_nobody_has_begun_are_computed_by_who_waits_for_them(executor: ThreadPoolExecutor) -> None:
    weights, _ = drawn(DEAR)
    pool = PlanPool(DEAR, weights, Tuning(), executor, ways=2)
    wanted = pool.scores(pictures(4))
    ended = threading.Event()
    busy = executor.submit(ended.wait, 60)
    try:
        np.testing.assert_array_equal(pool.scores(pictures(4)), wanted)
        assert not busy.done()
    finally:
        ended.set()


def test_the_fault_of_any_part_is_that_of_the_batch_and_what_has_not_begun_is_dropped(
    executor: ThreadPoolExecutor,
) -> None:
    done: list[float] = []

    def compute(x: np.ndarray, scores: np.ndarray) -> None:
        done.append(x[0])
        if x[0] == fails:
            raise MemoryError(f"no room for {x[0]}")

    splitting = Splitting(DEAR, executor, 3)
    for fails in (0, 1, 2):
        with pytest.raises(MemoryError, match=f"no room for {fails}"):
            splitting.run(compute, np.arange(3), np.empty(3))
    ended = threading.Event()
    busy = executor.submit(ended.wait, 60)
    done.clear()
    fails = 0
    with pytest.raises(MemoryError):
        splitting.run(compute, np.arange(3), np.empty(3))
    ended.set()
    busy.result()
    executor.submit(int).result()  # comes after what was handed on
    assert done == [0]


def test_parts_take_plans_that_have_room_beside_each_other(
    executor: ThreadPoolExecutor, sizes: list[tuple[int, int]]
) -> None:
    most = 2 * pass_bytes(DEAR, 4, training=False)
    pool = PlanPool(DEAR, drawn(DEAR)[0], Tuning(), executor, ways=2, memory=PlanMemory(most))
    pool.scores(pictures(16))
    assert {size for size, _ in sizes} == {4}
