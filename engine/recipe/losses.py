"""Losses: what training minimises. Each brings the link that turns scores into a prediction.

J(theta) = 1/m sum_i L(y_hat_i, y_i): a loss gives L for each sample; the mean runs over the whole
batch, whatever share of it is at hand.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from engine.arrays import Array, Shape
from engine.choices import OneOf
from engine.errors import EngineError, ShapeError
from engine.layers.export import Given, Operator, operator
from engine.ops import activation, smooth
from engine.recipe.targets import NOUNS, Target
from engine.spec import Fraction, PositiveFloat, Spec

PerClass = Annotated[tuple[PositiveFloat, ...], Field(min_length=1, max_length=1_000_000, fail_fast=True)]
Right = NDArray[np.bool_]


class Loss(Spec):
    """The contract of a loss: a record of hyperparameters with pure methods on scores and targets (N, K)."""

    type: str

    link: ClassVar[str]
    """The layer type that this loss takes over at the end of a network."""
    targets: ClassVar[tuple[Target, ...]]
    """The kinds of data that it can be trained on; a class is 1 for itself and 0 for the others."""
    examples: ClassVar[tuple[dict[str, Any], ...]]
    """As callers would post it, for three classes where there is one number for each."""
    formula: ClassVar[str]
    source: ClassVar[str]

    @classmethod
    def tag(cls) -> str:
        """Return the value of `type` that stands for this class."""
        default: str = cls.model_fields["type"].default
        return default

    def check(self, output_shape: Shape, classes: int, target: Target = "class") -> None:
        """Raise ShapeError unless a network's output fits the number of classes, labels or values."""
        if output_shape != (classes,):
            size = "x".join(map(str, output_shape))
            raise ShapeError(
                f"the network's output is {size} but there are {classes} {NOUNS[target]}",
                path=("layers",),
                hint=f"end the network with a dense layer of {classes} units",
            )

    def check_target(self, target: Target) -> None:
        """Raise EngineError unless it can be trained on data of this kind."""
        if target not in self.targets:
            fitting = " or ".join(f'{{"type": "{loss.tag()}"}}' for loss in LOSSES if target in loss.targets)
            known = {"class": "a class", "labels": "any number of labels", "values": "numbers"}[target]
            raise EngineError(
                f"{self.type} cannot be trained on this data set, whose pictures have {known} each",
                hint=f"use {fitting}",
            )

    def check_classes(self, classes: int) -> None:
        """Raise ShapeError unless numbers that are given for each class are that many."""

    def forward(self, scores: Array, targets: Array) -> tuple[Array, Any]:
        """Return the loss of each sample (N,), and what `backward` needs."""
        raise NotImplementedError

    def backward(self, saved: Any, batch_size: int) -> Array:
        """Return the gradient (N, K) of the mean over a whole batch of `batch_size`."""
        raise NotImplementedError

    def predict(self, scores: Array) -> Array:
        """Apply the link: scores (N, K) to predictions (N, K)."""
        raise NotImplementedError

    def export(self, scores: Given) -> Operator:
        """Return what applies the link, in operators of ONNX."""
        raise NotImplementedError

    def right(self, scores: Array, targets: Array) -> Right | None:
        """Tell for each sample whether the prediction is right, (N,); None where that is no question of yes or no."""
        raise NotImplementedError


class SoftmaxCrossEntropy(Loss):
    """For pictures of one class each: minus the log of the probability given to the true class."""

    type: Literal["softmax_cross_entropy"] = "softmax_cross_entropy"
    label_smoothing: Fraction = 0.0
    """Share of the target that is spread over all classes, so that no score has to grow without end."""
    class_weights: PerClass | None = None
    """How much each class counts, in the order of the classes; by default all the same."""

    link = "softmax"
    targets = ("class",)
    examples = (
        {"type": "softmax_cross_entropy"},
        {"type": "softmax_cross_entropy", "label_smoothing": 0.1, "class_weights": [1.0, 0.5, 2.0]},
    )
    formula = (
        "L = -sum_k w_k t_k log(exp(z_k) / sum_j exp(z_j)), t = (1 - label_smoothing) y + label_smoothing / K"
    )
    source = (
        "Bridle 1990; Goodfellow, Bengio & Courville 2016, Deep learning, section 6.2.2.3; "
        "smoothing: Szegedy et al. 2015, Rethinking the Inception architecture, section 7"
    )

    def check_classes(self, classes: int) -> None:
        _check_per_class(self.class_weights, classes, "class_weights")

    def forward(self, scores: Array, targets: Array) -> tuple[Array, Any]:
        logarithms = activation.log_softmax(scores)  # (N, K)
        if self.label_smoothing:
            targets = targets * (1 - self.label_smoothing) + self.label_smoothing / targets.shape[1]
        if self.class_weights is not None:
            targets = targets * np.asarray(self.class_weights, targets.dtype)
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

    def export(self, scores: Given) -> Operator:
        return operator("Softmax", scores, axis=1)

    def right(self, scores: Array, targets: Array) -> Right | None:
        return right_class(scores, targets)


