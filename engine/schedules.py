"""Schedules: how the learning rate changes, step by step, over a run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Union

from pydantic import Field

from engine.spec import Spec


class Schedule(Spec):
    """The contract of a schedule."""

    type: str

    formula: ClassVar[str]
    source: ClassVar[str]

    def factor(self, step: int, steps: int) -> float:
        """Return what the learning rate is multiplied with in step `step` (from 0) of `steps`."""
        raise NotImplementedError


class Constant(Schedule):
    """The learning rate stays as it is."""

    type: Literal["constant"] = "constant"

    formula: ClassVar = "rate(t) = rate"
    source: ClassVar = "Robbins & Monro 1951, A stochastic approximation method"

    def factor(self, step: int, steps: int) -> float:
        return 1.0


class Cosine(Schedule):
    """The learning rate falls along half a cosine, to `final` times its start."""

    type: Literal["cosine"] = "cosine"
    final: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.0
    """Share of the learning rate that is left at the end."""

    formula: ClassVar = "rate(t) = rate * (final + (1 - final) * (1 + cos(pi * t / T)) / 2)"
    source: ClassVar = "Loshchilov & Hutter 2016, SGDR, equation 5, without restarts"

    def factor(self, step: int, steps: int) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * step / steps)) / 2


SCHEDULES: tuple[type[Schedule], ...] = (Constant, Cosine)

if TYPE_CHECKING:
    AnySchedule = Schedule
else:
    AnySchedule = Annotated[Union[SCHEDULES], Field(discriminator="type")]  # noqa: UP007
