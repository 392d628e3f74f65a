"""Batch normalisation with the ReLU or ReLU6 that follows it, computed in the tiles of the steps around it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from engine.arrays import Array, elements
from engine.fast.kernels.columns import empty
from engine.fast.kernels.rectifier import Rectifier, rectifier_of
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import largest_divisor, row_of
from engine.fast.layout.places import Call, Place
from engine.fast.steps.base import (
    BLOCK,
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
    placed,
    rectified,
    stored,
)
from engine.graph.network import Node
from engine.layers import Context

_FAR = 16
"""A map is summed again where the square of a mean is so many times the variance, which then is so much less exact."""


class BatchNormStep(Step):
    """Batch normalisation by the statistics of the batch, and ReLU or ReLU6, on maps.

        relu((x - mean) / sqrt(variance + epsilon) * scale + shift) = relu(x * factor + offset)

    What it is linked to decides how often the map is read from memory:

    - behind a convolution (`observed`), the sums for mean and variance are taken of each tile as it comes out of
      the product, and the gradient of the map is computed where the convolution takes it apart again; the
      convolution subtracts the running mean, which costs it nothing;
    - before a convolution or a sum (`deferred`), the normalised map is computed where it is read, forward and
      again backward, and never stored;
    - where the step behind hands over its gradient tile by tile (`receive`), so are the sums of backward.

    All sums are of the map less the running mean, which is as safe as two passes while the batch's own mean is near
    (Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", on shifted data). Where the sums say
    that it is not, as in the first steps of training, the map is summed again about the mean that they found
    (`_closer`). Each share decides that for itself, for what shares add up is about the running mean, in float64.
    """

    types = frozenset({"batch_norm"})
    kind = "batch_norm"

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        node, batch = nodes[0], task.batch
        layer: Any = node.layer
        self._layer = layer
        self._names = {name: f"{node.name}/{name}" for name in node.weights}
        self._rectifier = rectifier_of(nodes)
        self._batch = batch
        self._height, self._width, self._channels = node.output_shape
        self._row = self._width * self._channels
        self.tile = largest_divisor(batch, BLOCK / (self._height * self._row))
        self._tiles = [slice(first, first + self.tile) for first in range(0, batch, self.tile)]
        self.deferred = False
        self.observed = False
        self.receives = False
        """Whether the step behind hands over its gradient tile by tile."""
        self._y: Array | None = None
        self._d: Array | None = None
        # used in the tiles of other steps, which have the scratch of the arena meanwhile
        self._part = np.empty((0, self._row), np.float32)
        self._passes = np.empty((0, self._row), np.bool_)
        self._ones = np.empty(0, np.float32)
        self._received = False
        self._about_row = self._shift = np.empty(0, np.float32)
        # two sums for each place of a row: of the map and its square; of the gradient and its product with the map
        self._sums, self._d_sums = np.empty((2, 2, self._row), np.float32)
        # two numbers for each channel, repeated over a row: what the map, or its gradient, is multiplied by, and added
        self._apply_rows, self._pull_rows = np.empty((2, 2, self._row), np.float32)
        by_pixel = (2, self._width, self._channels)
        self._apply, self._pull = self._apply_rows.reshape(by_pixel), self._pull_rows.reshape(by_pixel)
        self._zeros = np.zeros(self._row, np.float32)

    @classmethod
    def claim(cls, chain: Sequence[Node], *, training: bool) -> Claim:
        if not uses_batch(chain[0], training=training):
            return "it normalises by running statistics"
        return rectified(chain, 1) if len(chain[0].output_shape) == 3 else "it normalises vectors"

    @property
    def memory(self) -> Memory:
        return tile_memory(self)

    def lay_out(self, arena: Arena) -> None:
        shape = self.nodes[0].output_shape
        if not (self.receives and self.observed):
            self._d = arena.gradient((self._batch, *shape))

    @property
    def choice(self) -> str:
        words = [self.kind, *([self._rectifier.name] if self._rectifier else [])]
        words += [word for word, is_so in (("observed", self.observed), ("deferred", self.deferred)) if is_so]
        return " ".join(words)

    @property
    def rectifies(self) -> bool:
        """Whether ReLU or ReLU6 follows."""
        return self._rectifier is not None

    def about(self) -> Array:
        """Return what is subtracted from the map (C,) before it is summed; a convolution before it does so."""
        about: Array = self._weights[self._names["running_mean"]]
        return about

    def _sum_up(self) -> Array:
        """Return this share's sums of the map less `about`, and of its square, each with the number of values behind.

        That is an array (2, C + 1) of float64.
        """
        if not self.observed:
            self.begin_statistics()
            for tile in self._tiles:
                self.observe(self._x[tile])
        values = self._batch * self._height * self._width
        own = np.empty((2, self._channels + 1))
        own[:, :-1], own[:, -1] = self._per_channel(self._sums), values
        self._shift = np.zeros(self._channels, np.float32)
        if self._is_far(own[:, :-1] / values):
            self._closer(own[0, :-1] / values)
            sums, squares = self._per_channel(self._sums).astype(np.float64)
            shift = self._shift.astype(np.float64)
            own[0, :-1] = sums + values * shift
            own[1, :-1] = squares + shift * (2 * sums + values * shift)
        return own

    def _is_far(self, moments: Array) -> bool:
        """Whether means (C,) of a map and of its square cancel, for the deviation is small beside the mean."""
        mean, square = moments
        variance = square - mean * mean
        near = mean * mean <= _FAR * (variance + self._layer.epsilon)
        return not np.all(near & np.isfinite(variance))

    def _closer(self, mean: Array) -> None:
        """Sum the map up again, about the mean (C,) that the first sums found."""
        self._shift = np.where(np.isfinite(mean), mean, 0).astype(np.float32)
        row = row_of(self._shift, self._width)
        if not self.observed:
            self._about_row = self._about_row + row
        self._sums[...] = 0
        for tile in self._tiles:
            x = self._x[tile]
            if self.observed:  # the convolution's own memory
                rows = x.reshape(-1, self._row)
                rows -= row
            self.observe(x)

    def begin_statistics(self) -> None:
        """Expect the tiles of a new map."""
        if not self.observed:
            self._about_row = row_of(self.about(), self._width)
        self._sums[...] = 0

    def observe(self, x: Array) -> None:
        """Add the sums of a tile (T, H, W, C) while it is in the cache."""
        rows = self._shifted(x)
        self._sums[0] += self._ones[: len(rows)] @ rows
        self._sums[1] += np.einsum("ij,ij->j", rows, rows)

    @property
    def stores(self) -> bool:  # type: ignore[override]
        """Whether the normalised map has a place."""
        return not self.deferred

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        x = self._x = placed(xs[0]).maps
        factor, offset = self._apply_rows
        normalised = Normalised(x, factor, offset, self._zeros, self._rectifier)
        calls: list[Call] = [partial(self._normalise, current)]
        if self.deferred:
            return calls, normalised
        self._y = y.maps
        return calls + [partial(normalised.into, tile, y.maps[tile]) for tile in self._tiles], y

    def _normalise(self, current: Current) -> None:
        """Gather the statistics of a batch, and what follows from them."""
        context = current.context
        scale, shift, mean, variance = (
            self._weights[self._names[name]]
            for name in ("scale", "shift", "running_mean", "running_variance")
        )
        moved, variance, self._count = self._statistics(context)
        unbiased = variance * (self._count / max(self._count - 1, 1))
        for name, value in (("running_mean", mean + moved), ("running_variance", unbiased)):
            old = self._weights[self._names[name]]
            new = old + self._layer.momentum * (value - old)
            context.updates[self._names[name]] = new.astype(np.float32)
        self._moved = moved - self._shift
        mean = self._mean = self._moved if self.observed else mean + moved
        self._inverse = (1 / np.sqrt(variance + self._layer.epsilon)).astype(np.float32)
        factor = scale * self._inverse
        self._apply[0], self._apply[1] = factor, shift - mean * factor

    def begin(self) -> None:
        """Expect a new gradient, tile by tile."""
        self._received = True
        self._d_sums[...] = 0

    def receive(self, tile: slice, d: Array, z: Array) -> None:
        """Take the gradient of a tile of the output z, in place: what ReLU stopped becomes zero."""
        if self._rectifier is not None:
            passes = self._mask(len(d) * self._height)
            rows = d.reshape(passes.shape)
            rows *= self._rectifier.passes(z.reshape(passes.shape), passes)
        self.add(tile, d)

    def add(self, tile: slice, d: Array) -> None:
        """Add the sums of a tile's gradient behind ReLU."""
        x, d = self._shifted(self._x[tile]), d.reshape(-1, self._row)
        self._d_sums[0] += self._ones[: len(d)] @ d
        self._d_sums[1] += np.einsum("ij,ij->j", d, x)

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Map | None, ...], Gradients]:
        d = stored(dy)
        if not self._received:
            d = self._take(d)
        self._received = False
        scale = self._weights[self._names["scale"]]
        found = self._per_channel(self._d_sums)
        dshift, dscale = found
        dscale -= self._moved * dshift
        dscale *= self._inverse
        mean_d, mean_dn = context.reduce(found) / np.float32(self._count)
        # dx = k (d - mean(d) - n mean(d n)), n = (x - mean) / deviation
        by_x = mean_dn * -self._inverse
        self._pull[0], self._pull[1] = by_x, -mean_d - by_x * self._mean
        gradient = NormGradient(self._x, d, self._pull_rows[0], self._pull_rows[1], scale * self._inverse)
        gradients = {self._names["scale"]: dscale, self._names["shift"]: dshift}
        if self.observed:
            return (gradient,), gradients
        dx = self._place()
        room = self._room(self.tile * self._height).reshape(self.tile, *self.nodes[0].output_shape)
        k = row_of(gradient.scale, self._width)
        for tile in self._tiles:
            gradient.into(tile, room)
            np.multiply(room.reshape(-1, self._row), k, out=dx[tile].reshape(-1, self._row))
        return (dx,), gradients

    def _take(self, dy: Array) -> Array:
        """Go through a gradient that came as a whole, and leave it as it is."""
        self.begin()
        taken, normalised = self._place(), self._y
        for tile in self._tiles:
            d = taken[tile]
            np.copyto(d, dy[tile])
            if self._rectifier is not None and normalised is not None:
                self.receive(tile, d, normalised[tile])
            else:
                self.add(tile, d)
        return taken

    def _place(self) -> Array:
        if self._d is None:
            raise RuntimeError(
                f"the gradient of {self.nodes[0].name} has no place: it was to be received and deferred"
            )
        return self._d

    def _shifted(self, x: Array) -> Array:
        """Return a tile as rows (T * H, W * C), less `about`."""
        rows = x.reshape(-1, self._row)
        if len(self._ones) < len(rows):
            self._ones = np.ones(len(rows), np.float32)
        if self.observed:
            return rows
        return np.subtract(rows, self._about_row, out=self._room(len(rows)))

    def _statistics(self, context: Context) -> tuple[Array, Array, int]:
        """Return mean and variance (C,) of the map less `about` over all shares, and how many values a channel has."""
        total = context.reduce(self._sum_up())
        mean, square = total[:, :-1] / total[0, -1]
        return mean, np.maximum(square - mean * mean, 0), int(total[0, -1])

    def _per_channel(self, rows: Array) -> Array:
        """Turn two sums of rows (2, W * C) into those of channels (2, C)."""
        totals: Array = np.add.reduce(rows.reshape(2, self._width, self._channels), axis=1)
        return totals

    def _room(self, rows: int) -> Array:
        """Return memory for so many rows of a tile; tiles are as large as the steps around want them."""
        if len(self._part) < rows:
            self._part = empty((rows, self._row))
        return self._part[:rows]

    def _mask(self, rows: int) -> Array:
        if len(self._passes) < rows:
            self._passes = np.empty((rows, self._row), np.bool_)
        return self._passes[:rows]


