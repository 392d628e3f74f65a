"""Dense products and sums with the ReLU that follows them."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.fast.columns import empty
from engine.fast.gemm import largest_divisor
from engine.fast.steps.base import BLOCK, Gradients, Step
from engine.layers import Context
from engine.network import Node
from engine.ops import linear


class DenseStep(Step):
    """Dense product, bias and ReLU."""

    kind = "dense"

    def __init__(self, nodes: tuple[Node, ...], batch: int) -> None:
        super().__init__(nodes)
        node = nodes[0]
        self._weight, self._bias = f"{node.name}/weight", f"{node.name}/bias"
        self._has_bias = "bias" in node.weights
        self._relu = len(nodes) > 1
        self._y = empty((batch, *node.output_shape))
        self._dy = empty(self._y.shape)
        self._positive = np.empty(self._y.shape, np.bool_)

    @property
    def choice(self) -> str:
        return "dense relu" if self._relu else "dense"

    def forward(self, xs: tuple[Array, ...], context: Context) -> Array:
        self._x = xs[0]
        np.matmul(self._x, self._weights[self._weight], out=self._y)
        if self._has_bias:
            self._y += self._weights[self._bias]
        if self._relu:
            np.maximum(self._y, 0, out=self._y)
        return self._y

    def backward(
        self, dy: Array, context: Context, *, needs_dx: bool
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if self._relu:
            np.greater(self._y, 0, out=self._positive)
            dy = np.multiply(dy, self._positive, out=self._dy)
        dx, dweight, dbias = linear.dense_backward(
            self._x,
            self._weights[self._weight],
            dy,
            with_bias=self._has_bias,
            with_input=needs_dx,
            buffers=context.bound(self.nodes[0].name),
        )
        return (dx,), {self._weight: dweight} | ({} if dbias is None else {self._bias: dbias})


class AddStep(Step):
    """A sum of inputs and ReLU."""

    kind = "add relu"

    def __init__(self, nodes: tuple[Node, ...], batch: int) -> None:
        super().__init__(nodes)
        self._y = empty((batch, *nodes[0].output_shape))
        self._dx = empty(self._y.shape)
        self._block = largest_divisor(self._y.size // self._y.shape[-1], BLOCK / self._y.shape[-1])
        self._positive = np.empty((self._block, self._y.shape[-1]), np.bool_)

    def forward(self, xs: tuple[Array, ...], context: Context) -> Array:
        y = self._blocks(self._y)
        parts = [self._blocks(x) for x in xs]
        for number, block in enumerate(y):
            np.add(parts[0][number], parts[1][number], out=block)
            for part in parts[2:]:
                block += part[number]
            np.maximum(block, 0, out=block)
        return self._y

    def backward(
        self, dy: Array, context: Context, *, needs_dx: bool
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        for y, d, dx in zip(self._blocks(self._y), self._blocks(dy), self._blocks(self._dx), strict=True):
            np.greater(y, 0, out=self._positive)
            np.multiply(d, self._positive, out=dx)
        return (self._dx,) * len(self.inputs), {}

    def _blocks(self, array: Array) -> Array:
        return array.reshape(-1, self._block, array.shape[-1])
