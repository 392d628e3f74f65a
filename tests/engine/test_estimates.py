"""How long a predictor expects to take, and what it makes of that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import app.builtin
import engine.model.inference
from engine.model.inference import Predictor
from engine.model.model_file import read_model

PICTURES = np.random.default_rng(2).integers(0, 256, (9, 28, 28, 1), np.uint8)


class Clock:
    """A core's time that passes by as much at each second look: between the two of one measurement."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        self.now += self.step if self.looks % 2 == 0 else 0.0
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(engine.model.inference.time, "thread_time", clock)
    return clock


def measured(clock: Clock, one: float, eight: float) -> Predictor:
    """Return a predictor for which a picture takes so long, and a batch of 8."""
    predictor = Predictor(read_model(Path(app.builtin.__file__).with_name("model_example.safetensors")))
    assert predictor.seconds(1) == np.inf
    clock.step = one
    predictor.measure()
    assert [predictor.seconds(count) for count in (1, 7, 8)] == [one, 7 * one, np.inf]
    clock.step = eight
    predictor.measure(8)
    clock.step = one
    return predictor


def test_a_few_are_computed_as_a_batch_where_that_is_sooner(clock: Clock) -> None:
    quick = measured(clock, 4.0, 10.0)
    assert [quick.seconds(count) for count in (1, 2, 3, 7, 8, 9, 11)] == [4, 8, 10, 10, 10, 14, 20]
    slow = measured(clock, 4.0, 40.0)
    assert [slow.seconds(count) for count in (1, 2, 7, 8, 9)] == [4, 8, 28, 40, 44]
    for count in (2, 3, 7, 9):
        few = PICTURES[:count]
        np.testing.assert_allclose(quick.predict(few), slow.predict(few), atol=1e-5)
        quick.predict(PICTURES[::-1][:8])


def test_one_measurement_far_from_the_others_counts_little(clock: Clock) -> None:
    predictor = measured(clock, 4.0, 10.0)
    clock.step = 1000.0
    while predictor.seconds(1) == 4.0:
        predictor.predict(PICTURES[:1])
    assert predictor.seconds(1) < 8.0