def uses_batch(node: Node, *, training: bool) -> bool:
    """Whether a batch norm goes by the statistics of the batch: in inference, and where it is frozen, it does not."""
    return training and any(spec.trainable for spec in node.weights.values())


def tile_memory(step: Step) -> Memory:
    """Return what a step holds for a tile beside the arena: numbers, where they are positive, and where below six."""
    return Memory((FLOAT + 2) * max(BLOCK, elements(step.shape)))


class Normalised(Deferred):
    """x * factor + offset behind a rectifier, with factor and offset repeated over a row (W * C,)."""

    def __init__(
        self, x: Array, factor: Array, offset: Array, zeros: Array, rectifier: Rectifier | None
    ) -> None:
        self._x, self._factor, self._offset, self._zeros = x, factor, offset, zeros
        self._rectifier = rectifier

    def into(self, tile: slice, out: Array) -> None:
        rows = out.reshape(-1, len(self._factor))
        np.multiply(self._x[tile].reshape(rows.shape), self._factor, out=rows)
        rows += self._offset
        if self._rectifier is not None:
            self._rectifier.apply(rows, self._zeros)


class NormGradient(Deferred):
    """x * by_x + constant + d: the gradient of the map before batch norm, but for one factor a channel.

    The convolution before takes that factor (`scale`) into its filters: dX and dW are linear in them.
    """

    def __init__(self, x: Array, d: Array, by_x: Array, constant: Array, scale: Array) -> None:
        self._x, self._d, self._by_x, self._constant = x, d, by_x, constant
        self.scale = scale

    def into(self, tile: slice, out: Array) -> None:
        rows = out.reshape(-1, len(self._by_x))
        np.multiply(self._x[tile].reshape(rows.shape), self._by_x, out=rows)
        rows += self._constant
        rows += self._d[tile].reshape(rows.shape)
