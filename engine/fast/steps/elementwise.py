"""Dense products, sums and means of maps, with what follows them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from engine.arrays import Array, Shape, elements
from engine.fast.kernels.rectifier import rectifier_of
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import largest_divisor, viewed
from engine.fast.layout.places import FEW_WEIGHTS, Bias, Call, Place, added, close, moved
from engine.fast.steps.base import (
    BLOCK,
    Claim,
    Current,
    Given,
    Gradients,
    LayerStep,
    Map,
    Memory,
    Step,
    Task,
    bound_tile,
    placed,
    rectified,
    stored,
)
from engine.fast.steps.normalization import BatchNormStep, tile_memory
from engine.graph.network import Node
from engine.layers import Context

_FEW_PICTURES = 4
_NOTHING = np.empty((0, 0), np.float32)


class DenseStep(Step):
    """Dense product, bias and ReLU or ReLU6: relu(x W + b)."""

    types = frozenset({"dense"})
    hands_on = False

    kind = "dense"

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        node, batch, training = nodes[0], task.batch, task.training
        self._weight, self._bias = f"{node.name}/weight", f"{node.name}/bias"
        self._has_bias = "bias" in node.weights
        self._rectifier = rectifier_of(nodes)
        inputs, units = node.weights["weight"].shape
        self._own: Place | None = None
        self._bias_run = Bias()
        if not training and batch <= _FEW_PICTURES and inputs * units <= FEW_WEIGHTS:
            # a one behind each vector adds the bias without a call of its own
            vectors = np.ones((batch, inputs + 1), np.float32)
            self._own = Place(vectors[:, :inputs], vectors)
            self._with_bias = np.zeros((inputs + 1, units), np.float32)
        self._batch, self._training = batch, training

    @classmethod
    def claim(cls, chain: Sequence[Node], *, training: bool) -> Claim:
        return rectified(chain, 1)

    def lay_out(self, arena: Arena) -> None:
        if self._training:
            shape = (self._batch, *self.shape)
            self._dy = arena.scratch(shape)
            self._passes = arena.scratch(shape, np.bool_)
            if self.task.wants_dw:
                self._dweight = arena.kept(self.nodes[0].weights["weight"].shape)
            if self.task.wants_dx:
                self._dx = arena.gradient((self._batch, *self.nodes[0].input_shapes[0]))

    @property
    def choice(self) -> str:
        return f"dense {self._rectifier.name}" if self._rectifier else "dense"

    @property
    def entry(self) -> Place | None:
        return self._own

    def prepare(self, current: Current) -> list[Call]:
        super().prepare(current)
        weight, bias = self._weights[self._weight], self._weights[self._bias] if self._has_bias else None
        if self._own is None:
            return self._bias_run.prepare(bias)
        return [
            partial(np.copyto, self._with_bias[:-1], weight),
            partial(np.copyto, self._with_bias[-1], 0 if bias is None else bias),
        ]

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        x, self._y = placed(xs[0]).maps, y.maps
        self._x = x
        after = [] if self._rectifier is None else self._rectifier.bind(y, current.zeros)
        if self._own is None:
            product = partial(np.matmul, x, self._weights[self._weight], out=y.maps)
            return [product, *self._bias_run.bind(y), *after], y
        product = partial(np.matmul, self._own.flat, self._with_bias, out=y.maps)
        # whatever works on all of a place's memory may have written to the ones
        ones = partial(self._own.flat[:, -1].fill, 1)
        return [*moved(x, self._own.maps), ones, product, *after], y

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        dy = stored(dy)
        if self._rectifier is not None:
            dy = np.multiply(dy, self._rectifier.passes(self._y, self._passes), out=self._dy)
        gradients: Gradients = {}
        if self.task.wants_dw:
            gradients[self._weight] = np.matmul(self._x.T, dy, out=self._dweight)
            if self._has_bias:
                gradients[self._bias] = dy.sum(axis=0)
        dx = np.matmul(dy, self._weights[self._weight].T, out=self._dx) if self.task.wants_dx else None
        return (dx,), gradients


class AddStep(Step):
    """A sum of inputs and ReLU or ReLU6: relu(x1 + x2 + ...).

    Batch norms among the inputs are computed in its tiles (`norms`).
    """

    types = frozenset({"add"})
    reads_apart = True
    halo = 0, 0

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        self._rectifier = rectifier_of(nodes)
        batch = self._batch = task.batch
        self._training = task.training
        self._d: Array | None = None
        self._room = Place(_NOTHING, _NOTHING)
        self._tile = largest_divisor(batch, BLOCK / elements(self.shape))
        self._tiles = [slice(first, first + self._tile) for first in range(0, batch, self._tile)]
        # used in the tiles of the step behind, which has the scratch of the arena meanwhile
        self._passes = np.empty((0, *self.shape), np.bool_)
        self._received = False
        self.receives = False
        """Whether the step behind hands over its gradient tile by tile."""
        self.norms: list[BatchNormStep] = []

    @classmethod
    def claim(cls, chain: Sequence[Node], *, training: bool) -> Claim:
        return rectified(chain, 1)

    @property
    def memory(self) -> Memory:
        return tile_memory(self) if self.task.training else super().memory

    def lay_out(self, arena: Arena) -> None:
        if self._training:
            self._room = close(arena.scratch((self._tile, *self.shape)))
            if self.learns and not self.receives:
                self._d = arena.gradient((self._batch, *self.shape))

    @property
    def choice(self) -> str:
        return f"add {self._rectifier.name}" if self._rectifier else "add"

    def beside(self, y: Place, shape: Shape) -> Place | None:
        return y.like()  # so that memory is added up in one run

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        self._y = y.maps
        calls: list[Call] = []
        for tile in self._tiles:
            part = y.tile(tile)
            before, one = bound_tile(xs[0], tile, part)
            calls += before
            for x in xs[1:]:
                before, other = bound_tile(x, tile, self._room)
                calls += [*before, added(one, other, part)]
                one = part
            if self._rectifier is not None:
                calls += self._rectifier.bind(part, current.zeros)
        return calls, y

    def begin(self) -> None:
        """Expect a new gradient, tile by tile."""
        self._received = True
        for norm in self.norms:
            norm.begin()

    def receive(self, tile: slice, d: Array, z: Array) -> None:
        """Take the gradient of a tile of the output z, in place: what ReLU stopped becomes zero."""
        if self._rectifier is not None:
            if len(self._passes) < len(d):
                self._passes = np.empty(d.shape, np.bool_)
            d *= self._rectifier.passes(z, self._passes[: len(d)])
        for norm in self.norms:
            norm.add(tile, d)

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        d = stored(dy)
        if not self._received:
            self.begin()
            if self._d is None:
                raise RuntimeError(
                    f"the gradient of {self.nodes[0].name} has no place: it was to be received"
                )
            for tile in self._tiles:
                np.copyto(self._d[tile], d[tile])
                self.receive(tile, self._d[tile], self._y[tile])
            d = self._d
        self._received = False
        return (d,) * len(self.inputs), {}


class ConcatenateStep(LayerStep):
    """Inputs side by side: each is copied to its channels."""

    types = frozenset({"concatenate"})
    kind = "concatenate"
    halo = 0, 0

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        ends = self._saved = np.cumsum([0, *(shape[-1] for shape in self.nodes[0].input_shapes)])
        return [
            partial(np.copyto, y.maps[..., first:last], placed(x).maps)
            for x, (first, last) in zip(xs, pairwise(ends), strict=True)
        ], y


class FlattenStep(Step):
    """The same numbers in another shape."""

    types = frozenset({"flatten"})
    kind = "view"
    stores = False

    def beside(self, y: Place, shape: Shape) -> Place | None:
        return Place(viewed(y.maps, (len(y.maps), *shape)), y.flat)  # the very memory of the output

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        x = placed(xs[0])
        self._input = x.maps.shape
        return [], Place(viewed(x.maps, (len(x.maps), *self.shape)), viewed(x.flat, (len(x.maps), -1)))

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (stored(dy).reshape(self._input),), {}


class GlobalAverageStep(Step):
    """The mean of each channel, as a product with a row of 1 / (H * W)."""

    types = frozenset({"global_average_pool2d"})
    hands_on = False

    kind = "global_average"

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        height, width, _ = self._input = nodes[0].input_shapes[0]
        self._row = np.full((1, height * width), 1 / (height * width), np.float32)
        self._batch, self._training = task.batch, task.training

    def lay_out(self, arena: Arena) -> None:
        if self._training and self.learns:
            self._dx = arena.gradient((self._batch, *self._input))

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        maps = placed(xs[0]).maps
        pictures, _, _, channels = maps.shape
        x, means = viewed(maps, (pictures, -1, channels)), viewed(y.maps, (pictures, 1, channels))
        return [partial(np.matmul, self._row, x, out=means)], y

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        d = stored(dy)
        np.multiply(d[:, None, None, :], self._row[0, 0], out=self._dx)
        return (self._dx,), {}
