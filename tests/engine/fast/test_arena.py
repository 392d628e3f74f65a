"""Memory of a plan: what lives at the same time lies apart, what does not may lie in the same place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.arrays import Array
from engine.fast.layout.arena import Arena, Unbounded

REQUEST = st.tuples(
    st.sampled_from(["kept", "zeros", "scratch", "prepared", "gradient"]), st.integers(1, 300)
)
STEP = st.tuples(st.integers(0, 3), st.lists(REQUEST, max_size=4))


def asked(arena: Arena, steps: list[tuple[int, list[tuple[str, int]]]]) -> list[tuple[int, int, str, Array]]:
    """Return, for each request, the steps between which it lives, its kind and its memory."""
    given = []
    for number, (back, requests) in enumerate(steps):
        until = max(0, number - back)
        arena.begin(number, until)
        for kind, size in requests:
            first = until if kind == "gradient" else number
            given.append((first, number, kind, getattr(arena, kind)((size,))))
    return given


@given(st.lists(STEP, min_size=1, max_size=8), st.booleans())
def test_what_lives_at_the_same_time_lies_apart(steps, training: bool) -> None:
    arena = Arena(training=training)
    asked(arena, steps)
    counted = arena.bytes
    arena.fill()
    found = asked(arena, steps)
    assert arena.bytes == counted
    assert counted >= max((array.nbytes for *_, array in found), default=0)
    passing = {"scratch", "gradient"} | ({"prepared"} if training else set())
    for index, (first, last, kind, array) in enumerate(found):
        assert array.ctypes.data % 64 == 0
        for other_first, other_last, other_kind, other in found[:index]:
            both_pass = {kind, other_kind} <= passing
            apart = both_pass and (other_last < first or last < other_first)
            assert apart or not np.shares_memory(array, other)


def test_counting_takes_no_memory() -> None:
    arena = Arena(training=True)
    shape = (1 << 14, 1 << 14)  # a gigabyte, of which no page is written
    arena.begin(0, 0)
    for _ in range(100):
        arena.kept(shape)
    assert arena.bytes == 100 << 30


def test_zeros_are_zero_in_memory_that_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.fast.layout.arena.aligned", lambda size: np.full(size, 255, np.uint8))
    arena = Arena(training=True)
    arena.begin(0, 0)
    arena.zeros((100,))
    arena.fill()
    arena.begin(0, 0)
    assert not arena.zeros((100,)).any()


def test_a_buffer_that_no_machine_has_is_counted_as_well() -> None:
    arena = Arena(training=True)
    arena.begin(0, 0)
    with pytest.raises(Unbounded, match="bytes"):
        arena.kept((1 << 40, 1 << 10))
    assert arena.bytes >= 1 << 52
