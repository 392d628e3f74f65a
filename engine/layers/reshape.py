"""Layers that only change how numbers are arranged."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from engine.arrays import Array, Shape, Weights, elements
from engine.layers.base import Context, Example, Gradients, Layer


class Flatten(Layer):
    """Lays a map out as one vector, running over (height, width, channels)."""

    type: Literal["flatten"] = "flatten"

    examples: ClassVar = (Example({"type": "flatten"}, ((2, 3, 4),)), Example({"type": "flatten"}, ((5,),)))
    formula: ClassVar = "n = n_H * n_W * n_C"
    source: ClassVar = "The article, section 3, Fully connected layer"

    def output_shape(self, *inputs: Shape) -> Shape:
        return (elements(inputs[0]),)

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return {"size": f"{'*'.join(map(str, inputs[0]))} = {elements(inputs[0])}"}

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        x = xs[0]
        return x.reshape(len(x), -1), x.shape

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (dy.reshape(saved),), {}
