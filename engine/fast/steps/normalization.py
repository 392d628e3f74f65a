"""Batch normalisation with the ReLU that follows it."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.arrays import Array
from engine.fast.columns import empty
from engine.fast.gemm import largest_divisor, row_of
from engine.fast.steps.base import BLOCK, Gradients, Step
from engine.layers import Context
from engine.network import Node


class BatchNormStep(Step):
    """Batch normalisation and ReLU on maps, in blocks of rows.

    The sums are taken about the running mean (Chan, Golub & LeVeque 1983, "Algorithms for computing the
    sample variance", on shifted data), so that one pass over the map is as safe as two.
    """

    kind = "batch_norm"

    def __init__(self, nodes: tuple[Node, ...], batch: int, *, training: bool) -> None:
        super().__init__(nodes)
        node = nodes[0]
        layer: Any = node.layer
        self._layer = layer
        self._names = {name: f"{node.name}/{name}" for name in node.weights}
        self._relu = len(nodes) > 1
        height, width, channels = node.output_shape
        self._width, self._channels = width, channels
        row = width * channels
        lines = largest_divisor(batch * height, max(1, BLOCK // row))
        self._blocks = (batch * height // lines, lines, row)
        self._values = batch * height * width
        self._y = empty((batch, height, width, channels))
        self._part = empty((lines, row))
        if training:
            self._dx = empty(self._y.shape)
            self._positive = np.empty((lines, row), np.bool_)
            self._ones = np.ones(lines, np.float32)

    @property
    def choice(self) -> str:
        return "batch_norm relu" if self._relu else "batch_norm"

    def forward(self, xs: tuple[Array, ...], context: Context) -> Array:
        self._x = xs[0]
        scale, shift, mean, variance = (
            self._weights[self._names[name]]
            for name in ("scale", "shift", "running_mean", "running_variance")
        )
        if context.training:
            mean, variance, count = self._statistics(mean, context)
            self._mean, self._count = mean, count
            unbiased = variance * (count / max(count - 1, 1))
            for name, value in (("running_mean", mean), ("running_variance", unbiased)):
                old = self._weights[self._names[name]]
                context.updates[self._names[name]] = old + np.float32(self._layer.momentum) * (value - old)
        self._inverse = (1 / np.sqrt(variance + np.float32(self._layer.epsilon))).astype(np.float32)
        factor = row_of(scale * self._inverse, self._width)
        offset = row_of(shift - mean * scale * self._inverse, self._width)
        for x, y in zip(self._rows(self._x), self._rows(self._y), strict=True):
            np.multiply(x, factor, out=y)
            y += offset
            if self._relu:
                np.maximum(y, 0, out=y)
        return self._y

    def backward(
        self, dy: Array, context: Context, *, needs_dx: bool
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        mean = row_of(self._mean, self._width)
        sums = np.zeros(self._blocks[2], np.float32)
        products = np.zeros(self._blocks[2], np.float32)
        maps = (self._rows(array) for array in (self._x, self._y, dy, self._dx))
        for x, y, d, dx in zip(*maps, strict=True):
            if self._relu:
                np.greater(y, 0, out=self._positive)
                d = np.multiply(d, self._positive, out=dx)
            sums += self._ones @ d
            np.subtract(x, mean, out=self._part)
            products += np.einsum("ij,ij->j", d, self._part)
        scale = self._weights[self._names["scale"]]
        dshift, dscale = self._per_channel(sums), self._per_channel(products) * self._inverse
        whole = context.reduce(np.concatenate([dshift, dscale])) / np.float32(self._count)
        mean_d, mean_dn = np.split(whole, 2)
        # dx = k (d - mean(d) - n mean(d n)), n = (x - mean) / deviation
        k = scale * self._inverse
        by_d = row_of(k, self._width)
        by_x = row_of(-k * mean_dn * self._inverse, self._width)
        constant = row_of(-k * mean_d, self._width)
        for x, d, dx in zip(self._rows(self._x), self._rows(dy), self._rows(self._dx), strict=True):
            np.subtract(x, mean, out=self._part)
            self._part *= by_x
            np.multiply(dx if self._relu else d, by_d, out=dx)
            dx += self._part
            dx += constant
        return (self._dx,), {self._names["scale"]: dscale, self._names["shift"]: dshift}

    def _statistics(self, about: Array, context: Context) -> tuple[Array, Array, int]:
        """Return mean and variance (C,) over all shares, and how many values each channel has."""
        row = row_of(about, self._width)
        sums = np.zeros(self._blocks[2], np.float32)
        squares = np.zeros(self._blocks[2], np.float32)
        for x in self._rows(self._x):
            np.subtract(x, row, out=self._part)
            sums += self._ones @ self._part
            squares += np.einsum("ij,ij->j", self._part, self._part)
        moved, square = self._per_channel(sums), self._per_channel(squares)  # sums of (x - about), squared
        total = context.reduce(np.append(moved, np.float32(self._values)))
        count = int(total[-1])
        offset = total[:-1] / total[-1]
        about_mean = square - 2 * offset * moved + self._values * np.square(offset)
        variance = np.maximum(context.reduce(about_mean), 0) / np.float32(count)
        return about + offset, variance, count

    def _per_channel(self, row: Array) -> Array:
        total: Array = row.reshape(self._width, self._channels).sum(axis=0)
        return total

    def _rows(self, array: Array) -> Array:
        return array.reshape(self._blocks)
