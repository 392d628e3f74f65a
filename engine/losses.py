"""Losses: what training minimises. Each brings the link that turns scores into a prediction.

J(theta) = 1/m sum_i L(y_hat_i, y_i): a loss gives L for each sample; the mean runs over the whole
batch, whatever share of it is at hand.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from engine.arrays import Array, Shape
from engine.errors import ShapeError
from engine.ops import activation
from engine.spec import Spec


class Loss(Spec):
    """The contract of a loss: a record of hyperparameters with pure methods on scores and targets (N, K)."""

    type: str

    link: ClassVar[str]
    """The layer type that this loss takes over at the end of a network."""
    formula: ClassVar[str]
    source: ClassVar[str]

    def check(self, output_shape: Shape, classes: int) -> None:
        """Raise ShapeError unless a network's output fits the number of classes."""
        raise NotImplementedError

    def forward(self, scores: Array, targets: Array) -> tuple[Array, Any]:
        """Return the loss of each sample (N,), and what `backward` needs."""
        raise NotImplementedError

    def backward(self, saved: Any, batch_size: int) -> Array:
        """Return the gradient (N, K) of the mean over a whole batch of `batch_size`."""
        raise NotImplementedError

    def predict(self, scores: Array) -> Array:
        """Apply the link: scores (N, K) to probabilities (N, K)."""
        raise NotImplementedError


class SoftmaxCrossEntropy(Loss):
    """For pictures of one class each: minus the log of the probability given to the true class."""

    type: Literal["softmax_cross_entropy"] = "softmax_cross_entropy"

    link: ClassVar = "softmax"
    formula: ClassVar = "L = -sum_k y_k log(exp(z_k) / sum_j exp(z_j))"
    source: ClassVar = "Bridle 1990; Goodfellow, Bengio & Courville 2016, Deep learning, section 6.2.2.3"

    def check(self, output_shape: Shape, classes: int) -> None:
        if output_shape != (classes,):
            size = "x".join(map(str, output_shape))
            raise ShapeError(
                f"the network's output is {size} but the data set has {classes} classes",
                path=("layers",),
                hint=f"end the network with a dense layer of {classes} units",
            )

    def forward(self, scores: Array, targets: Array) -> tuple[Array, Any]:
        logarithms = activation.log_softmax(scores)  # (N, K)
        losses: Array = -np.einsum("nk,nk->n", logarithms, targets)
        return losses, (logarithms, targets)

    def backward(self, saved: Any, batch_size: int) -> Array:
        logarithms, targets = saved
        gradient: Array = np.exp(logarithms)
        gradient *= targets.sum(axis=1, keepdims=True)
        gradient -= targets
        gradient /= batch_size
        return gradient

    def predict(self, scores: Array) -> Array:
        return activation.softmax(scores)


LOSSES: tuple[type[Loss], ...] = (SoftmaxCrossEntropy,)
AnyLoss = SoftmaxCrossEntropy
