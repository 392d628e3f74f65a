"""Explaining one picture, whatever the method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Weights
from engine.errors import NonFiniteError
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.model.explanations.base import Explained, Explanation, Passes
from engine.model.explanations.score import Score


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
    *,
    relative: bool = False,
) -> Iterator[Finding | None]:
    """Explain one output for one picture; yields None after every batch of passes, and at last what was found.

    Args:
        method: how.
        network: without its final softmax or sigmoid; see `Explanation.check`.
        weights: of the network.
        preprocessing: of the model.
        x: the picture (H, W, C) as the network receives it.
        index: which output; by default the largest, which takes one pass more.
        relative: explain how much larger it is than the mean of all outputs.

    Raises:
        NonFiniteError: a score or a gradient became NaN or infinite.
    """
    score = Score(network, weights, preprocessing, index or 0, relative=relative)
    if index is None:
        score.index = int(np.argmax(score.outputs(x[np.newaxis])[0]))
        yield None
    for explained in method.explain(score, x):
        if explained is None:
            yield None
        elif not np.isfinite(explained.score) or not np.isfinite(explained.values).all():
            raise NonFiniteError("the score of this picture or its gradient is not a finite number")
        else:
            yield Finding(score.index, explained, Passes(score.forward_passes, score.backward_passes))
