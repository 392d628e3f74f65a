"""Convolutions with what follows them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from engine.arrays import Array, elements
from engine.fast.kernels.choice import choose, decide
from engine.fast.kernels.depthwise import Depthwise
from engine.fast.kernels.kernel import Case
from engine.fast.kernels.rectifier import rectifier_of
from engine.fast.layout.arena import Arena
from engine.fast.layout.places import Call, Place, close
from engine.fast.steps.base import (
    FLOAT,
    Claim,
    Current,
    Deferred,
    Given,
    Gradients,
    Map,
    Memory,
    Step,
    Task,
    bound_tile,
    rectified,
    tile_of,
)
from engine.fast.steps.margins import halo_of
from engine.fast.steps.normalization import BatchNormStep, NormGradient
from engine.fast.steps.pooling import pools_by_two
from engine.graph.network import Node
from engine.layers import Context
from engine.ops.windows import Window


class ConvolutionStep(Step):
    """Convolution, bias, ReLU or ReLU6, and 2x2 max-pool, of which only the convolution must be there.

        pool(relu(conv(x, W) + b)) = relu(pool(conv(x, W)) + b)

    With a pool the full-size map and its gradient are never stored: bias and ReLU commute with the
    maximum, so they are applied to a quarter of the numbers. Batch norm on either side takes its part of the work
    in the tiles of the convolution, while they are in the cache (`observer`, `receiver`, deferred maps).
    """

    hands_on = False
    reads_apart = True

    _nothing = np.empty(0, np.float32)

    observer: BatchNormStep | None = None
    """Batch norm that reads the output, and nobody else does."""

    types = frozenset({"conv2d", "depthwise_conv2d"})

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        node = nodes[0]
        layer: Any = node.layer
        window: Window = layer.window(node.input_shapes[0])
        self._weight, self._bias = f"{node.name}/weight", f"{node.name}/bias"
        self._has_bias = "bias" in node.weights
        self._rectifier = rectifier_of(nodes)
        self._pools = any(node.layer.type == "max_pool2d" for node in nodes)
        self._case = Case(
            task.batch,
            window,
            node.weights["weight"].shape,
            node.input_shapes[0][2],
            task.training,
            wants_dx=task.training and task.wants_dx,
            wants_dw=task.training and task.wants_dw,
            pooled=self._pools,
        )
        self._shape = nodes[-1].output_shape
        self.halo = halo_of(window.height)
        self._x_tile = Place(self._nothing, self._nothing)
        self._shifted = np.empty(self._shape[2], np.float32)

    @classmethod
    def claim(cls, chain: Sequence[Node], *, training: bool) -> Claim:
        first = chain[0]
        layer: Any = first.layer
        (shape,), weight = first.input_shapes, first.weights["weight"].shape
        if weight[2] != shape[2] and not Depthwise.fits(layer.window(shape), shape[2], weight):
            return "its filters see some of the channels, or windows that no kernel is made for"
        count = rectified(chain, 1)
        if len(chain) == count or not pools_by_two(chain[count]):
            return count
        return count + 1 if count > 1 else rectified(chain, 2)

    @property
    def memory(self) -> Memory:
        held = super().memory.held
        inputs = elements(self.nodes[0].input_shapes[0])
        if not self.task.training and self._case.weight[:2] == (1, 1):
            held += (
                inputs * FLOAT * self.task.batch
            )  # pixels lie apart where a neighbour wants them to: a copy
        if self.receiver is not None:
            # that step's tile of numbers, where they are positive and where they are below six
            held += (FLOAT + 2) * self.tile * inputs
        return Memory(held)

    def lay_out(self, arena: Arena) -> None:
        batch, shape = self._case.batch, self.nodes[0].input_shapes[0]
        self._kernel = choose(self._case, self.task.tuning, arena)
        tile = self._kernel.tile
        self._tiles = [slice(first, first + tile) for first in range(0, batch, tile)]
        self._dx: Array | None = None
        if self._case.training:
            self._x_tile = close(arena.scratch((tile, *shape)))
        if self._case.training and self.learns:
            self._dy = arena.scratch((tile, *self._shape))
            self._passes = arena.scratch(self._dy.shape, np.bool_)
            self._ones = np.ones(tile * self._shape[0], np.float32)
            self._dweight = arena.kept(
                self._case.weight
            )  # or filters that batch norm's factors are taken into
            if self._case.wants_dx:
                self._dx = arena.gradient((batch, *shape))

    @property
    def tile(self) -> int:
        """How many pictures are computed at once."""
        return self._kernel.tile

    @property
    def choice(self) -> str:
        epilogue = f" {self._rectifier.name}" if self._rectifier else ""
        epilogue += " max_pool" if self._pools else ""
        return f"{self._kernel.name}/{self._kernel.tile}{epilogue}"

    @property
    def why(self) -> str:
        return decide(self._case, self.task.tuning).why

    def prepare(self, current: Current) -> list[Call]:
        super().prepare(current)
        weight, bias = self._weights[self._weight], self._weights[self._bias] if self._has_bias else None
        if self.observer is None:
            return self._kernel.prepare(weight, bias)
        # batch norm does not mind a shift, and its sums are taken about it
        return [partial(self._shift, self.observer, bias), *self._kernel.prepare(weight, self._shifted)]

    def _shift(self, observer: BatchNormStep, bias: Array | None) -> None:
        if bias is None:
            np.negative(observer.about(), out=self._shifted)
        else:
            np.subtract(bias, observer.about(), out=self._shifted)

    @property
    def entry(self) -> Place | None:
        entry = self._kernel.entry
        return entry if entry is not None and len(entry.maps) == self._case.batch else None

    @property
    def margins(self) -> Array:
        return self._kernel.margins

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        (given,) = xs
        self._x, self._y = given if isinstance(given, Deferred) else given.maps, y.maps
        calls: list[Call] = [] if self.observer is None else [self.observer.begin_statistics]
        for tile in self._tiles:
            before, x = bound_tile(given, tile, self._x_tile)
            part = y.tile(tile)
            calls += [*before, *self._kernel.bind(tile, x.maps, part)]
            if self._rectifier is not None:
                calls += self._rectifier.bind(part, current.zeros)
            if self.observer is not None:
                calls.append(partial(self.observer.observe, part.maps))
        return calls, y

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
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
            if self._has_bias and self._case.wants_dw:
                dbias += self._ones @ part.reshape(-1, width * filters)
            x = self._input(tile) if self._case.wants_dw or self.receiver is not None else self._nothing
            dx = None if self._dx is None else self._dx[tile]
            self._kernel.backward(tile, x, part, dx)
            if dx is not None and base is not None:
                dx += base[tile]
            if dx is not None and self.receiver is not None:
                self.receiver.receive(tile, dx, x)
        gradients: Gradients = {}
        if self._case.wants_dw:
            self._kernel.weight_gradient(self._dweight)
            if scale is not None:
                self._dweight *= scale
            gradients[self._weight] = self._dweight
            if self._has_bias:
                summed = dbias.reshape(width, filters).sum(axis=0)
                gradients[self._bias] = summed if scale is None else summed * scale
        return (self._dx,), gradients

    def _input(self, tile: slice) -> Array:
        if isinstance(self._x, Deferred):
            return tile_of(self._x, tile, self._x_tile.maps)
        return self._x[tile]
