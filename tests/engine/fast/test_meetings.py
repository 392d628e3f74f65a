"""Sums over shares: of any size, and composed with what adds up further out, such as other machines."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.execution.protocol import PlainExecution
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.mapped import Layout, Meeting, create
from engine.fast.parallel.parts import ShareLost, bounds
from engine.fast.parallel.processes import ProcessExecution
from engine.fast.parallel.setup import Setup
from engine.fast.parallel.share import Outer, total, whole
from engine.fast.parallel.threads import ThreadExecution
from engine.inputs.batch import Batch
from engine.inputs.preparation import Preparation
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.recipe.losses import SoftmaxCrossEntropy
from engine.training.loop import one_hot
from tests.engine.fast.nets import build

SHARES = 3


@pytest.fixture
def meetings() -> list[Meeting]:
    """Those of all shares, in one mapped file."""
    layout = Layout()
    Meeting.lay_out(layout, SHARES)
    file = create(layout.bytes)
    arrays = layout.arrays(mmap.mmap(file, layout.bytes))
    os.close(file)
    return [Meeting(arrays, share, lambda: False) for share in range(SHARES)]


def together(work: Callable[[int], Any], count: int) -> list[Any]:
    """Do something for each number, all at once."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(work, range(count)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1,), (2, 65), (4096,), (4097,), (3, 300_001)])
def test_sums_of_any_size(meetings: list[Meeting], shape: tuple[int, ...], dtype: type) -> None:
    draw = np.random.default_rng(0)
    parts = [draw.standard_normal((SHARES, *shape)).astype(dtype) for _ in range(3)]

    def take_part(share: int) -> list[np.ndarray]:
        reduce = meetings[share].reducer(SHARES)
        return [reduce(part[share]) for part in parts]

    for _ in range(2):
        meetings[0].begin()
        for found in together(take_part, SHARES):
            for summed, part in zip(found, parts, strict=True):
                np.testing.assert_array_equal(summed, part[0] + part[1] + part[2])


def test_more_sums_than_a_counter_counts_to_with_shares_left_out_between(meetings: list[Meeting]) -> None:
    def sums(shares: int, times: int) -> None:
        meetings[0].begin()

        def take_part(share: int) -> None:
            reduce = meetings[share].reducer(shares)
            for number in range(times):
                expected = float(sum(10 * number + other for other in range(shares)))
                assert reduce(np.array([10.0 * number + share]))[0] == expected

        together(take_part, shares)

    sums(3, 700)
    sums(2, 130)  # the third stays where it was, just behind and just ahead of the others' counts
    sums(3, 5)
    sums(2, 300)
    sums(3, 600)


def test_who_waits_for_what_will_not_come_is_woken(meetings: list[Meeting]) -> None:
    meetings[0].begin()

    def take_part(share: int) -> None:
        reduce = meetings[share].reducer(SHARES)
        if share == SHARES - 1:
            meetings[share].abandon()
            return
        with pytest.raises(ShareLost):
            reduce(np.ones(3))

    together(take_part, SHARES)
    test_sums_of_any_size(meetings, (5,), np.float64)


@pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="only Linux has files that are nothing but memory"
)
def test_what_processes_share_is_on_no_disk() -> None:
    file = create(10_000)
    try:
        assert Path(f"/proc/self/fd/{file}").readlink().name.startswith("memfd:")
        assert os.fstat(file).st_size == 10_000
        assert os.fstat(file).st_blocks * 512 >= 10_000
    finally:
        os.close(file)


def test_on_a_system_without_such_files_it_is_one_without_a_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    file = create(3_000_000, tmp_path)
    try:
        assert not list(tmp_path.iterdir())
        memory = mmap.mmap(file, 3_000_000)
        memory[-1] = 7
        assert os.pread(file, 1, 2_999_999) == b"\x07"
        memory.close()
    finally:
        os.close(file)
    with pytest.raises(OSError, match="nowhere"):
        create(1, tmp_path / "nowhere")


