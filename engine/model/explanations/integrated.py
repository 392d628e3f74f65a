"""Explanations by the gradients on the way from an empty picture."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from engine.arrays import Array
from engine.graph.network import Network
from engine.model.explanations.base import Baseline, Explained, Explanation, Passes, Steps
from engine.model.explanations.score import Score

FIRST_STEPS = 32
MOST_STEPS = 512
TOLERANCE = 1e-3
"""Of the difference of scores, or of 1 if that is more."""


class IntegratedGradients(Explanation):
    """The difference of scores between the picture and an empty one, shared out among the pixels.

    The gradients are averaged over the middles of equal steps on the straight line from the baseline to the picture,
    and multiplied by the difference of the two. The values then sum to the difference of scores (completeness). How
    well they do is in the checks: `residual` is the difference between `sum` and `score_difference`, and `complete`
    says whether it is at most 0.001 of the larger of `score_difference` and 1.
    """

    type: Literal["integrated_gradients"] = "integrated_gradients"
    steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] | None = None
    """Into how many equal steps the way is cut; by default 32, doubled until the values are complete, at most 512."""
    baseline: Baseline = "mean"
    """The picture to start from: `mean` is that of the training pictures, which the network receives as zeros. Pixels
    that are as in the baseline get nothing."""

    examples: ClassVar = (
        {"type": "integrated_gradients"},
        {"type": "integrated_gradients", "steps": 16, "baseline": "black"},
    )
    formula: ClassVar = "M_ij = sum_c (x_ijc - x'_ijc) integral_0^1 dS/dx_ijc (x' + a (x - x')) da"
    source: ClassVar = (
        "Sundararajan, Taly & Yan 2017, Axiomatic attribution for deep networks, section 3, equation 1; completeness: "
        "proposition 1"
    )
    signed: ClassVar = True
    lower: ClassVar = "use fewer `steps`, or send fewer pictures"

    def passes(self, network: Network) -> Passes:
        points = sum(self._attempts())
        return Passes(points + 2, points)

    def explain(self, score: Score, x: Array) -> Steps:
        start = np.broadcast_to(score.plain(self.baseline), x.shape).astype(x.dtype)
        way = x - start
        empty, actual = score.of(np.stack([start, x])).tolist()
        yield None
        difference = actual - empty
        for steps in self._attempts():
            total = np.zeros(x.shape)
            middles = ((np.arange(steps) + 0.5) / steps).astype(x.dtype).reshape(-1, 1, 1, 1)
            for part in score.batches(steps):
                total += score.slope(start + middles[part] * way).gradients.sum(axis=0, dtype=np.float64)
                yield None
            values = way * (total / steps)
            residual = abs(float(values.sum()) - difference)
            complete = residual <= TOLERANCE * max(abs(difference), 1)
            if complete:
                break
        checks = {
            "sum": float(values.sum()),
            "score_difference": difference,
            "residual": residual,
            "steps": steps,
            "complete": complete,
        }
        yield Explained(actual, values.astype(x.dtype), checks)

    def _attempts(self) -> tuple[int, ...]:
        """Return the numbers of steps that are tried, one after the other."""
        if self.steps is not None:
            return (self.steps,)
        return tuple(FIRST_STEPS << doubled for doubled in range((MOST_STEPS // FIRST_STEPS).bit_length()))
