"""Explanations by one gradient, and by the mean of several."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from engine import draws
from engine.arrays import Array
from engine.graph.network import Network
from engine.model.explanations.base import Explained, Explanation, Passes, Steps
from engine.model.explanations.score import Score

_Samples = Annotated[int, Field(ge=1, le=1000)]
_Noise = Annotated[float, Field(gt=0, le=1)]
_Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Gradient(Explanation):
    """How much the score changes when a pixel changes a little.

    The map is the largest absolute value among the channels. It says where the network is sensitive here, not what
    the score comes from: where a score is saturated, the gradient is next to nothing.
    """

    type: Literal["gradient"] = "gradient"

    examples: ClassVar = ({"type": "gradient"},)
    formula: ClassVar = "M_ij = max_c |dS/dx_ijc|"
    source: ClassVar = (
        "Simonyan, Vedaldi & Zisserman 2013, Deep inside convolutional networks: visualising image classification "
        "models and saliency maps, section 3.1"
    )
    signed: ClassVar = False

    def passes(self, network: Network) -> Passes:
        return Passes(1, 1)

    def explain(self, score: Score, x: Array) -> Steps:
        scores, gradients, _ = score.slope(x[np.newaxis])
        yield Explained(float(scores[0]), gradients[0])


class InputXGradient(Explanation):
    """Each number that the network receives times its gradient: the score's linear approximation, term by term.

    The numbers are those after preprocessing, so that 0 is the mean of the training pictures: `sum` of the checks is
    what the approximation says of the difference of scores between the picture and that mean, `score_difference` what
    it is. On a network of convolutions and ReLU without biases the two are equal.
    """

    type: Literal["input_x_gradient"] = "input_x_gradient"

    examples: ClassVar = ({"type": "input_x_gradient"},)
    formula: ClassVar = "M_ij = sum_c x_ijc dS/dx_ijc"
    source: ClassVar = (
        "Shrikumar, Greenside & Kundaje 2017, Learning important features through propagating activation differences, "
        "section 2.2"
    )
    signed: ClassVar = True

    def passes(self, network: Network) -> Passes:
        return Passes(2, 1)

    def explain(self, score: Score, x: Array) -> Steps:
        scores, gradients, _ = score.slope(x[np.newaxis])
        yield None
        reference = score.of(np.zeros_like(x[np.newaxis]))
        values = x * gradients[0]
        checks = {
            "sum": float(values.sum(dtype=np.float64)),
            "score_difference": float(scores[0]) - float(reference[0]),
        }
        yield Explained(float(scores[0]), values, checks)


class SmoothGrad(Explanation):
    """The mean of the gradients of the picture with noise: what is left is what does not hang on single pixels.

    The noise is normal, with the share `noise` of the picture's range as its deviation, and the same for the same
    `seed`. The map is the largest absolute value among the channels, as of `gradient`.
    """

    type: Literal["smooth_grad"] = "smooth_grad"
    samples: _Samples = 50
    """How many noisy pictures: the noise left in the map falls with the root of their number."""
    noise: _Noise = 0.15
    """The noise's standard deviation, as a share of the picture's range, from its smallest to its largest number."""
    seed: _Seed = 0
    """Where the noise is drawn from."""

    examples: ClassVar = ({"type": "smooth_grad", "samples": 10},)
    formula: ClassVar = (
        "M_ij = max_c |1/n sum_k dS/dx_ijc (x + N(0, sigma^2))|, sigma = noise * (max x - min x)"
    )
    source: ClassVar = "Smilkov et al. 2017, SmoothGrad: removing noise by adding noise, section 2"
    signed: ClassVar = False
    lower: ClassVar = "use fewer `samples`, or send fewer pictures"

    def passes(self, network: Network) -> Passes:
        return Passes(self.samples + 1, self.samples)

    def explain(self, score: Score, x: Array) -> Steps:
        actual = float(score.of(x[np.newaxis])[0])
        yield None
        total = np.zeros(x.shape)
        for part in score.batches(self.samples):
            noisy = np.stack([self.noisy(x, number) for number in range(part.start, part.stop)])
            total += score.slope(noisy).gradients.sum(axis=0, dtype=np.float64)
            yield None
        yield Explained(actual, (total / self.samples).astype(x.dtype))

    def noisy(self, x: Array, number: int) -> Array:
        """Return the picture (H, W, C) with the noise of sample `number`."""
        noise = draws.generator(self.seed, "noise", number).standard_normal(x.shape, np.float32)
        noisy: Array = x + (self.noise * (x.max() - x.min()) * noise).astype(x.dtype)
        return noisy