class BinaryCrossEntropy(Loss):
    """For pictures that can have several labels at once: each label is a question of yes or no of its own."""

    type: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    positive_weights: PerClass | None = None
    """How much more a yes counts than a no, for each label; above 1 for labels that are rare."""

    link = "sigmoid"
    targets = ("class", "labels")
    examples = (
        {"type": "binary_cross_entropy"},
        {"type": "binary_cross_entropy", "positive_weights": [1.0, 2.0, 4.0]},
    )
    formula = "L = -1/K sum_k (w_k y_k log(p_k) + (1 - y_k) log(1 - p_k)), p = 1 / (1 + exp(-z))"
    source = "Goodfellow, Bengio & Courville 2016, Deep learning, section 6.2.2.2"

    def check_classes(self, classes: int) -> None:
        _check_per_class(self.positive_weights, classes, "positive_weights")

    def forward(self, scores: Array, targets: Array) -> tuple[Array, Any]:
        no = smooth.softplus(scores)  # (N, K), -log(1 - p)
        yes = no - scores  # -log(p)
        positive = targets if self.positive_weights is None else targets * self._weights(targets)
        losses: Array = (positive * yes + (1 - targets) * no).mean(axis=1)
        return losses, (scores, targets, positive)

    def backward(self, saved: Any, batch_size: int) -> Array:
        scores, targets, positive = saved
        gradient: Array = smooth.sigmoid(scores)
        gradient *= 1 - targets + positive
        gradient -= positive
        gradient /= batch_size * scores.shape[1]
        return gradient

    def predict(self, scores: Array) -> Array:
        return smooth.sigmoid(scores)

    def export(self, scores: Given) -> Operator:
        return operator("Sigmoid", scores)

    def right(self, scores: Array, targets: Array) -> Right | None:
        """All labels of a picture must be right."""
        right: Right = ((scores > 0) == (targets > 0.5)).all(axis=1)
        return right

    def _weights(self, targets: Array) -> Array:
        return np.asarray(self.positive_weights, targets.dtype)


class MeanSquaredError(Loss):
    """For numbers instead of classes: the squared distance from each.

    Numbers far from 0 and 1 make steps far too large for usual learning rates: scale them first, such as to a mean of 0
    and a deviation of 1.
    """

    type: Literal["mean_squared_error"] = "mean_squared_error"

    link = "identity"
    targets = ("class", "values")
    examples = ({"type": "mean_squared_error"},)
    formula = "L = 1/K sum_k (z_k - y_k)^2"
    source = "Legendre 1805; Goodfellow, Bengio & Courville 2016, Deep learning, section 6.2.2.1"

    def forward(self, scores: Array, targets: Array) -> tuple[Array, Any]:
        distances = scores - targets
        losses: Array = np.square(distances).mean(axis=1)
        return losses, distances

    def backward(self, saved: Any, batch_size: int) -> Array:
        gradient: Array = saved * (2 / (batch_size * saved.shape[1]))
        return gradient

    def predict(self, scores: Array) -> Array:
        return scores

    def export(self, scores: Given) -> Operator:
        return operator("Identity", scores)

    def right(self, scores: Array, targets: Array) -> Right | None:
        return None


def right_class(scores: Array, targets: Array) -> Right:
    """Tell for each sample of one class whether the largest score (N, K) is where the largest target is, (N,)."""
    right: Right = scores.argmax(axis=1) == targets.argmax(axis=1)
    return right


def _check_per_class(numbers: tuple[float, ...] | None, classes: int, name: str) -> None:
    if numbers is not None and len(numbers) != classes:
        raise ShapeError(
            f"{name} has {len(numbers)} numbers but there are {classes} classes",
            path=(name,),
            hint=f"give {classes} numbers, in the order of the classes",
        )


LOSSES: tuple[type[Loss], ...] = (SoftmaxCrossEntropy, BinaryCrossEntropy, MeanSquaredError)

AnyLoss = Annotated[Loss, OneOf(LOSSES)]
