"""Activations of straight pieces that stop at bounds."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from engine.arrays import Array, Weights
from engine.layers.activation import ActivationLayer, examples_of
from engine.layers.base import Example
from engine.layers.export import Constant, Given, Operator, operator, reals
from engine.ops import activation
from engine.spec import Number, PositiveFloat
from engine.workspace import Buffers


class ReLU6(ActivationLayer):
    """Rectified linear unit that also stops growing at 6."""

    type: Literal["relu6"] = "relu6"

    examples = examples_of({"type": "relu6"})
    formula = "psi(z) = min(max(z, 0), 6)"
    source = "Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10, section 2"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y = activation.clip(x, 0, 6, buffers)
        return y, y

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.clip_backward(saved, 0, 6, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Clip", xs[0], reals(0), reals(6))


class Clip(ActivationLayer):
    """Keeps every number between two bounds, of which one may be left out; with -1 and 1 it is the hard tanh."""

    type: Literal["clip"] = "clip"
    minimum: Number | None = -1.0
    """What lower numbers become; null leaves them."""
    maximum: Number | None = 1.0
    """What higher numbers become; null leaves them."""

    examples = (
        *examples_of({"type": "clip", "minimum": -0.4, "maximum": 0.3}),
        Example({"type": "clip", "minimum": 0.2, "maximum": None}, ((2, 3, 2),)),
        Example({"type": "clip", "minimum": None, "maximum": 0.2}, ((5,),)),
    )
    formula = "psi(z) = min(max(z, minimum), maximum)"
    source = "Collobert 2004, Large scale machine learning, section 4.2 (hard tanh)"

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("the minimum is above the maximum")
        return self

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y = activation.clip(x, self.minimum, self.maximum, buffers)
        return y, y

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.clip_backward(saved, self.minimum, self.maximum, dy, buffers)

    def written(self) -> str:
        kept = "z" if self.minimum is None else "max(z, minimum)"
        return kept if self.maximum is None else f"min({kept}, maximum)"

    def export(self, weights: Weights, *xs: Given) -> Operator:
        if self.minimum is None:
            # an operator's first bound is its second input, and an input that is left out is the last
            return operator("Identity" if self.maximum is None else "Min", xs[0], *self._constants)
        return operator("Clip", xs[0], *self._constants)

    @property
    def _constants(self) -> list[Constant]:
        return [reals(bound) for bound in (self.minimum, self.maximum) if bound is not None]


class HardSigmoid(ActivationLayer):
    """Sigmoid made of straight pieces, which is cheaper to compute."""

    type: Literal["hard_sigmoid"] = "hard_sigmoid"
    alpha: PositiveFloat = 1 / 6
    """Slope between the bounds; 0.2 in Keras 2 and by default in ONNX."""
    beta: Number = 0.5
    """What 0 becomes."""

    examples = (
        *examples_of({"type": "hard_sigmoid"}),
        Example({"type": "hard_sigmoid", "alpha": 0.7, "beta": 0.4}, ((3, 4, 2),)),
    )
    formula = "psi(z) = min(max(alpha * z + beta, 0), 1)"
    source = (
        "Courbariaux, Bengio & David 2015, BinaryConnect, section 2.3; with a slope of 1/6 Howard et al. 2019, "
        "Searching for MobileNetV3, section 5.2"
    )

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y = activation.hard_sigmoid(x, self.alpha, self.beta, buffers)
        return y, y

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.hard_sigmoid_backward(saved, self.alpha, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("HardSigmoid", xs[0], alpha=self.alpha, beta=self.beta)


class HardSwish(ActivationLayer):
    """Swish made of straight pieces, which is cheaper to compute."""

    type: Literal["hard_swish"] = "hard_swish"

    examples = examples_of({"type": "hard_swish"})
    formula = "psi(z) = z * min(max(z + 3, 0), 6) / 6"
    source = "Howard et al. 2019, Searching for MobileNetV3, section 5.2"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        return activation.hard_swish(x, buffers), x

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.hard_swish_backward(saved, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("HardSwish", xs[0])
