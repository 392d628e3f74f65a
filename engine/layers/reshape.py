"""Layers that rearrange numbers, or surround them with more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from engine.arrays import Array, Shape, Weights, elements
from engine.errors import ShapeError
from engine.layers.base import PASS, Context, Cost, Example, Gradients, Layer, require_map
from engine.layers.export import Given, Operator, integers, operator, reals, rearranged
from engine.layers.jacobian import Column
from engine.layers.parameters import Sides
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, copied, moved
from engine.layers.trace_text import number
from engine.ops import padding
from engine.ops.padding import Mode
from engine.spec import Number, PositiveInt


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


def _mode(value: Any) -> Any:
    """Read documents that are older than padding with any number."""
    return "constant" if value == "zero" else value


class Pad2D(Layer):
    """Surrounds a map with a number, its mirror image, its outermost pixels repeated, or what is at its other end."""

    type: Literal["pad2d"] = "pad2d"
    padding: Sides
    """Pixels to add on each side, p."""
    mode: Annotated[Mode, BeforeValidator(_mode, json_schema_input_type=Mode)] = "constant"
    """What they hold: `constant` the value; the mirror of `reflect` stands on the outermost pixel, which is not
    repeated; `replicate` the outermost pixel; `wrap` goes on at the other end."""
    value: Number = 0.0
    """What they hold with `constant`."""

    examples = (
        Example({"type": "pad2d", "padding": 1, "mode": "reflect"}, ((3, 4, 2),)),
        Example({"type": "pad2d", "padding": [[2, 0], [1, 3]], "mode": "replicate"}, ((2, 1, 3),)),
        Example({"type": "pad2d", "padding": [[2, 1], [0, 3]], "mode": "reflect"}, ((3, 4, 1),)),
        Example({"type": "pad2d", "padding": [1, 2]}, ((2, 3, 2),)),
        Example({"type": "pad2d", "padding": [[1, 0], [0, 2]], "value": -0.5}, ((2, 2, 2),)),
        Example({"type": "pad2d", "padding": [[1, 2], [3, 0]], "mode": "wrap"}, ((2, 3, 2),)),
    )
    formula = "n' = n + 2p"
    source = "The article, section 2.1, Padding; mirrored: Ronneberger et al. 2015, U-Net, section 2"

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0], self.type)
        for size, sides in zip(inputs[0][:2], self.padding, strict=True):
            most = {"reflect": size - 1, "wrap": size}.get(self.mode)
            if most is not None and max(sides) > most:
                what = "beside its outermost one to mirror" if self.mode == "reflect" else "to repeat"
                raise ShapeError(
                    f"a map of {size} pixels has no {max(sides)} {what}",
                    path=("padding",),
                    hint=f"use a padding of at most {most}, or mode 'replicate'",
                )
        height, width = (size + sum(sides) for size, sides in zip(inputs[0][:2], self.padding, strict=True))
        return (height, width, inputs[0][2])

    def cost(self, *inputs: Shape) -> Cost:
        # a row or column at a time where it is a copy of another
        lines = 0 if self.mode == "constant" else sum(map(sum, self.padding))
        return Cost(element_operations=lines * PASS)

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        return {
            name: f"{size} + {before} + {after} = {size + before + after}"
            for name, size, (before, after) in zip(
                ("height", "width"), inputs[0][:2], self.padding, strict=True
            )
        }

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        return padding.pad(xs[0], self.padding, self.mode, self.value, context), None

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (padding.pad_backward(dy, self.padding, self.mode, context),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        row, column = (int(held[at]) for held, at in zip(self._held(xs[0].shape), position[:2], strict=True))
        if min(row, column) < 0:
            return Trace(position, self.value, f"padding = {number(self.value)}")
        return copied(xs, position, (row, column, position[2]))

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        rows, columns = (held == at for held, at in zip(self._held(xs[0].shape), position[:2], strict=True))
        return Column.crossed(rows, columns, position[2])

    def _held(self, shape: Shape) -> list[Array]:
        """Return which row of the input each row of the output holds, and which column; -1 for none."""
        pairs = zip(shape[:2], self.padding, strict=True)
        return [padding.sources(size, sides, self.mode) for size, sides in pairs]

    def export(self, weights: Weights, *xs: Given) -> Operator:
        if self.mode == "wrap":  # Pad has it from version 19 on
            rows, columns = (integers(*map(int, held)) for held in self._held(xs[0].shape))
            return operator("Gather", operator("Gather", xs[0], rows, axis=2), columns, axis=3)
        (top, bottom), (left, right) = self.padding
        mode = {"replicate": "edge"}.get(self.mode, self.mode)
        sides = integers(0, 0, top, left, 0, 0, bottom, right)
        return operator("Pad", xs[0], sides, reals(self.value), mode=mode)
