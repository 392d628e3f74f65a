"""Normalisation layers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from engine.arrays import Array, Shape, Weights, elements
from engine.layers.base import Context, Cost, Example, Gradients, Layer, WeightSpec
from engine.layers.parameters import Activation
from engine.ops import normalization
from engine.spec import PositiveFloat

Momentum = Annotated[float, Field(strict=True, gt=0, le=1)]


class BatchNorm(Layer):
    """Brings each channel to mean 0 and variance 1 over the batch, then scales and shifts it.

    Inference uses running statistics, gathered while training.
    """

    type: Literal["batch_norm"] = "batch_norm"
    momentum: Momentum = 0.1
    """Share of the new batch in the running statistics, as in PyTorch."""
    epsilon: PositiveFloat = 1e-5
    """Added to the variance."""
    activation: Activation | None = None
    """The article's psi, applied as a node of its own."""

    examples: ClassVar = (
        Example({"type": "batch_norm"}, ((3, 4, 2),)),
        Example({"type": "batch_norm", "momentum": 0.3, "epsilon": 0.001, "activation": "relu"}, ((5,),)),
    )
    formula: ClassVar = "a' = scale * (a - mean) / sqrt(variance + epsilon) + shift"
    source: ClassVar = "Ioffe & Szegedy 2015, Batch normalization, algorithms 1 and 2"

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        channels = (inputs[0][-1],)
        return {
            "scale": WeightSpec(channels, "ones", self.trainable, decays=False),
            "shift": WeightSpec(channels, "zeros", self.trainable, decays=False),
            "running_mean": WeightSpec(channels, "zeros", trainable=False, decays=False),
            "running_variance": WeightSpec(channels, "ones", trainable=False, decays=False),
        }

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(saved_bytes=4 * elements(inputs[0]))

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        scale, shift = weights["scale"], weights["shift"]
        if not context.training:
            mean, variance = weights["running_mean"], weights["running_variance"]
            return normalization.normalize(xs[0], mean, variance, scale, shift, self.epsilon, context), None
        y, normalized, inverse, batch = normalization.batch_norm(
            xs[0], scale, shift, self.epsilon, context.reduce, context
        )
        # the running variance is the unbiased one, as in PyTorch
        unbiased = batch.variance * (batch.values / max(batch.values - 1, 1))
        for name, value in (("running_mean", batch.mean), ("running_variance", unbiased)):
            old = weights[name]
            context.update(name, (old + self.momentum * (value - old)).astype(old.dtype))
        return y, (normalized, inverse, batch.values)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        normalized, inverse, count = saved
        dx, dscale, dshift = normalization.batch_norm_backward(
            normalized, inverse, weights["scale"], dy, count, context.reduce, context
        )
        return (dx,), {"scale": dscale, "shift": dshift}
