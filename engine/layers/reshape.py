"""Layers that rearrange numbers, or surround them with more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.errors import ShapeError
from engine.layers.base import PASS, Context, Cost, Example, Gradients, Layer, require_map
from engine.layers.export import Given, Operator, integers, operator, rearranged
from engine.layers.jacobian import Column
from engine.layers.parameters import Sides
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, copied, moved
from engine.ops import padding
from engine.spec import PositiveInt


class Flatten(Layer):
    """Lays a map out as one vector, running over (height, width, channels)."""

    type: Literal["flatten"] = "flatten"

    examples = (Example({"type": "flatten"}, ((2, 3, 4),)), Example({"type": "flatten"}, ((5,),)))
    formula = "n = n_H * n_W * n_C"
    source = "The article, section 3, Fully connected layer"

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

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        return moved(xs, position, self.output_shape(xs[0].shape))

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        return _moved_to(position, inputs[0], self.output_shape(*inputs))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return rearranged(xs[0], xs[0].shape, self.output_shape(xs[0].shape))


class Reshape(Layer):
    """Arranges the same numbers as a map or a vector of another shape, in (height, width, channels) order."""

    type: Literal["reshape"] = "reshape"
    shape: tuple[PositiveInt, PositiveInt, PositiveInt] | tuple[PositiveInt]
    """[height, width, channels] of a map, or [numbers] of a vector."""

    examples = (
        Example({"type": "reshape", "shape": [2, 3, 4]}, ((24,),)),
        Example({"type": "reshape", "shape": [3, 2, 2]}, ((2, 2, 3),)),
        Example({"type": "reshape", "shape": [6]}, ((1, 2, 3),)),
    )
    formula = "n_H' * n_W' * n_C' = n_H * n_W * n_C"
    source = "The article, section 3, Fully connected layer (its inverse)"

    def output_shape(self, *inputs: Shape) -> Shape:
        if elements(self.shape) != elements(inputs[0]):
            had, wanted = ("x".join(map(str, shape)) for shape in (inputs[0], self.shape))
            raise ShapeError(
                f"the {elements(inputs[0])} numbers of {had} cannot be arranged as {wanted}, "
                f"which has {elements(self.shape)}",
                path=("shape",),
                hint=f"choose sizes whose product is {elements(inputs[0])}",
            )
        return self.shape

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        before, after = ("*".join(map(str, shape)) for shape in (inputs[0], self.shape))
        return {"size": f"{before} = {after} = {elements(self.shape)}"}

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        x = xs[0]
        return x.reshape(len(x), *self.shape), x.shape

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (dy.reshape(saved),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        return moved(xs, position, self.shape)

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        return _moved_to(position, inputs[0], self.shape)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return rearranged(xs[0], xs[0].shape, self.shape)


def _moved_to(position: Position, source: Shape, target: Shape) -> tuple[Line, ...]:
    """Return where a number goes that keeps its place in the order (height, width, channels)."""
    place = np.unravel_index(np.ravel_multi_index(position, source), target)
    return tuple(Line(int(at), 1) for at in place)


class Pad2D(Layer):
    """Surrounds a map with zeros, with its mirror image, or with its outermost pixels repeated."""

    type: Literal["pad2d"] = "pad2d"
    padding: Sides
    """Pixels to add on each side, p."""
    mode: Literal["zero", "reflect", "replicate"] = "zero"
    """What they hold; the mirror of `reflect` stands on the outermost pixel, which is not repeated."""

    examples = (
        Example({"type": "pad2d", "padding": 1, "mode": "reflect"}, ((3, 4, 2),)),
        Example({"type": "pad2d", "padding": [[2, 0], [1, 3]], "mode": "replicate"}, ((2, 1, 3),)),
        Example({"type": "pad2d", "padding": [[2, 1], [0, 3]], "mode": "reflect"}, ((3, 4, 1),)),
        Example({"type": "pad2d", "padding": [1, 2]}, ((2, 3, 2),)),
    )
    formula = "n' = n + 2p"
    source = "The article, section 2.1, Padding; mirrored: Ronneberger et al. 2015, U-Net, section 2"

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0], self.type)
        for size, sides in zip(inputs[0][:2], self.padding, strict=True):
            if self.mode == "reflect" and max(sides) >= size:
                raise ShapeError(
                    f"a map of {size} pixels has no {max(sides)} beside its outermost one to mirror",
                    path=("padding",),
                    hint=f"use a padding of at most {size - 1}, or mode 'replicate'",
                )
        height, width = (size + sum(sides) for size, sides in zip(inputs[0][:2], self.padding, strict=True))
        return (height, width, inputs[0][2])

    def cost(self, *inputs: Shape) -> Cost:
        # a row or column at a time where it is a copy of another
        lines = 0 if self.mode == "zero" else sum(map(sum, self.padding))
        return Cost(element_operations=lines * PASS)

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return {
            name: f"{size} + {before} + {after} = {size + before + after}"
            for name, size, (before, after) in zip(
                ("height", "width"), inputs[0][:2], self.padding, strict=True
            )
        }

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        return padding.pad(xs[0], self.padding, self.mode, context), None

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (padding.pad_backward(dy, self.padding, self.mode, context),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        place = [at - before for at, (before, _) in zip(position[:2], self.padding, strict=True)]
        sizes = xs[0].shape[:2]
        if self.mode == "zero" and any(not 0 <= at < n for at, n in zip(place, sizes, strict=True)):
            return Trace(position, 0.0, "padding = 0")
        if self.mode == "reflect":  # at -1 stands 1, at n stands n - 2
            place = [n - 1 - abs(n - 1 - abs(at)) for at, n in zip(place, sizes, strict=True)]
        row, column = (min(max(at, 0), n - 1) for at, n in zip(place, sizes, strict=True))
        return copied(xs, position, (row, column, position[2]))

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        rows, columns = (
            self._sources(n, sides) == at
            for n, sides, at in zip(xs[0].shape[:2], self.padding, position[:2], strict=True)
        )
        return Column.crossed(rows, columns, position[2])

    def _sources(self, size: int, sides: tuple[int, int]) -> Array:
        """Return which pixel of a line each of the padded line holds; -1 for none."""
        pixels = np.arange(size)
        if self.mode == "zero":
            return np.pad(pixels, sides, constant_values=-1)
        return np.pad(pixels, sides, "reflect" if self.mode == "reflect" else "edge")

    def export(self, weights: Weights, *xs: Given) -> Operator:
        (top, bottom), (left, right) = self.padding
        mode = {"zero": "constant", "reflect": "reflect", "replicate": "edge"}[self.mode]
        return operator("Pad", xs[0], integers(0, 0, top, left, 0, 0, bottom, right), mode=mode)
