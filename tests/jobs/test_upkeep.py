"""The thread that looks after the models in memory, with models that take long to load or cannot be loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.errors import Damaged, Unavailable
from app.models.upkeep import Upkeep
from app.store import Store
from app.store.records import ModelRecord


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Three models with an alias; the last one is loaded first."""
    store = Store(tmp_path)
    store.migrate()
    for name in "abc":
        store.models.create(ModelRecord(name, name, name, "00", 1, ["x"], [2, 2, 1], {}, {}))
        store.models.set_alias(name, "live", name)
    yield store
    store.close()


class Predictors:
    """Notes what it is asked to load."""

    bytes = 0

    def __init__(self, load: Callable[[str], bool] = lambda name: True) -> None:
        self.asked: list[str] = []
        self.used: frozenset[str] = frozenset()
        self.rounds = threading.Semaphore(0)
        self._load = load

    def warm(self, record: ModelRecord) -> bool:
        self.asked.append(record.id)
        return self._load(record.id)

    def shrink(self) -> None:
        self.rounds.release()

    def take_used(self) -> frozenset[str]:
        used, self.used = self.used, frozenset()
        return used


def upkeep(store: Store, predictors: Any, interval: float = 3600) -> Upkeep:
    return Upkeep(store, predictors, interval)


def test_the_end_of_the_server_waits_for_no_model(store: Store, wait_for: Callable[..., Any]) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def slow(name: str) -> bool:
        begun.set()
        return goes_on.wait(60)

    predictors = Predictors(slow)
    kept = upkeep(store, predictors)
    kept.start()
    assert begun.wait(60)
    predictors.used = frozenset("a")
    kept.stop()
    assert not goes_on.is_set()
    assert [record.id for record in store.models.aliased()] == ["a", "c", "b"]  # what was used is noted
    goes_on.set()
    wait_for(lambda: not any(thread.name == "upkeep" for thread in threading.enumerate()), "the thread's end")
    assert predictors.asked == ["c"]


@pytest.mark.parametrize("fault", [Damaged("no weights"), OSError("no file"), MemoryError(), KeyError("?")])
def test_a_model_that_cannot_be_loaded_keeps_no_other_from_it(
    store: Store, fault: Exception, wait_for: Callable[..., Any]
) -> None:
    def load(name: str) -> bool:
        if name == "b":
            raise fault
        return True

    predictors = Predictors(load)
    kept = upkeep(store, predictors, 0.01)
    kept.start()
    assert predictors.rounds.acquire(timeout=60)
    kept.stop()
    assert predictors.asked == ["c", "b", "a"]


def test_a_database_that_does_not_answer_ends_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise Unavailable("busy")

    monkeypatch.setattr(store.models, "aliased", fail)
    monkeypatch.setattr(store.uses, "note", fail)
    predictors = Predictors()
    predictors.used = frozenset("a")
    kept = upkeep(store, predictors, 0.01)
    kept.start()
    for _ in range(8):  # what was used is noted once in six
        assert predictors.rounds.acquire(timeout=60)
        predictors.used = frozenset("a")
    kept.stop()
