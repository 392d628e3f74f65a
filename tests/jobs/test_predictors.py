"""Which loaded models have a second process, and that none outlives its model: the cache alone, without networks."""

from types import SimpleNamespace
from typing import Any

import pytest

from app.files import machines
from app.models import predictors as module
from app.models.predictors import Predictors
from app.settings import Settings
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.parts import ShareLost
from engine.model.model_file import ModelFileError


class Loaded:
    """What the cache knows of a predictor."""

    def __init__(self, fault: Exception | None = None, size: int = 1) -> None:
        self.is_split, self._fault, self.bytes, self.measured = False, fault, size, False

    def measure(self) -> None:
        self.measured = True

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

    monkeypatch.setattr(module, "load", load)
    monkeypatch.setattr(machines, "known_tuning", lambda root: Tuning())
    return models


def cache(limit: int, room: int = 1000) -> Predictors:
    settings = Settings(split_models=limit, cores=1, models_bytes=room)
    return Predictors(SimpleNamespace(root=None), settings)  # type: ignore[arg-type]


def row(name: str, size: int = 1) -> Any:
    return SimpleNamespace(id=name, bytes=size)


def get(predictors: Predictors, name: str, size: int = 1) -> Any:
    return predictors.get(row(name, size))


def held(predictors: Predictors, names: str) -> str:
    return "".join(name for name in names if predictors.held(name) is not None)


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
    loads |= {"a": Loaded(size=1000), "b": Loaded()}
    for name in "ab":
        get(predictors, name)
    assert [loads[name].is_split for name in "ab"] == [False, True]
    predictors.close()
    assert not loads["b"].is_split


def test_models_are_let_go_by_what_they_take_and_not_by_their_number(loads: dict[str, Any]) -> None:
    predictors = cache(0, room=100)
    loads |= {name: Loaded(size=20) for name in "abcde"}
    for name in "abcde":
        get(predictors, name)
    assert (predictors.bytes, held(predictors, "edcba")) == (100, "edcba")
    loads["c"].bytes = 50  # by plans for batches of other sizes
    predictors.shrink()
    assert held(predictors, "cba") == "cba"  # the ones that were asked for last
    loads["f"] = Loaded(size=500)
    get(predictors, "f")
    assert held(predictors, "abcdef") == "f"  # one is held, whatever it takes


def test_models_that_nobody_asked_for_take_nobodys_room(loads: dict[str, Any]) -> None:
    predictors = cache(0, room=100)
    loads |= {name: Loaded(size=30) for name in "abcde"}
    get(predictors, "a")
    assert [predictors.warm(row(name)) for name in "bcde"] == [True, True, False, False]
    assert [loads[name].measured for name in "bc"] == [True, True]
    assert predictors.take_used() == {"a"}
    get(predictors, "e")
    assert held(predictors, "abcde") == "abe"  # of those loaded ahead the one used last stays longest
    assert not predictors.warm(row("d", 51))


def test_a_model_loaded_ahead_takes_no_process_from_another(loads: dict[str, Any]) -> None:
    predictors = cache(1)
    loads |= {name: Loaded() for name in "abc"}
    for name in "ab":
        predictors.warm(row(name))
    assert [loads[name].is_split for name in "ab"] == [True, False]
    get(predictors, "c")
    assert [loads[name].is_split for name in "abc"] == [False, False, True]


def test_a_model_that_cannot_be_loaded_is_tried_again(loads: dict[str, Any]) -> None:
    predictors = cache(0)

    def damaged() -> None:
        raise ModelFileError("damaged")

    loads["a"] = damaged
    for _ in range(2):
        with pytest.raises(ModelFileError):
            predictors.warm(row("a"))
    loads["a"] = Loaded()
    assert predictors.warm(row("a"))
