"""Predictions by two processes that compute half of the rows each."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

import engine.fast.serving.halves
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.parts import ShareLost
from engine.fast.plan import Plan
from engine.fast.serving.cut import cut
from engine.fast.serving.halves import Halves
from engine.fast.serving.pool import PlanPool
from engine.graph.network import Network
from engine.machine.machine import Gather
from tests.engine.fast.nets import CONV, HEAD, build, drawn
from tests.machines import machine
from tests.processes import is_running

Drawn = tuple[Network, dict[str, np.ndarray], np.ndarray]
"""A network, its weights and pictures."""


@pytest.fixture(scope="module")
def network() -> Drawn:
    """A network worth two processes, its weights and pictures."""
    built = build((32, 32, 3), [{**CONV, "filters": 32}] * 3 + HEAD)
    weights, _ = drawn(built)
    return built, weights, np.random.default_rng(1).standard_normal((6, 32, 32, 3)).astype(np.float32)


@pytest.fixture
def halves(network: Drawn) -> Iterator[Halves]:
    """Two processes."""
    built, weights, _ = network
    found = cut(built)
    assert found is not None
    both = Halves(found, weights, Tuning())
    wait_for(lambda: both.ready)
    yield both
    both.close()


def wait_for(happens: Any) -> None:
    until = time.monotonic() + 30
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_two_processes_answer_as_one_does(halves: Halves, network: Drawn) -> None:
    built, weights, pictures = network
    plan = Plan(built, 1, Tuning(), training=False)
    plan.prepare(weights)
    for number in range(300):  # more wakings than a socket holds bytes
        x = pictures[number % 6][None]
        if number % 60 == 0:
            time.sleep(0.02)  # the other sleeps by now
        np.testing.assert_allclose(halves.scores(x), plan.scores(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("filters", "transform", "kernel"), [(8, 1e4, "winograd"), (32, 0.01, "columns")])
def test_both_processes_choose_kernels_by_the_figures_of_the_first(
    filters: int, transform: float, kernel: str
) -> None:
    """Those that the rule would not take; what passes between two that lie otherwise would be wrong."""
    built = build((32, 32, 3), [{**CONV, "filters": filters}] * 3 + HEAD)
    weights, x = drawn(built)
    tuning = Tuning.of(machine(transform=transform, gathers=(Gather(run=3, rate=1e3 / transform),)))
    plan = Plan(built, 1, tuning, training=False)
    assert sum(choice.startswith(f"{kernel}/") for choice in plan.choices.values()) >= 2
    plan.prepare(weights)
    found = cut(built)
    assert found is not None
    both = Halves(found, weights, tuning)
    try:
        wait_for(lambda: both.ready)
        np.testing.assert_allclose(both.scores(x), plan.scores(x), rtol=1e-4, atol=1e-4)
    finally:
        both.close()


@pytest.mark.slow
def test_after_a_long_sleep_there_is_an_answer(halves: Halves, network: Drawn) -> None:
    first = halves.scores(network[2][:1]).copy()
    time.sleep(2.5)
    np.testing.assert_array_equal(halves.scores(network[2][:1]), first)


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
def test_a_death_is_told(halves: Halves, network: Drawn, stopped: bool) -> None:
    halves.scores(network[2][:1])
    if stopped:  # it dies while it is waited for
        os.kill(halves.member.pid, signal.SIGSTOP)
        threading.Timer(0.5, os.kill, (halves.member.pid, signal.SIGKILL)).start()
    else:
        os.kill(halves.member.pid, signal.SIGKILL)
        wait_for(lambda: halves.member.gone)
    with pytest.raises(ShareLost):
        halves.scores(network[2][:1])


ORPHAN = """
import os, sys, time, numpy as np
from tests.engine.fast.nets import build, drawn, CONV, HEAD
from engine.fast.serving.cut import cut
from engine.fast.layout.gemm import Tuning
from engine.fast.serving.halves import Halves
built = build((32, 32, 3), [CONV, CONV, *HEAD])
weights, x = drawn(built)
halves = Halves(cut(built), weights, Tuning())
while not halves.ready:
    time.sleep(0.01)
for _ in range(3):
    time.sleep(0.01)
    halves.scores(x)
