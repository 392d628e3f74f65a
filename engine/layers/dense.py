"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from engine.arrays import Array, Shape, Weights
from engine.layers.base import (
    Context,
    Cost,
    Example,
    Gradients,
    Layer,
    Reach,
    WeightSpec,
    require_vector,
)
from engine.layers.export import Constant, Given, Operator, operator
from engine.layers.initializers import Initializer
from engine.layers.jacobian import Column
from engine.layers.parameters import Activation
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, gather, weighted
from engine.ops import linear
from engine.spec import Flag, PositiveInt


class Dense(Layer):
    """Connects every input number with every output number."""

    type: Literal["dense"] = "dense"
    units: PositiveInt
    """Numbers in the output, n of this layer."""
    bias: Flag = True
    """Whether a number per unit is added."""
    activation: Activation | None = None
    """The article's psi, applied as a node of its own."""
    weight_initializer: Initializer = "he_normal"
    """How the weights start."""

    examples = (
        Example({"type": "dense", "units": 4, "activation": "relu"}, ((6,),)),
        Example({"type": "dense", "units": 1, "bias": False}, ((3,),)),
    )
    formula = "z_j = sum_l w[l, j] * a_l + b_j"
    source = "Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors"

    def output_shape(self, *inputs: Shape) -> Shape:
        require_vector(inputs[0], "dense")
        return (self.units,)

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        shape = (inputs[0][0], self.units)
        weight = WeightSpec(shape, ("in", "out"), self.weight_initializer, self.trainable)
        bias = WeightSpec((self.units,), ("out",), "zeros", self.trainable, decays=False)
        return {"weight": weight, "bias": bias} if self.bias else {"weight": weight}

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(inputs[0][0] * self.units)

    def reach(self, *inputs: Shape) -> Reach | None:
        return None

    def connections(self, *inputs: Shape) -> int | None:
        return inputs[0][0] * self.units

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return {"size": f"units = {self.units}"}

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        return linear.dense(xs[0], weights["weight"], weights.get("bias"), context), xs[0]

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        dx, dweight, dbias = linear.dense_backward(
            saved,
            weights["weight"],
            dy,
            with_weight=context.wants("weight"),
            with_bias=self.bias and context.wants("bias"),
            with_input=context.wants_input,
            buffers=context,
        )
        return (dx,), context.gradients(weight=dweight, bias=dbias)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        unit = position[0]
        bias = weights["bias"][unit] if self.bias else None
        return weighted(position, gather(xs[0], Line(0, len(xs[0]))), weights["weight"][:, unit], bias)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        return Column.along([Line(0, self.units)], weights["weight"][position[0]])

    def export(self, weights: Weights, *xs: Given) -> Operator:
        bias = [Constant(weights["bias"], "bias")] if self.bias else []
        return operator("Gemm", xs[0], self.exported(weights, "weight", ("in", "out"), xs[0].shape), *bias)
