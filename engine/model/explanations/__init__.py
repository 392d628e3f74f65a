"""Every method of explanation there is: the one list that all else is computed from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from engine.arrays import Array, Weights
from engine.choices import OneOf
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.model.explanations.base import Explained, Explanation, Passes
from engine.model.explanations.class_activation import GradCam
from engine.model.explanations.gradients import Gradient, InputXGradient, SmoothGrad
from engine.model.explanations.integrated import IntegratedGradients
from engine.model.explanations.occlusion import Occlusion
from engine.model.explanations.score import Score

EXPLANATIONS: tuple[type[Explanation], ...] = (
    Gradient,
    InputXGradient,
    IntegratedGradients,
    SmoothGrad,
    GradCam,
    Occlusion,
)

AnyExplanation = Annotated[Explanation, OneOf(EXPLANATIONS)]

__all__ = [
    "EXPLANATIONS",
    "AnyExplanation",
    "Explained",
    "Explanation",
    "Finding",
    "Passes",
    "Score",
    "explain",
]


@dataclass(frozen=True)
class Finding:
    """What was found in one picture, and what it took."""

    index: int
    """Which output was explained."""
    explained: Explained
    passes: Passes
    """How often the picture went through the network."""


def explain(
    method: Explanation,
    network: Network,
    weights: Weights,
    preprocessing: Preprocessing,
    x: Array,
    index: int | None = None,
) -> Iterator[Finding | None]:
    """Explain one output for one picture; yields None after every batch of passes, and at last what was found.

    Args:
        method: how.
        network: without its final softmax or sigmoid; see `Explanation.check`.
        weights: of the network.
        preprocessing: of the model.
        x: the picture (H, W, C) as the network receives it.
        index: which output; by default the largest, which takes one pass more.
    """
    score = Score(network, weights, preprocessing, index or 0)
    if index is None:
        score.index = int(np.argmax(score.outputs(x[np.newaxis])[0]))
        yield None
    for explained in method.explain(score, x):
        if explained is not None:
            yield Finding(score.index, explained, Passes(score.forward_passes, score.backward_passes))
        else:
            yield None
