"""Schedules: the shape of each, and what holds for all."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from engine.recipe.schedules import SCHEDULES, AnySchedule, Moment, MultiStep, ReduceOnPlateau, Schedule
from engine.spec import descriptions

PARSE = TypeAdapter(AnySchedule)
EXAMPLES = [example for kind in SCHEDULES for example in kind.examples]


def factors(document: dict[str, Any], epochs: int = 4, per_epoch: int = 10) -> list[float]:
    schedule = PARSE.validate_python(document)
    steps = epochs * per_epoch
    return [schedule.factor(Moment(step, steps, per_epoch)) for step in range(steps)]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_tells_formula_source_and_purpose(kind: type[Schedule]) -> None:
    assert kind.__doc__
    assert kind.formula
    assert kind.source
    assert set(kind.model_fields) - {"type"} <= set(descriptions(kind))
    for example in kind.examples:
        schedule = PARSE.validate_python(example)
        assert type(schedule) is kind
        assert PARSE.validate_json(schedule.model_dump_json(serialize_as_any=True)) == schedule


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("document", EXAMPLES, ids=json.dumps)
def test_a_factor_is_between_nothing_and_one_however_short_the_run(
    document: dict[str, Any], steps: int
) -> None:
    schedule = PARSE.validate_python(document)
    for step in range(steps):
        assert 0 <= schedule.factor(Moment(step, steps, max(steps // 3, 1), [1.0, 1.0])) <= 1


def test_constant_stays() -> None:
    assert set(factors({"type": "constant"})) == {1.0}


def test_steps_fall_after_their_epochs() -> None:
    assert factors({"type": "step", "every": 2, "gamma": 0.5}) == [1.0] * 20 + [0.5] * 20
    several = factors({"type": "multi_step", "milestones": [1, 3], "gamma": 0.1})
    assert several == pytest.approx([1.0] * 10 + [0.1] * 20 + [0.01] * 10)
    with pytest.raises(ValidationError, match="rise"):
        MultiStep(milestones=(3, 3))


def test_exponential_leaves_its_share_after_each_epoch() -> None:
    found = factors({"type": "exponential", "gamma": 0.5})
    assert found[::10] == pytest.approx([1, 0.5, 0.25, 0.125])
    assert found[5] == pytest.approx(math.sqrt(0.5))


def test_polynomial_reaches_its_final_share() -> None:
    assert factors({"type": "polynomial"})[::10] == pytest.approx([1, 0.75, 0.5, 0.25])
    found = factors({"type": "polynomial", "power": 2.0, "final": 0.2})
    assert found[20] == pytest.approx(0.2 + 0.8 * 0.25)


def test_cosine_falls_along_half_a_cosine() -> None:
    found = factors({"type": "cosine", "final": 0.1})
    assert found[0] == 1
    assert found[20] == pytest.approx(0.55)
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(0.1 + 0.9 * (1 + math.cos(math.pi * 39 / 40)) / 2)


def test_cosine_restarts_and_ends_with_a_fall() -> None:
    equal = factors({"type": "cosine", "restarts": 1})
    assert equal[20:] == pytest.approx(equal[:20])
    assert equal[20] == 1
    longer = factors({"type": "cosine", "restarts": 1, "lengthen": 3.0})
    assert longer[10] == 1
    assert longer[25] == pytest.approx(0.5)
    assert longer[-1] < 0.01


@pytest.mark.parametrize(
    "document",
    [
        {"type": "constant"},
        {"type": "cosine"},
        {"type": "polynomial"},
        {"type": "exponential"},
        {"type": "cosine", "restarts": 2},
    ],
    ids=json.dumps,
)
def test_warm_up_climbs_to_where_the_schedule_begins(document: dict[str, Any]) -> None:
    found = factors({**document, "warm_up": 1.0}, epochs=5)
    assert found[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert found[10:] == pytest.approx(factors(document))


def test_warm_up_does_not_move_milestones() -> None:
    found = factors({"type": "multi_step", "milestones": [2], "warm_up": 0.5})
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[19:21] == pytest.approx([1.0, 0.1])


def one_cycle(
    step: int, steps: int, pct_start: float = 0.3, div: float = 25.0, final_div: float = 1e4
) -> float:
    """torch.optim.lr_scheduler.OneCycleLR with cosine annealing, as a share of max_lr."""

    def annealed(start: float, end: float, pct: float) -> float:
        return end + (start - end) / 2.0 * (math.cos(math.pi * pct) + 1)

    initial = 1 / div
    peak = float(pct_start * steps) - 1
    if step <= peak:
        return annealed(initial, 1.0, step / peak)
    return annealed(1.0, initial / final_div, (step - peak) / (steps - 1 - peak))


def test_one_cycle_is_that_of_pytorch() -> None:
    assert factors({"type": "one_cycle"}) == pytest.approx([one_cycle(step, 40) for step in range(40)])


def plateau(
    losses: Sequence[float], gamma: float, patience: int, cooldown: int, threshold: float = 1e-4
) -> float:
    """torch.optim.lr_scheduler.ReduceLROnPlateau, mode min, relative threshold."""
    rate, best, bad, cooling = 1.0, math.inf, 0, 0
    for loss in losses:
        if loss < best * (1.0 - threshold):
            best, bad = loss, 0
        else:
            bad += 1
        if cooling > 0:
            cooling -= 1
            bad = 0
        if bad > patience:
            rate, cooling, bad = rate * gamma, cooldown, 0
    return rate


@pytest.mark.parametrize(("patience", "cooldown"), [(0, 0), (1, 0), (2, 1), (0, 3)])
def test_reduce_on_plateau_is_that_of_pytorch(patience: int, cooldown: int) -> None:
    losses = [3, 2, 2, 2, 1.9999, 1.5, math.nan, 1.6, 1.7, 1.4, 1.4, 1.4, 1.4, 1.4, 1.4, 1.3]
    schedule = ReduceOnPlateau(patience=patience, cooldown=cooldown, gamma=0.5)
    for count in range(len(losses) + 1):
        found = schedule.factor(Moment(0, 100, 10, losses[:count]))
        assert found == pytest.approx(plateau(losses[:count], 0.5, patience, cooldown))
    assert schedule.factor(Moment(0, 100, 10, losses)) < 1


def test_reduce_on_plateau_stops_at_its_final_share() -> None:
    schedule = ReduceOnPlateau(patience=0, final=0.05)
    assert schedule.factor(Moment(0, 100, 10, [1.0] * 20)) == pytest.approx(0.05)