NETWORK = build(
    (6, 6, 3),
    [
        {"type": "conv2d", "filters": 16, "padding": "same", "bias": False},
        {"type": "batch_norm", "activation": "relu"},
        {"type": "batch_norm"},  # behind no convolution
        {"type": "flatten"},
        {"type": "dense", "units": 4},
        {"type": "batch_norm"},  # of vectors, by the layer itself
    ],
)
LOSS = SoftmaxCrossEntropy()
PREPARATION = Preparation(preprocessing=Preprocessing(mean=(0.5,) * 3, deviation=(0.3,) * 3))
PICTURES = 10


def setup(shares: int) -> Setup:
    return Setup(NETWORK, LOSS, PREPARATION, Tuning(), shares, PICTURES)


@pytest.fixture(params=["threads", "processes", "one share"])
def machines(request: pytest.FixtureRequest) -> Iterator[list[Any]]:
    """Two executions, as two machines have them."""
    if request.param == "processes":
        made: list[Any] = [ProcessExecution(setup(2)) for _ in range(2)]
    else:
        shares = 2 if request.param == "threads" else 1
        made = [ThreadExecution(setup(shares)) for _ in range(2)]
    yield made
    for execution in made:
        execution.close()


class Between:
    """Adds up over machines, here threads, in their order."""

    def __init__(self, machines: int) -> None:
        self._barrier = threading.Barrier(machines)
        self._parts: list[list[np.ndarray]] = [[]] * machines
        self.calls = [0] * machines

    def outer(self, machine: int) -> Outer:
        def add_up(parts: Sequence[np.ndarray]) -> np.ndarray:
            self.calls[machine] += 1
            self._parts[machine] = [part.copy() for part in parts]
            self._barrier.wait(30)
            summed = total([part for parts in self._parts for part in parts])
            self._barrier.wait(30)
            return summed

        return add_up


def test_batch_norm_sums_over_machines(machines: list[Any]) -> None:
    draw = np.random.default_rng(0)
    batch = Batch(
        draw.integers(0, 256, (PICTURES, 6, 6, 3)).astype(np.uint8),
        one_hot(draw.integers(0, 4, PICTURES), 4),
        np.arange(PICTURES),
        epoch=1,
        one_class=True,
    )
    weights = NETWORK.initial_weights(1)
    between = Between(2)
    parts = [(0, 6), (6, PICTURES)]
    shares = int(machines[0].pins["shares"])

    def step(machine: int) -> Any:
        first, last = parts[machine]
        context = Context(statistics="batch", records=True, first_sample=first)
        cuts = bounds(last - first, shares)
        part = batch.part(first, last)
        return whole(machines[machine].passes(weights, part, PICTURES, context, cuts, between.outer(machine)))

    passes = together(step, 2)
    exact = {name: weight.astype(np.float64) for name, weight in weights.items()}
    wanted = PlainExecution(NETWORK, LOSS, PREPARATION).train(
        exact, batch, PICTURES, Context(statistics="batch", records=True)
    )
    np.testing.assert_allclose(
        np.concatenate([one.scores for one in passes]), wanted.scores, rtol=1e-4, atol=1e-4
    )
    for name, value in wanted.gradients.items():
        summed = passes[0].gradients[name] + passes[1].gradients[name]
        np.testing.assert_allclose(summed, value, rtol=1e-3, atol=2e-5, err_msg=name)
    for name, value in wanted.updates.items():
        np.testing.assert_array_equal(passes[0].updates[name], passes[1].updates[name])
        np.testing.assert_allclose(passes[0].updates[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    # once for each sum, whatever the number of shares: two forwards and one back for each batch norm, at most
    assert between.calls[0] == between.calls[1] <= 9


def test_a_fault_between_machines_takes_the_step_down(machines: list[Any]) -> None:
    def unreachable(parts: Sequence[np.ndarray]) -> np.ndarray:
        raise ConnectionError("the other machine is gone")

    batch = Batch(
        np.zeros((4, 6, 6, 3), np.uint8), one_hot(np.arange(4), 4), np.arange(4), epoch=1, one_class=True
    )
    weights = NETWORK.initial_weights(1)
    context = Context(statistics="batch", records=True)
    cuts = bounds(4, int(machines[0].pins["shares"]))
    with pytest.raises(ConnectionError):
        machines[0].passes(weights, batch, 4, context, cuts, unreachable)
    assert np.isfinite(
        machines[0].train(weights, batch, 4, Context(statistics="batch", records=True)).losses
    ).all()
