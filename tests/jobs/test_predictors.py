"""Which loaded models have a second process, and that none outlives its model: the cache alone, without networks."""

from types import SimpleNamespace
from typing import Any

import pytest

import app.models.predictors
from app.models.predictors import Predictors
from app.settings import Settings
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.parts import ShareLost


class Loaded:
    """What the cache knows of a predictor."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.is_split, self._fault = False, fault

    def split(self) -> None:
        if self._fault is not None:
            raise self._fault
        self.is_split = True

    def join(self) -> None:
        self.is_split = False


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is loaded, by the model's name; a function is called in its place."""
    models: dict[str, Any] = {}

    def load(record: Any, *_: Any) -> Any:
        found = models[record.id]
        return found() if callable(found) else found

    monkeypatch.setattr(app.models.predictors, "load", load)
    monkeypatch.setattr(Tuning, "measure", Tuning)
    return models


def cache(limit: int) -> Predictors:
    return Predictors(None, Settings(split_models=limit, cores=1))  # type: ignore[arg-type]


def get(predictors: Predictors, name: str, size: int = 1) -> Any:
    return predictors.get(SimpleNamespace(id=name, bytes=size))  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", [OSError("no room"), ShareLost("gone"), MemoryError("none")])
def test_a_model_without_a_second_process_is_served_all_the_same(
    loads: dict[str, Any], fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    loads["a"] = Loaded(fault)
    assert get(cache(1), "a") is loads["a"]
    assert f"no second process for a: {fault}" in caplog.text


def test_the_one_used_longest_ago_loses_its_process(loads: dict[str, Any]) -> None:
    predictors = cache(2)
    loads |= {name: Loaded() for name in "abc"}
    for name in "abac":
        get(predictors, name)
    assert [loads[name].is_split for name in "abc"] == [True, False, True]


def test_a_model_that_is_loaded_keeps_its_process_though_another_is_used_meanwhile(
    loads: dict[str, Any],
) -> None:
    predictors = cache(1)
    slow = Loaded()

    def while_another_is_used() -> Loaded:
        get(predictors, "a")
        return slow

    loads |= {"a": Loaded(), "b": while_another_is_used}
    get(predictors, "a")
    get(predictors, "b")
    assert (loads["a"].is_split, slow.is_split) == (False, True)


def test_none_is_split_unless_asked_for(loads: dict[str, Any]) -> None:
    loads["a"] = Loaded()
    assert not get(cache(0), "a").is_split


def test_no_process_is_left_of_a_model_that_is_deleted_while_it_loads(loads: dict[str, Any]) -> None:
    predictors = cache(1)
    slow = Loaded()

    def while_it_is_deleted() -> Loaded:
        predictors.forget("a")
        return slow

    loads["a"] = while_it_is_deleted
    get(predictors, "a")
    assert not slow.is_split


def test_no_process_is_left_of_models_that_make_room_or_at_the_end(loads: dict[str, Any]) -> None:
    predictors = cache(5)
    loads |= {name: Loaded() for name in "ab"}
    get(predictors, "a", app.models.predictors.MAX_BYTES)
    get(predictors, "b", 1)
    assert [loads[name].is_split for name in "ab"] == [False, True]
    predictors.close()
    assert not loads["b"].is_split
