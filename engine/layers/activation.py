"""Layers that apply one function to every number, and softmax."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from engine.arrays import Array, Weights
from engine.layers.base import Context, Example, Gradients, Layer
from engine.ops import activation


class ReLU(Layer):
    """Rectified linear unit: negative numbers become 0."""

    type: Literal["relu"] = "relu"

    is_activation: ClassVar = True
    examples: ClassVar = (Example({"type": "relu"}, ((3, 4, 2),)), Example({"type": "relu"}, ((5,),)))
    formula: ClassVar = "psi(z) = max(z, 0)"
    source: ClassVar = "Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines"

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        y = activation.relu(xs[0], context)
        return y, y

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (activation.relu_backward(saved, dy, context),), {}


class Softmax(Layer):
    """Turns the scores of the classes into probabilities that sum to 1.

    At the end of a network it is taken over by the loss, which brings its own, and is never applied twice.
    """

    type: Literal["softmax"] = "softmax"

    is_activation: ClassVar = True
    examples: ClassVar = (Example({"type": "softmax"}, ((5,),)), Example({"type": "softmax"}, ((2, 3, 4),)))
    formula: ClassVar = "psi(z)_k = exp(z_k) / sum_j exp(z_j)"
    source: ClassVar = (
        "Bridle 1990, Probabilistic interpretation of feedforward classification network outputs"
    )

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        y = activation.softmax(xs[0], context)
        return y, y

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (activation.softmax_backward(saved, dy, context),), {}
