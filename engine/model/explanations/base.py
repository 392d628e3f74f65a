"""The contract of an explanation: which parts of a picture a network's score comes from.

A method is an immutable record of options with pure methods. The score is one output of the network before softmax
or sigmoid: a class's or label's logit, or a value. Everything that a method asks of the network goes through a `Score`,
which counts the passes. `explain` is a generator that yields None after every batch of passes, so that whoever runs it
can stop there, and at last what was found. A new method is one class, named in `engine.model.explanations`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from engine.arrays import Array
from engine.graph.network import Network
from engine.model.explanations.score import Score
from engine.spec import Spec

Baseline = Literal["mean", "black", "white"]
"""A picture without content: the mean of the training pictures, which the network receives as zeros, black, or white.
Black and white are as the model sees them, after an inversion if its preprocessing has one."""


class Passes(NamedTuple):
    """How often one picture goes through the network; passes on the way back cost about as much as those forward."""

    forward: int
    backward: int = 0

    @property
    def total(self) -> int:
        """Both together."""
        return self.forward + self.backward


@dataclass(frozen=True)
class Explained:
    """What a method found in one picture."""

    score: float
    """The score that is explained."""
    values: Array = field(repr=False)
    """(H, W, C), or (H, W, 1) of a method that does not tell channels apart; float32."""
    checks: dict[str, float | int | bool] = field(default_factory=dict)
    """Whether what must hold of the values does hold, in numbers."""
    node: str | None = None
    """The node whose output was looked at; None if it was the picture itself."""


Steps = Iterator[Explained | None]


class Explanation(Spec):
    """What all methods share."""

    type: str

    examples: ClassVar[tuple[dict[str, Any], ...]]
    """As callers would ask for it; contract tests and the catalog use them."""
    formula: ClassVar[str]
    source: ClassVar[str]
    signed: ClassVar[bool]
    """Whether the map says for and against; else it says only how much."""
    per_channel: ClassVar[bool] = True
    """Whether there is a number for each channel of a pixel."""
    lower: ClassVar[str] = "send fewer pictures"
    """What makes it take fewer passes."""

    @classmethod
    def tag(cls) -> str:
        """Return the value of `type` that stands for this class."""
        default: str = cls.model_fields["type"].default
        return default

    def check(self, network: Network) -> None:
        """Raise EngineError, with the option at fault as its path, unless this network can be explained so."""

    def passes(self, network: Network) -> Passes:
        """Return the most passes that one picture takes."""
        raise NotImplementedError

    def explain(self, score: Score, x: Array) -> Steps:
        """Explain the score of one picture x (H, W, C) as the network receives it."""
        raise NotImplementedError

    def map(self, values: Array) -> Array:
        """Put the channels of values (H, W, C) together: (H, W)."""
        together: Array = values.sum(axis=2) if self.signed else np.abs(values).max(axis=2)
        return together
