"""Folded, pooled inference against the plain executor."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import engine.fast.plan
import engine.fast.serving.pool
from engine.fast.estimate import pass_bytes
from engine.fast.kernels.fold import fold
from engine.fast.layout.gemm import Tuning
from engine.fast.plan import Plan
from engine.fast.serving.plans import PlanMemory
from engine.fast.serving.pool import PlanPool
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import Context

CONV = {"type": "conv2d", "filters": 16, "padding": "same"}
NORM = {"type": "batch_norm"}
LAYERS = [
    {**CONV, "bias": False},
    {**NORM, "activation": "relu"},
    {"type": "residual", "layers": [CONV, {**NORM, "activation": "relu"}, {**CONV, "bias": False}, NORM]},
    {"type": "residual", "layers": [{**CONV, "stride": 2}, NORM], "shortcut": "projection"},
    NORM,
    {"type": "flatten"},
    {"type": "dense", "units": 5},
]


def network() -> tuple[Network, dict[str, np.ndarray]]:
    """Return a network whose running statistics are not those of the start."""
    built = Network.build(Architecture.model_validate({"input_shape": [8, 8, 3], "layers": LAYERS}))
    draw = np.random.default_rng(0)
    weights = built.initial_weights(1)
    for name, weight in weights.items():
        if "batch_norm" in name:
            weight[...] = draw.uniform(0.5, 1.5, weight.shape)
    return built, weights


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 8, 8, 3)).astype(np.float32)


def test_folding_changes_no_prediction_and_leaves_the_weights_alone() -> None:
    plain, weights = network()
    before = {name: weight.copy() for name, weight in weights.items()}
    folded, inner = fold(plain, weights)
    left = [node.name for node in folded.nodes if node.layer.type == "batch_norm"]
    assert left == ["batch_norm_2"]  # after a sum there is no convolution to fold into
    assert set(inner) == set(folded.weight_specs)
    x = pictures(3)
    np.testing.assert_allclose(
        folded.forward(inner, x, Context()).output,
        plain.forward(weights, x, Context()).output,
        rtol=1e-4,
        atol=1e-4,
    )
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, before[name])


def test_a_convolution_with_a_second_reader_is_not_folded() -> None:
    layers = [{**CONV, "name": "c"}, NORM, {"type": "add", "inputs": ["c", "batch_norm_1"]}]
    built = Network.build(Architecture.model_validate({"input_shape": [4, 4, 2], "layers": layers}))
    assert len(fold(built, built.initial_weights(0))[0].nodes) == 3


@pytest.mark.parametrize("count", [1, 7, 8, 9, 45])
def test_a_pool_serves_batches_of_any_size(count: int) -> None:
    plain, weights = network()
    x = pictures(count)
    scores = PlanPool(plain, weights, Tuning()).scores(x)
    np.testing.assert_allclose(scores, plain.forward(weights, x, Context()).output, rtol=1e-4, atol=1e-4)


def test_a_prediction_does_not_depend_on_what_else_is_served() -> None:
    plain, weights = network()
    pool = PlanPool(plain, weights, Tuning())
    batches = [pictures(1 + number % 11) for number in range(40)]
    expected = [pool.scores(batch) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        for found, wanted in zip(threads.map(pool.scores, batches), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.fixture
def built_plans(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[weakref.ref[Plan]]]:
    """All plans that pools have compiled."""
    made: list[weakref.ref[Plan]] = []

    class Noted(Plan):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(weakref.ref(self))

        def scores(self, x: np.ndarray) -> np.ndarray:
            time.sleep(0.01)  # the other requests come meanwhile
            return super().scores(x)

    monkeypatch.setattr(engine.fast.serving.pool, "Plan", Noted)
    return made


def at_once(pool: PlanPool, batches: list[np.ndarray]) -> list[np.ndarray]:
    """Return the scores of batches that are all asked for at the same moment."""
    barrier = threading.Barrier(len(batches))

    def ask(batch: np.ndarray) -> np.ndarray:
        barrier.wait(30)
        return pool.scores(batch)

    with ThreadPoolExecutor(len(batches)) as threads:
        return list(threads.map(ask, batches))


def test_requests_beyond_the_processors_wait_for_a_plan(built_plans: list[weakref.ref[Plan]]) -> None:
    plain, weights = network()
    pool = PlanPool(plain, weights, Tuning())
    batches = [pictures(8) for _ in range(16)]
    wanted = PlanPool(plain, weights, Tuning()).scores(batches[0])
    built_plans.clear()
    for scores in at_once(pool, batches):
        np.testing.assert_array_equal(scores, wanted)
    assert 1 <= len(built_plans) <= 2


def test_plans_hold_no_more_memory_than_they_may(built_plans: list[weakref.ref[Plan]]) -> None:
    """Idle plans of other sizes go first; one plan always has room."""
    plain, weights = network()
    most = pass_bytes(plain, 32, training=False)
    pool = PlanPool(plain, weights, Tuning(), memory=PlanMemory(most))
    batches = [pictures(count) for count in (32, 16, 8, 1, 32, 16, 1, 8)]
    unbounded = PlanPool(plain, weights, Tuning())
    wanted = [unbounded.scores(batch) for batch in batches]
    for scores, expected in zip(at_once(pool, batches), wanted, strict=True):
        np.testing.assert_array_equal(scores, expected)
    del unbounded
    built_plans[:4] = []
    gc.collect()
    assert sum(plan.bytes for seen in built_plans if (plan := seen()) is not None) <= most
    small = PlanPool(plain, weights, Tuning(), memory=PlanMemory(1))
    np.testing.assert_array_equal(small.scores(batches[0]), wanted[0])


def test_models_share_the_memory_of_their_plans_and_the_one_used_longest_ago_loses_its_own(
    built_plans: list[weakref.ref[Plan]],
) -> None:
    plain, weights = network()
    memory = PlanMemory(2 * pass_bytes(plain, 8, training=False))
    pools = [PlanPool(plain, weights, Tuning(), memory=memory) for _ in range(3)]
    wanted = PlanPool(plain, weights, Tuning()).scores(pictures(8))
    built_plans.clear()
    for number in (0, 1, 0, 2, 0):
        np.testing.assert_array_equal(pools[number].scores(pictures(8)), wanted)
    # the first pool kept the plan that it was always the last or the last but one to use
    assert len(built_plans) == 3
    assert [pool.is_ready((8,)) for pool in pools] == [True, False, True]
    assert sum(plan.bytes for seen in built_plans if (plan := seen()) is not None) <= memory.most_bytes


def test_plans_end_with_their_model(built_plans: list[weakref.ref[Plan]]) -> None:
    plain, weights = network()
    memory = PlanMemory(pass_bytes(plain, 8, training=False))
    first, second = (PlanPool(plain, weights, Tuning(), memory=memory) for _ in range(2))
    first.scores(pictures(8))
    del first
    assert built_plans[0]() is None
    assert len(memory.members) == 1
    assert np.isfinite(second.scores(pictures(8))).all()


def test_a_plan_that_finds_no_memory_leaves_its_turn_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, weights = network()
    pool = PlanPool(plain, weights, Tuning())
    with monkeypatch.context() as patched:
        patched.setattr(engine.fast.plan, "Arena", None)
        for _ in range(3):
            with pytest.raises(TypeError):
                pool.scores(pictures(1))
    assert np.isfinite(pool.scores(pictures(1))).all()


def test_what_is_left_over_is_computed_by_a_plan_for_several(built_plans: list[weakref.ref[Plan]]) -> None:
    plain, weights = network()
    one_by_one = PlanPool(plain, weights, Tuning())
    pool = PlanPool(plain, weights, Tuning())
    built_plans.clear()
    for count in (8, 5, 2, 13):
        found = pool.scores(pictures(count), pool.batches(count, {1: 1.0, 8: 1.5}))
        expected = np.concatenate([one_by_one.scores(picture[None]) for picture in pictures(count)])
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert [plan.batch for seen in built_plans if (plan := seen()) is not None] == [8, 1]
    assert [pool.batches(count, {1: 1.0, 8: 4.5}) for count in (1, 4, 5, 11, 13)] == [
        (1,),
        (1,) * 4,
        (8,),
        (8, 1, 1, 1),
        (8, 8),
    ]
    assert [pool.is_ready(batches) for batches in [(8,), (1,), (8, 8), (16,)]] == [True, False, True, False]


def test_layers_without_a_step_keep_nothing_of_a_request() -> None:
    layers = [{"type": "layer_norm"}, {"type": "gelu"}, {"type": "flatten"}, {"type": "dense", "units": 2}]
    built = Network.build(Architecture.model_validate({"input_shape": [128, 128, 3], "layers": layers}))
    pool = PlanPool(built, built.initial_weights(0), Tuning())
    x = np.ones((1, 128, 128, 3), np.float32)
    pool.scores(x)
    tracemalloc.start()
    try:
        pool.scores(x)
        assert tracemalloc.get_traced_memory()[0] < x.nbytes / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [1, 15, 16, 33, 70])
def test_large_batches_are_split_over_threads_and_stay_in_order(count: int) -> None:
    built, weights = network()
    x = pictures(count)
    with ThreadPoolExecutor(2) as executor:
        split = PlanPool(built, weights, Tuning(), executor, ways=3).scores(x)
    np.testing.assert_allclose(split, PlanPool(built, weights, Tuning()).scores(x), rtol=1e-4, atol=1e-5)


def test_maps_of_several_tiles_are_written_where_the_next_convolution_reads_them() -> None:
    layers = [{**CONV, "activation": "relu"}] * 3 + [{"type": "flatten"}, {"type": "dense", "units": 2}]
    built = Network.build(Architecture.model_validate({"input_shape": [16, 16, 16], "layers": layers}))
    weights = built.initial_weights(0)
    plan = Plan(built, 8, Tuning(tile_bytes=1 << 15), training=False)
    plan.prepare(weights)
    assert plan.choices["conv2d_1"] == "winograd/2 relu"
    copied = [call for call in plan._calls if getattr(call, "func", None) is np.copyto]
    assert not copied
    x = np.random.default_rng(0).standard_normal((8, 16, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(
        plan.scores(x), built.forward(weights, x, Context()).output, rtol=1e-4, atol=1e-4
    )
