"""Each reader of something from outside refuses what it does not take, in words and at once.

`make fuzz-readers` looks for inputs that make it do something else, watching which of its branches run; here are the
inputs it has found, whole ones, and a few hundred changes of them.
"""

from __future__ import annotations

import pytest

from tests.fuzz.readers.mutations import mutations
from tests.fuzz.readers.target import Find, Target, all_targets

TARGETS = all_targets()
MUTATIONS = 250


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_reader_refuses_what_it_does_not_take(target: Target) -> None:
    seeds = list(target.seeds())
    assert sum(map(target.attempt, seeds)) > 0 or not target.takes
    for data in mutations([*seeds, *target.kept().values()], MUTATIONS, target.name):
        target.attempt(data)


KEPT = [(target, name, data) for target in TARGETS for name, data in target.kept().items()]


@pytest.mark.parametrize(
    ("target", "name", "data"), KEPT, ids=[f"{target.name}-{name}" for target, name, _ in KEPT]
)
def test_what_was_found_once_is_refused_now(target: Target, name: str, data: bytes) -> None:
    target.attempt(data)


def test_all_else_is_a_find() -> None:
    def fail(data: bytes) -> None:
        raise KeyError(data)

    with pytest.raises(Find, match="KeyError"):
        Target("none", fail, tuple).attempt(b"x")
    with pytest.raises(Find, match="MiB"):
        Target("none", lambda data: bytearray(b"\1") * (200 << 20), tuple).attempt(b"x")
