"""Convolutions with what follows them."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.fast.kernels.choice import Case, choose_tiled
from engine.fast.kernels.rectifier import rectifier_of
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning
from engine.fast.layout.places import Call, Place
from engine.fast.steps.base import Deferred, Gradients, Map, Step, tile_of
from engine.fast.steps.normalization import BatchNormStep, NormGradient
from engine.graph.network import Node
from engine.layers import Context
from engine.ops.windows import Window


class ConvolutionStep(Step):
    """Convolution, bias, ReLU or ReLU6, and 2x2 max-pool, of which only the convolution must be there.

    With a pool the full-size map and its gradient are never stored: bias and ReLU commute with the
    maximum, so they are applied to a quarter of the numbers. Batch norm on either side takes its part of the work
    in the tiles of the convolution, while they are in the cache (`observer`, `receiver`, deferred maps).
    """

    hands_on = False

    observer: BatchNormStep | None = None
    """Batch norm that reads the output, and nobody else does."""

    def __init__(
        self,
        nodes: tuple[Node, ...],
        window: Window,
        batch: int,
        tuning: Tuning,
        *,
        training: bool,
        needs_dx: bool,
    ) -> None:
        super().__init__(nodes)
        node = nodes[0]
        self._weight, self._bias = f"{node.name}/weight", f"{node.name}/bias"
        self._has_bias = "bias" in node.weights
        self._rectifier = rectifier_of(nodes)
        self._pools = any(node.layer.type == "max_pool2d" for node in nodes)
        shape = node.weights["weight"].shape
        self._case = Case(batch, window, shape, node.input_shapes[0][2], training, needs_dx)
        self.needs_dx = needs_dx
        self._tuning = tuning
        self._shape = nodes[-1].output_shape
        axis = window.height
        if axis.output * axis.stride == axis.size:
            self.halo = axis.before, max(0, axis.extent - axis.stride - axis.before)
        self._zeros = np.zeros(self._shape[1] * self._shape[2], np.float32)

    def lay_out(self, arena: Arena) -> None:
        batch, shape = self._case.batch, self.nodes[0].input_shapes[0]
        self._kernel = choose_tiled(self._case, self._tuning, arena, pooled=self._pools)
        tile = self._kernel.tile
        self._tiles = [slice(first, first + tile) for first in range(0, batch, tile)]
        if self._case.training:
            self._y = arena.kept((batch, *self._shape))
            self._dx = arena.gradient((batch, *shape)) if self._case.needs_input_gradient else None
            self._dy = arena.scratch((tile, *self._shape))
            self._x_tile = arena.scratch((tile, *shape))
            self._passes = arena.scratch(self._dy.shape, np.bool_)
            self._ones = np.ones(tile * self._shape[0], np.float32)
            self._dweight = arena.kept(self._case.weight)

    @property
    def tile(self) -> int:
        """How many pictures are computed at once."""
        return self._kernel.tile

    @property
    def choice(self) -> str:
        epilogue = f" {self._rectifier.name}" if self._rectifier else ""
        epilogue += " max_pool" if self._pools else ""
        return f"{self._kernel.name}/{self._kernel.tile}{epilogue}"

    def _prepare_kernel(self) -> None:
        bias = self._weights[self._bias] if self._has_bias else None
        if self.observer is not None:  # batch norm does not mind a shift, and its sums are taken about it
            about = self.observer.about()
            bias = -about if bias is None else bias - about
        self._kernel.prepare(self._weights[self._weight], bias)

    def forward(self, xs: tuple[Map, ...], context: Context) -> Array:
        self._x = xs[0]
        _, width, filters = self._shape
        self._prepare_kernel()
        if self.observer is not None:
            self.observer.begin_statistics()
        for tile in self._tiles:
            x, y = self._input(tile), self._y[tile]
            self._kernel.forward(tile, x, y)
            if self._rectifier is not None:
                self._rectifier.apply(y.reshape(-1, width * filters), self._zeros)
            if self.observer is not None:
                self.observer.observe(y)
        return self._y

    @property
    def entry(self) -> Place | None:
        entry = self._kernel.entry
        return entry if entry is not None and len(entry.maps) == self._case.batch else None

    @property
    def margins(self) -> Array:
        return self._kernel.margins

    def bind(self, xs: tuple[Place, ...], y: Place, zeros: Array) -> tuple[list[Call], Place]:
        self._prepare_kernel()
        calls: list[Call] = []
        for tile in self._tiles:
            part = y.tile(tile)
            calls += self._kernel.bind(xs[0].maps[tile], part)
            if self._rectifier is not None:
                calls += self._rectifier.bind(part, zeros)
        return calls, y

    def backward(
        self, dy: Map, context: Context, *, needs_dx: bool, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        _, width, filters = self._shape
        scale = dy.scale if isinstance(dy, NormGradient) else None
        dbias = np.zeros(width * filters, np.float32)
        weight = self._weights[self._weight]
        if scale is not None:
            weight = np.multiply(weight, scale, out=self._dweight)  # free until the end of the pass
        self._kernel.prepare_backward(weight)
        if self.receiver is not None:
            self.receiver.begin()
        for tile in self._tiles:
            part = tile_of(dy, tile, self._dy)
            if self._rectifier is not None:
                passes = self._rectifier.passes(self._y[tile], self._passes)
                part = np.multiply(part, passes, out=self._dy)
            if self._has_bias:
                dbias += self._ones @ part.reshape(-1, width * filters)
            x = self._input(tile)
            dx = None if self._dx is None else self._dx[tile]
            self._kernel.backward(tile, x, part, dx)
            if dx is not None and base is not None:
                dx += base[tile]
            if dx is not None and self.receiver is not None:
                self.receiver.receive(tile, dx, x)
        self._kernel.weight_gradient(self._dweight)
        if scale is not None:
            self._dweight *= scale
        gradients = {self._weight: self._dweight}
        if self._has_bias:
            summed = dbias.reshape(width, filters).sum(axis=0)
            gradients[self._bias] = summed if scale is None else summed * scale
        return (self._dx,), gradients

    def _input(self, tile: slice) -> Array:
        if isinstance(self._x, Deferred):
            return tile_of(self._x, tile, self._x_tile)
        return self._x[tile]
