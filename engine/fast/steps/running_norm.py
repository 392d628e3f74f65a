"""Batch normalisation by running statistics, with the ReLU or ReLU6 that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from engine.arrays import Array, elements
from engine.fast.kernels.rectifier import rectifier_of
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import largest_divisor, row_of
from engine.fast.layout.places import Call, Place
from engine.fast.steps.base import (
    BLOCK,
    Claim,
    Current,
    Given,
    Gradients,
    Map,
    Step,
    Task,
    placed,
    rectified,
    stored,
)
from engine.fast.steps.normalization import uses_batch
from engine.graph.network import Node
from engine.layers import Context


class RunningNormStep(Step):
    """Batch normalisation by running statistics, and ReLU or ReLU6, on maps.

        relu((x - mean) / sqrt(variance + epsilon) * scale + shift) = relu(x * factor + offset)

    In inference most of them are folded into a convolution before; in training it is what a frozen one does, whose way
    back is dx = d * factor, where the ReLU passed.
    """

    types = frozenset({"batch_norm"})
    kind = "running_norm"
    hands_on = False
    halo = 0, 0

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        self._rectifier = rectifier_of(nodes)
        _, width, channels = nodes[0].output_shape
        self._row = width * channels
        self._factor, self._offset = np.empty((2, self._row), np.float32)
        self._dx: Array | None = None

    @classmethod
    def claim(cls, chain: Sequence[Node], *, training: bool) -> Claim:
        if uses_batch(chain[0], training=training):
            return "it normalises by the batch"
        return rectified(chain, 1) if len(chain[0].output_shape) == 3 else "it normalises vectors"

    @property
    def choice(self) -> str:
        return f"{self.kind} {self._rectifier.name}" if self._rectifier else self.kind

    def lay_out(self, arena: Arena) -> None:
        batch = self.task.batch
        tile = largest_divisor(batch, BLOCK / elements(self.shape))
        self._tiles = [slice(first, first + tile) for first in range(0, batch, tile)]
        if not self.task.training:
            return
        if self.task.wants_dx:
            self._dx = arena.gradient((batch, *self.shape))
            self._passes = arena.scratch((tile * self.shape[0], self._row), np.bool_)

    def prepare(self, current: Current) -> list[Call]:
        super().prepare(current)
        return [self._combine]

    def _combine(self) -> None:
        """Turn statistics and parameters into one factor and one offset for each place of a row."""
        node, weights = self.nodes[0], self._weights
        layer: Any = node.layer
        scale, shift, mean, variance = (
            weights[f"{node.name}/{name}"].astype(np.float64)
            for name in ("scale", "shift", "running_mean", "running_variance")
        )
        factor = scale / np.sqrt(variance + layer.epsilon)
        width = self.shape[1]
        self._factor[...] = row_of(factor.astype(np.float32), width)
        self._offset[...] = row_of((shift - mean * factor).astype(np.float32), width)

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        self._y = y.maps
        calls: list[Call] = []
        for tile in self._tiles:
            x, part = placed(xs[0]).tile(tile), y.tile(tile)
            calls.append(partial(np.multiply, x.rows, self._factor, out=part.rows))
            calls.append(partial(np.add, part.rows, self._offset, out=part.rows))
            if self._rectifier is not None:
                calls += self._rectifier.bind(part, current.zeros)
        return calls, y

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if self._dx is None:
            return (None,), {}
        d = stored(dy)
        for tile in self._tiles:
            rows, dx = d[tile].reshape(-1, self._row), self._dx[tile].reshape(-1, self._row)
            np.multiply(rows, self._factor, out=dx)
            if self._rectifier is not None:
                dx *= self._rectifier.passes(self._y[tile].reshape(dx.shape), self._passes)
        return (self._dx,), {}
