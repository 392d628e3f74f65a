"""The article's psi: layers that apply one function to every number.

Each can stand alone or be named in another layer's `activation`. Those that stop at bounds are in `bounded.py`, those
whose numbers depend on one another in `softmax.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.layers.base import Context, Cost, Example, Gradients, Layer, WeightSpec
from engine.layers.export import Given, Operator, operator, reals
from engine.layers.jacobian import Column
from engine.layers.stretched import StretchedLayer, exported, number_at
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, applied, source
from engine.ops import activation, erf, smooth
from engine.spec import NonNegativeFloat, PositiveFloat
from engine.workspace import FRESH, Buffers


def examples_of(layer: dict[str, Any]) -> tuple[Example, ...]:
    """Return an activation for a map, and for a vector."""
    return Example(layer, ((3, 4, 2),)), Example(layer, ((5,),))


class ActivationLayer(Layer):
    """One input, one output of the same shape; a subclass gives the function and its derivative."""

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        """Return the output, and what `pull` will need."""
        raise NotImplementedError

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        """Return the gradient of the input."""
        raise NotImplementedError

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        return self.apply(xs[0], context)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (self.pull(saved, dy, context),), {}

    def written(self) -> str:
        """Return the right side of the formula of psi(z)."""
        return self.formula.removeprefix("psi(z) = ")

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        z = source(xs, position)
        output, _ = self.apply(np.full((1, 1), z.value), FRESH)
        numbers = {name: value for name, value in self if isinstance(value, float)}
        return applied(position, z, float(output[0, 0]), self.written(), {"z": z.value, **numbers})

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        _, saved = self.apply(np.full((1, 1), float(xs[0][position])), FRESH)
        slope = self.pull(saved, np.ones((1, 1)), FRESH)
        return Column.along([Line(at, 1) for at in position], slope)


class ReLU(ActivationLayer):
    """Rectified linear unit: negative numbers become 0."""

    type: Literal["relu"] = "relu"

    examples = examples_of({"type": "relu"})
    formula = "psi(z) = max(z, 0)"
    source = "Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y = activation.relu(x, buffers)
        return y, y

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.relu_backward(saved, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Relu", xs[0])


class LeakyReLU(ActivationLayer):
    """Rectified linear unit that lets a little of the negative numbers through."""

    type: Literal["leaky_relu"] = "leaky_relu"
    slope: NonNegativeFloat = 0.01
    """What negative numbers are multiplied by."""

    examples = examples_of({"type": "leaky_relu", "slope": 0.2})
    formula = "psi(z) = z if z > 0, else slope * z"
    source = (
        "Maas, Hannun & Ng 2013, Rectifier nonlinearities improve neural network acoustic models, section 2"
    )

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        return activation.leaky_relu(x, self.slope, buffers), x

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.leaky_relu_backward(saved, self.slope, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("LeakyRelu", xs[0], alpha=self.slope)


class PReLU(StretchedLayer, ActivationLayer):
    """Leaky rectified linear unit whose slope is learned: one for each channel or for all, or for each pixel."""

    type: Literal["prelu"] = "prelu"

    examples = (
        *examples_of({"type": "prelu"}),
        Example({"type": "prelu", "shared": True}, ((3, 2, 4),)),
        Example({"type": "prelu", "per_pixel": True}, ((2, 3, 2),)),
        Example({"type": "prelu", "per_pixel": True, "shared": True}, ((2, 2, 3),)),
    )
    formula = "psi(z) = z if z > 0, else slope[c] * z"
    source = "He et al. 2015, Delving deep into rectifiers, section 2.1"

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        # the paper's section 2.1: all slopes start at 0.25, and none is pulled towards 0
        return {"slope": self.weight(inputs[0], 0.25)}

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        return activation.leaky_relu(xs[0], weights["slope"], context), xs[0]

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        slope = weights["slope"]
        dslope = activation.slope_gradient(saved, slope, dy, context) if context.wants("slope") else None
        dx = activation.leaky_relu_backward(saved, slope, dy, context)
        return (dx,), context.gradients(slope=dslope)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        z, slope = source(xs, position), number_at(weights["slope"], position)
        output = z.value if z.value > 0 else slope * z.value
        return applied(position, z, output, self.written(), {"z": z.value, "slope[c]": slope})

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        slope = 1.0 if xs[0][position] > 0 else number_at(weights["slope"], position)
        return Column.along([Line(at, 1) for at in position], np.array(slope))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("PRelu", xs[0], exported(weights, "slope", xs[0].shape))


class ELU(ActivationLayer):
    """Exponential linear unit: negative numbers bend smoothly towards -alpha."""

    type: Literal["elu"] = "elu"
    alpha: PositiveFloat = 1.0
    """Minus the value that very negative numbers approach."""

    examples = examples_of({"type": "elu", "alpha": 0.5})
    formula = "psi(z) = z if z > 0, else alpha * (exp(z) - 1)"
    source = (
        "Clevert, Unterthiner & Hochreiter 2015, Fast and accurate deep network learning by exponential "
        "linear units, equation 15"
    )

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        return activation.elu(x, self.alpha, buffers=buffers), x

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.elu_backward(saved, self.alpha, dy, buffers=buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Elu", xs[0], alpha=self.alpha)


class SELU(ActivationLayer):
    """Exponential linear unit of such a scale that the numbers of a deep network keep mean 0 and variance 1."""

    type: Literal["selu"] = "selu"

    examples = examples_of({"type": "selu"})
    formula = "psi(z) = 1.0507 * (z if z > 0, else 1.6733 * (exp(z) - 1))"
    source = "Klambauer et al. 2017, Self-normalizing neural networks, equations 2 and 14"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        return activation.elu(x, activation.SELU_ALPHA, activation.SELU_SCALE, buffers), x

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.elu_backward(saved, activation.SELU_ALPHA, dy, activation.SELU_SCALE, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Selu", xs[0], alpha=activation.SELU_ALPHA, gamma=activation.SELU_SCALE)


class GELU(ActivationLayer):
    """Gaussian error linear unit: each number times the share of a normal distribution below it."""

    type: Literal["gelu"] = "gelu"
    form: Literal["exact", "tanh"] = "exact"
    """`exact` by the error function, or `tanh`, the approximation of the original BERT and GPT."""

    examples = (
        *examples_of({"type": "gelu"}),
        Example({"type": "gelu", "form": "tanh"}, ((3, 4, 2),)),
    )
    formula = (
        "psi(z) = z * (1 + erf(z / sqrt(2))) / 2, or z * (1 + tanh(sqrt(2/pi) * (z + 0.044715 z^3))) / 2"
    )
    source = "Hendrycks & Gimpel 2016, Gaussian error linear units, section 2"

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(saved_bytes=4 * elements(inputs[0]))

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y, kept = smooth.gelu(x, buffers) if self.form == "exact" else smooth.gelu_tanh(x, buffers)
        return y, (x, kept)

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        backward = smooth.gelu_backward if self.form == "exact" else smooth.gelu_tanh_backward
        x, kept = saved
        return backward(x, kept, dy, buffers)

    def written(self) -> str:
        exact, approximation = super().written().split(", or ")
        return exact if self.form == "exact" else approximation

    def export(self, weights: Weights, *xs: Given) -> Operator:
        # ONNX has Gelu from version 20 on; what it is made of is known everywhere
        x = xs[0]
        if self.form == "exact":
            bent = operator("Erf", operator("Mul", x, reals(math.sqrt(1 / 2))))
        else:
            cubed = operator("Mul", operator("Mul", x, x), operator("Mul", x, reals(0.044715)))
            bent = operator("Tanh", operator("Mul", operator("Add", x, cubed), reals(math.sqrt(2 / math.pi))))
        return operator("Mul", operator("Mul", x, reals(0.5)), operator("Add", bent, reals(1)))


class SiLU(ActivationLayer):
    """Sigmoid-weighted linear unit, or swish: each number times its own sigmoid."""

    type: Literal["silu"] = "silu"

    examples = examples_of({"type": "silu"})
    formula = "psi(z) = z / (1 + exp(-z))"
    source = (
        "Elfwing, Uchibe & Doya 2017, Sigmoid-weighted linear units for neural network function "
        "approximation in reinforcement learning, section 2"
    )

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(saved_bytes=4 * elements(inputs[0]))

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y, gate = smooth.silu(x, buffers)
        return y, (x, gate)

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        x, gate = saved
        return smooth.silu_backward(x, gate, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Mul", xs[0], operator("Sigmoid", xs[0]))


class Softplus(ActivationLayer):
    """The rectified linear unit with its corner rounded off."""

    type: Literal["softplus"] = "softplus"

    examples = examples_of({"type": "softplus"})
    formula = "psi(z) = log(1 + exp(z))"
    source = "Dugas et al. 2001, Incorporating second-order functional knowledge, equation 7"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        return smooth.softplus(x, buffers), x

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return smooth.softplus_backward(saved, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Softplus", xs[0])


class Sigmoid(ActivationLayer):
    """Squeezes every number between 0 and 1.

    At the end of a network it is taken over by a loss that brings its own, and is never applied twice.
    """

    type: Literal["sigmoid"] = "sigmoid"

    examples = examples_of({"type": "sigmoid"})
    formula = "psi(z) = 1 / (1 + exp(-z))"
    source = "Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y = smooth.sigmoid(x, buffers)
        return y, y

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return smooth.sigmoid_backward(saved, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Sigmoid", xs[0])


class Tanh(ActivationLayer):
    """Hyperbolic tangent: squeezes every number between -1 and 1."""

    type: Literal["tanh"] = "tanh"

    examples = examples_of({"type": "tanh"})
    formula = "psi(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z))"
    source = "LeCun et al. 1998, Efficient BackProp, section 4.4"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y = smooth.tanh(x, buffers)
        return y, y

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return smooth.tanh_backward(saved, dy, buffers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Tanh", xs[0])


class Erf(ActivationLayer):
    """Error function: squeezes every number between -1 and 1, and is what the exact GELU is made of."""

    type: Literal["erf"] = "erf"

    examples = examples_of({"type": "erf"})
    formula = "psi(z) = erf(z) = 2/sqrt(pi) * integral from 0 to z of exp(-t^2) dt"
    source = "Abramowitz & Stegun 1964, Handbook of mathematical functions, equation 7.1.1"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        return erf.erf(x, buffers), x

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return erf.erf_backward(saved, dy, buffers)

    def written(self) -> str:
        return "erf(z)"

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Erf", xs[0])
