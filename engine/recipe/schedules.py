"""Schedules: how the learning rate changes, step by step, over a run.

A schedule is a function of where the run stands and of nothing else, so that a run that is resumed
goes on with the rate that it would have had.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from engine.choices import OneOf
from engine.spec import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Spec

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Gamma = Annotated[float, Field(strict=True, gt=0, le=1)]


@dataclass(frozen=True)
class Moment:
    """Where a run stands."""

    step: int
    """Number of the step, from 0."""
    steps: int
    """Steps of the whole run."""
    per_epoch: int
    """Steps of an epoch."""
    losses: Sequence[float] = ()
    """Loss of each epoch that has ended: on the dev pictures, or on the train pictures where there are none."""


class Schedule(Spec):
    """The contract of a schedule."""

    type: str

    examples: ClassVar[tuple[dict[str, Any], ...]]
    formula: ClassVar[str]
    source: ClassVar[str]

    def factor(self, moment: Moment) -> float:
        """Return what the learning rate is multiplied with in a step."""
        raise NotImplementedError


class _WarmingUp(Schedule):
    """A schedule before which the rate can climb from near 0."""

    warm_up: NonNegativeFloat = 0.0
    """Epochs, and parts of them, in which the rate first climbs in a straight line to where the schedule begins."""

    def factor(self, moment: Moment) -> float:
        climb = min(round(self.warm_up * moment.per_epoch), moment.steps)
        if moment.step < climb:
            return (moment.step + 1) / climb * self.after(moment, 0.0)
        return self.after(moment, (moment.step - climb) / max(moment.steps - climb, 1))

    def after(self, moment: Moment, passed: float) -> float:
        """Return the factor without the climb, when a share `passed` of the steps after it lies behind."""
        raise NotImplementedError


class Constant(_WarmingUp):
    """The learning rate stays as it is."""

    type: Literal["constant"] = "constant"

    examples = ({"type": "constant"}, {"type": "constant", "warm_up": 1.5})
    formula = "rate(t) = rate"
    source = "Robbins & Monro 1951, A stochastic approximation method"

    def after(self, moment: Moment, passed: float) -> float:
        return 1.0


class Step(_WarmingUp):
    """The learning rate drops after every so many epochs."""

    type: Literal["step"] = "step"
    every: PositiveInt
    """Epochs between two drops."""
    gamma: Gamma = 0.1
    """What the rate is multiplied with at each drop."""

    examples = ({"type": "step", "every": 10}, {"type": "step", "every": 1, "gamma": 0.5})
    formula = "rate(t) = rate * gamma^floor(epoch / every)"
    source = "Krizhevsky et al. 2012, ImageNet classification, section 5"

    def after(self, moment: Moment, passed: float) -> float:
        return self.gamma ** (moment.step // moment.per_epoch // self.every)


class MultiStep(_WarmingUp):
    """The learning rate drops after epochs that you name."""

    type: Literal["multi_step"] = "multi_step"
    milestones: Annotated[tuple[PositiveInt, ...], Field(min_length=1, max_length=1000)]
    """Numbers of epochs after which the rate drops, rising."""
    gamma: Gamma = 0.1
    """What the rate is multiplied with at each drop."""

    examples = (
        {"type": "multi_step", "milestones": [30, 45]},
        {"type": "multi_step", "milestones": [1, 2], "gamma": 0.3, "warm_up": 1.0},
    )
    formula = "rate(t) = rate * gamma^(number of milestones <= epoch)"
    source = "He et al. 2016, Deep residual learning, section 4.2"

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones must rise: each epoch later than the one before")
        return self

    def after(self, moment: Moment, passed: float) -> float:
        epoch = moment.step // moment.per_epoch
        return self.gamma ** sum(milestone <= epoch for milestone in self.milestones)


class Exponential(_WarmingUp):
    """The learning rate falls by the same share in every epoch, a little in every step."""

    type: Literal["exponential"] = "exponential"
    gamma: Gamma = 0.95
    """Share of the rate that an epoch leaves."""

    examples = ({"type": "exponential"}, {"type": "exponential", "gamma": 0.5, "warm_up": 1.0})
    formula = "rate(t) = rate * gamma^(t / steps per epoch)"
    source = "Szegedy et al. 2015, Rethinking the Inception architecture, section 8"

    def after(self, moment: Moment, passed: float) -> float:
        climb = round(self.warm_up * moment.per_epoch)
        return math.pow(self.gamma, max(moment.step - climb, 0) / moment.per_epoch)


class Polynomial(_WarmingUp):
    """The learning rate falls along a power of the steps that are left; by default in a straight line."""

    type: Literal["polynomial"] = "polynomial"
    power: PositiveFloat = 1.0
    """1 is a straight line; above, the rate falls fast at first and slowly in the end."""
    final: Share = 0.0
    """Share of the learning rate that is left at the end."""

    examples = (
        {"type": "polynomial"},
        {"type": "polynomial", "power": 2.0, "final": 0.1, "warm_up": 1.0},
    )
    formula = "rate(t) = rate * (final + (1 - final) * (1 - t / T)^power)"
    source = "Chen et al. 2017, DeepLab, section 4.1"

    def after(self, moment: Moment, passed: float) -> float:
        return self.final + (1 - self.final) * math.pow(1 - passed, self.power)


class Cosine(_WarmingUp):
    """The learning rate falls along half a cosine, to `final` times its start; once, or again and again."""

    type: Literal["cosine"] = "cosine"
    final: Share = 0.0
    """Share of the learning rate that is left at the end."""
    restarts: NonNegativeInt = 0
    """How often the rate jumps back to its start and falls again; the last fall ends with the run."""
    lengthen: Annotated[float, Field(strict=True, ge=1, le=10)] = 1.0
    """How much longer each fall takes than the one before."""

    examples = (
        {"type": "cosine"},
        {"type": "cosine", "warm_up": 1.0, "final": 0.01},
        {"type": "cosine", "restarts": 2, "lengthen": 2.0},
    )
    formula = "rate(t) = rate * (final + (1 - final) * (1 + cos(pi * t / T)) / 2), t and T of one fall"
    source = "Loshchilov & Hutter 2016, SGDR, equation 5; warm-up: Goyal et al. 2017, section 2.2"

    def after(self, moment: Moment, passed: float) -> float:
        if self.restarts:
            passed = self._of_one_fall(passed)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * passed)) / 2

    def _of_one_fall(self, passed: float) -> float:
        lengths = [self.lengthen**number for number in range(self.restarts + 1)]
        place = passed * sum(lengths)
        for length in lengths[:-1]:
            if place < length:
                return place / length
            place -= length
        return place / lengths[-1]


class OneCycle(Schedule):
    """The learning rate climbs from a small start to its full size and falls to almost nothing."""

    type: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.3
    """Share of the run in which the rate climbs."""
    start: Gamma = 0.04
    """Share of the learning rate at the beginning."""
    final: Share = 4e-6
    """Share of the learning rate that is left at the end."""

    examples = (
        {"type": "one_cycle"},
        {"type": "one_cycle", "rise": 0.5, "start": 0.1, "final": 0.0},
    )
    formula = (
        "rate(t) = rate * (b + (a - b) * (1 + cos(pi * u)) / 2), u from 0 to 1, "
        "first from a = start to b = 1, then from a = 1 to b = final"
    )
    source = "Smith & Topin 2017, Super-convergence; along cosines, as in PyTorch"

    def factor(self, moment: Moment) -> float:
        last = max(moment.steps - 1, 1)
        top = max(self.rise * moment.steps - 1, 0.0)
        if moment.step <= top:
            return _between(self.start, 1.0, moment.step / top if top else 1.0)
        return _between(1.0, self.final, min((moment.step - top) / max(last - top, 1e-9), 1.0))


class ReduceOnPlateau(_WarmingUp):
    """The learning rate drops when the loss on the dev pictures has stopped falling."""

    type: Literal["reduce_on_plateau"] = "reduce_on_plateau"
    gamma: Gamma = 0.1
    """What the rate is multiplied with at each drop."""
    patience: NonNegativeInt = 5
    """Epochs without improvement that are let pass before a drop."""
    threshold: Share = 1e-4
    """Share of the best loss by which it must fall to count as an improvement."""
    cooldown: NonNegativeInt = 0
    """Epochs after a drop that do not count."""
    final: Share = 0.0
    """Share of the learning rate below which it never drops."""

    examples = (
        {"type": "reduce_on_plateau"},
        {"type": "reduce_on_plateau", "patience": 0, "gamma": 0.5, "cooldown": 1, "final": 0.01},
    )
    formula = "rate := rate * gamma after more than `patience` epochs without a lower loss"
    source = (
        "Bengio 2012, Practical recommendations for gradient-based training, section 3.1.1 (as in PyTorch)"
    )

    def after(self, moment: Moment, passed: float) -> float:
        factor, best, bad, cooling = 1.0, math.inf, 0, 0
        for loss in moment.losses:
            if loss < best * (1 - self.threshold):  # never true of NaN
                best, bad = loss, 0
            else:
                bad += 1
            if cooling:
                cooling -= 1
                bad = 0
            if bad > self.patience:
                factor, bad, cooling = max(factor * self.gamma, self.final), 0, self.cooldown
        return factor


def _between(first: float, last: float, passed: float) -> float:
    """Return the point of half a cosine from `first` to `last`."""
    return last + (first - last) * (1 + math.cos(math.pi * passed)) / 2


SCHEDULES: tuple[type[Schedule], ...] = (
    Constant,
    Step,
    MultiStep,
    Exponential,
    Polynomial,
    Cosine,
    OneCycle,
    ReduceOnPlateau,
)

AnySchedule = Annotated[Schedule, OneOf(SCHEDULES)]
