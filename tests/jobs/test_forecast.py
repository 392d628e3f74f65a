"""When waiting jobs will start, from what runs and what jobs like them took."""

from __future__ import annotations

from typing import Any

import pytest

from app.jobs.forecast import Place, places
from app.store.records import JobPace, QueueState

NETWORK = {"layers": [{"type": "flatten"}]}


def job(name: str, *, epochs: int = 10, seconds: float | None = None, **progress: Any) -> JobPace:
    """A job of 40 steps in an epoch; `seconds` is what its last epoch took."""
    request = {"architecture": NETWORK, "dataset": "digits", "batch_size": 64, "epochs": epochs}
    metrics = None if seconds is None else {"seconds": seconds}
    return JobPace(name, request, {"steps": 40 * epochs, **progress}, metrics)


def other(name: str, **changes: Any) -> JobPace:
    """A job that is not like those of `job`."""
    record = job(name)
    return JobPace(name, record.request | {"batch_size": 32}, record.progress)


def test_nobody_waits() -> None:
    assert places(QueueState(running=(job("a", eta_seconds=5.0),)), 1) == {}


def test_a_free_slot_is_taken_at_once() -> None:
    queue = QueueState(waiting=(job("b"), job("c")), running=(job("a", eta_seconds=5.0),))
    assert places(queue, 2) == {"b": Place(1, 0.0), "c": Place(2, 5.0)}


def test_one_waits_for_what_runs_and_for_those_before_it() -> None:
    running = job("a", eta_seconds=30.0, step=100, seconds=2.0)
    queue = QueueState((job("b"), job("c", epochs=5), job("d")), (running,), (running,))
    # 10 epochs of 2 seconds, then 5
    assert [place.starts_in_seconds for place in places(queue, 1).values()] == [30.0, 50.0, 60.0]


def test_one_that_was_drained_has_less_to_do() -> None:
    past = job("a", seconds=2.0)
    queue = QueueState((job("b", step=300), job("c")), (), (past,))
    assert places(queue, 1)["c"] == Place(2, 5.0)


def test_what_is_like_no_other_takes_nobody_knows_how_long() -> None:
    past = job("a", seconds=2.0)
    queue = QueueState((other("b"), job("c"), job("d")), (job("r", eta_seconds=1.0),), (past,))
    assert [place.starts_in_seconds for place in places(queue, 1).values()] == [1.0, None, None]
    # In the other slot it goes on.
    assert [place.starts_in_seconds for place in places(queue, 2).values()] == [0.0, 1.0, 21.0]


@pytest.mark.parametrize("slots", [1, 2])
def test_more_can_run_than_may(slots: int) -> None:
    running = tuple(job(name, eta_seconds=eta) for name, eta in (("a", 10.0), ("b", 20.0), ("c", 30.0)))
    queue = QueueState((job("d"),), running)
    assert places(queue, slots)["d"] == Place(1, {1: 30.0, 2: 20.0}[slots])