print(halves.member.pid, flush=True)
if sys.argv[1] == "waited for":
    halves._arrays["called"][0] += 1  # it begins a picture that never comes
    halves.member.wake()
    halves.member.wake()
    time.sleep(0.3)
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["idle", "waited for"])
def test_it_ends_with_the_process_that_started_it(moment: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", ORPHAN, moment], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    other = int(process.stdout.readline())
    process.wait(30)
    process.stdout.close()
    wait_for(lambda: not is_running(other))


@pytest.mark.slow
def test_a_pool_is_split_and_joined_while_it_serves(
    network: Drawn,
) -> None:
    built, weights, pictures = network
    pool = PlanPool(built, weights, Tuning())
    wanted = pool.scores(pictures)
    pool.split()
    assert pool.is_split
    both = pool._halves
    assert both is not None
    wait_for(lambda: both.ready)
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            for _ in range(30):
                np.testing.assert_allclose(pool.scores(pictures), wanted, rtol=1e-4, atol=1e-4)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    pool.join()
    for thread in threads:
        thread.join()
    assert not failed
    assert not pool.is_split
    wait_for(lambda: not is_running(both.member.pid))


@pytest.mark.slow
def test_a_request_at_any_moment_of_a_split_leaves_the_new_process_alive(network: Drawn) -> None:
    built, weights, pictures = network
    pool = PlanPool(built, weights, Tuning())
    pool.scores(pictures[:1])

    def before_each_line(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is not PlanPool.split.__code__:
            return None
        request = threading.Thread(target=pool.scores, args=(pictures[:1],))
        request.start()
        request.join(0.2)  # it may have to wait for what the split holds
        return before_each_line

    traced = sys.gettrace()
    sys.settrace(before_each_line)
    try:
        pool.split()
    finally:
        sys.settrace(traced)
    assert pool.is_split
    both = pool._halves
    assert both is not None
    wait_for(lambda: both.ready)
    pool.scores(pictures[:1])
    assert pool.is_split
    pool.join()
    assert not is_running(both.member.pid)


def test_a_split_that_fails_is_undone(network: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    built, weights, pictures = network
    pool = PlanPool(built, weights, Tuning())
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(OSError, match="nowhere"):
            pool.split()
    assert not pool.is_split
    pool.scores(pictures[:1])
    pool.split()
    assert pool.is_split
    pool.join()


@pytest.mark.slow
def test_what_is_joined_while_it_starts_leaves_no_process(
    network: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, weights, _ = network
    pool = PlanPool(built, weights, Tuning())
    begun: list[Halves] = []
    begin = Halves.__init__

    def joined_meanwhile(self: Halves, *given: Any) -> None:
        begin(self, *given)
        begun.append(self)
        pool.join()

    monkeypatch.setattr(Halves, "__init__", joined_meanwhile)
    pool.split()
    assert not pool.is_split
    assert not is_running(begun[0].member.pid)


def assert_goes_on_alone(pool: PlanPool, both: Halves, pictures: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(pool.scores(pictures), wanted, rtol=1e-4, atol=1e-4)
    assert not pool.is_split
    assert not is_running(both.member.pid)


def test_a_pool_goes_on_alone_when_the_other_process_dies(
    network: Drawn,
) -> None:
    built, weights, pictures = network
    pool = PlanPool(built, weights, Tuning())
    wanted = pool.scores(pictures)
    pool.split()
    both = pool._halves
    assert both is not None
    wait_for(lambda: both.ready)
    pool.scores(pictures)
    os.kill(both.member.pid, signal.SIGKILL)
    assert_goes_on_alone(pool, both, pictures, wanted)


@pytest.mark.parametrize(
    "built",
    [
        build((8, 8, 3), [CONV, *HEAD]),
        # large, but most of it is behind the cut
        build(
            (32, 32, 3),
            [
                {**CONV, "filters": 64},
                {"type": "average_pool2d", "pool_size": 1},
                *([{**CONV, "filters": 64}] * 2),
                *HEAD,
            ],
        ),
    ],
    ids=["small", "late"],
)
def test_networks_that_gain_nothing_stay_in_one_process(built: Network) -> None:
    pool = PlanPool(built, drawn(built)[0], Tuning())
    pool.split()
    assert not pool.is_split


@pytest.mark.slow
def test_a_pool_that_is_joined_while_a_picture_looks_at_it_leaves_no_process(
    network: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, weights, pictures = network
    pool = PlanPool(built, weights, Tuning())
    pool.split()
    both = pool._halves
    assert both is not None

    def not_yet(_: Halves) -> bool:
        pool.join()
        return False

    monkeypatch.setattr(Halves, "ready", property(not_yet))
    pool.scores(pictures[:1])
    assert not pool.is_split
    assert not is_running(both.member.pid)


@pytest.mark.slow
def test_a_process_that_does_not_start_is_given_up(network: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    built, weights, pictures = network
    pool = PlanPool(built, weights, Tuning())
    wanted = pool.scores(pictures)
    monkeypatch.setattr(sys, "executable", shutil.which("true"))
    try:
        pool.split()
    except ShareLost:  # before it was told what to do
        assert not pool.is_split
        return
    both = pool._halves
    assert both is not None
    wait_for(lambda: both.member.gone)
    assert_goes_on_alone(pool, both, pictures, wanted)


@pytest.mark.slow
def test_a_process_that_hangs_is_given_up(network: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    built, weights, pictures = network
    monkeypatch.setattr(engine.fast.serving.halves, "_PATIENCE_SECONDS", 0.5)
    pool = PlanPool(built, weights, Tuning())
    wanted = pool.scores(pictures)
    pool.split()
    both = pool._halves
    assert both is not None
    wait_for(lambda: both.ready)
    os.kill(both.member.pid, signal.SIGSTOP)
    assert_goes_on_alone(pool, both, pictures, wanted)


@pytest.mark.slow
def test_what_is_dropped_takes_its_memory_along(
    network: Drawn,
) -> None:
    built, weights, pictures = network
    found = cut(built)
    assert found is not None
    gc.disable()  # what hangs in a circle would stay
    try:
        both = Halves(found, weights, Tuning())
        while not both.ready:
            time.sleep(0.01)
        both.scores(pictures[:1])
        both.close()
        seen = weakref.ref(both._half)
        del both
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_descriptors_beyond_what_select_knows(halves: Halves, network: Drawn) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1500:
        pytest.skip("so many files cannot be opened here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1500), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        found = cut(network[0])
        assert found is not None
        both = Halves(found, network[1], Tuning())
        wait_for(lambda: both.ready)
        np.testing.assert_array_equal(both.scores(network[2][:1]), halves.scores(network[2][:1]))
        both.close()
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
