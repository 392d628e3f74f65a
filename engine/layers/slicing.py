"""Layers that keep some rows, columns or channels, or change the order of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from engine.arrays import Array, Shape, Weights
from engine.errors import ShapeError
from engine.layers.base import Context, Example, Gradients, Layer, Reach, require_map
from engine.layers.export import Given, Operator, integers, operator, turned
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, copied
from engine.spec import PositiveInt

_Index = Annotated[int, Field(strict=True, ge=-(2**31), le=2**31 - 1)]


def _range(value: Any) -> Any:
    """Add the step of 1 that was left out."""
    if isinstance(value, list | tuple) and len(value) == 2:
        return (*value, 1)
    return value


Range = Annotated[
    tuple[_Index | None, _Index | None, _Index],
    BeforeValidator(
        _range,
        json_schema_input_type=tuple[_Index | None, _Index | None]
        | tuple[_Index | None, _Index | None, _Index],
    ),
]
"""[first, end] or [first, end, step], as in Python: the end is not part of it, what is negative counts from the end,
null goes to where the axis begins or ends."""

_AXES = ("rows", "columns", "channels")


class Slice(Layer):
    """Keeps some rows, columns or channels of a map, or some numbers of a vector, and drops the others."""

    type: Literal["slice"] = "slice"
    rows: Range | None = None
    """[first, end] or [first, end, step]; the end is not part of it, negative ones count from the end, null goes to
    where the axis begins or ends. By default all are kept."""
    columns: Range | None = None
    """As `rows`."""
    channels: Range | None = None
    """As `rows`; those of a vector are its numbers."""

    examples = (
        Example({"type": "slice", "channels": [0, 2]}, ((2, 3, 4),)),
        Example({"type": "slice", "rows": [1, -1], "columns": [1, -1]}, ((4, 5, 2),)),
        Example({"type": "slice", "rows": [1, None, 2], "channels": [None, None, -1]}, ((5, 2, 3),)),
        Example({"type": "slice", "channels": [-3, None]}, ((5,),)),
    )
    formula = "a'[x, y, c] = a[first + step*x, first + step*y, first + step*c]"
    source = (
        "Ma et al. 2018, ShuffleNet V2, section 4 (split of channels); Ronneberger, Fischer & Brox 2015, U-Net, "
        "section 2 (crop)"
    )

    @model_validator(mode="after")
    def _moves(self) -> Self:
        for name, asked in zip(_AXES, (self.rows, self.columns, self.channels), strict=True):
            if asked is not None and asked[2] == 0:
                raise ValueError(f"the step of {name} is 0: use 1, or -1 to go backwards")
        return self

    def kept(self, shape: Shape) -> tuple[range, ...]:
        """Return what is kept along each axis of an input.

        Raises:
            ShapeError: nothing, or there is no such axis, or it is shorter.
        """
        if self.rows is not None or self.columns is not None:
            require_map(shape, "a slice of rows and columns")
        asked = (self.rows, self.columns, self.channels)[-len(shape) :]
        return tuple(
            _kept(name, one, size) for name, one, size in zip(_AXES[-len(shape) :], asked, shape, strict=True)
        )

    def output_shape(self, *inputs: Shape) -> Shape:
        return tuple(map(len, self.kept(inputs[0])))

    def reach(self, *inputs: Shape) -> Reach:
        steps = [abs(kept.step) for kept in self.kept(inputs[0])]
        return Reach(step=(steps[0], steps[1])) if len(steps) == 3 else Reach()

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        names = ("height", "width", "channels")[-len(inputs[0]) :]
        return {
            name: f"ceil({abs(kept.stop - kept.start)}/{abs(kept.step)}) = {len(kept)}"
            for name, kept in zip(names, self.kept(inputs[0]), strict=True)
        }

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        x = xs[0]
        y = context.buffer("y", (len(x), *self.output_shape(x.shape[1:])), x.dtype)
        np.copyto(y, x[self._places(x.shape[1:])])
        return y, x.shape

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        dx = context.buffer("dx", saved, dy.dtype)
        dx[...] = 0
        dx[self._places(saved[1:])] = dy
        return (dx,), {}

    def _places(self, shape: Shape) -> tuple[slice, ...]:
        """Return what is kept as indices of a batch."""
        kept = self.kept(shape)
        return (slice(None), *(slice(one.start, _end(one, None), one.step) for one in kept))

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        kept = self.kept(xs[0].shape)
        return copied(xs, position, tuple(one[at] for one, at in zip(kept, position, strict=True)))

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        return tuple(
            Line(one.index(at), 1) if at in one else Line(0, 0)
            for one, at in zip(self.kept(inputs[0]), position, strict=True)
        )

    def export(self, weights: Weights, *xs: Given) -> Operator:
        shape = xs[0].shape
        cut = [
            (axis + 1, one, size)
            for axis, (one, size) in enumerate(zip(turned(self.kept(shape)), turned(shape), strict=True))
            if one != range(size)
        ]
        if not cut:
            return operator("Identity", xs[0])
        # an end before the first is written as one before all that negative numbers count
        return operator(
            "Slice",
            xs[0],
            integers(*(one.start for _, one, _ in cut)),
            integers(*(_end(one, -size - 1) for _, one, size in cut)),
            integers(*(axis for axis, _, _ in cut)),
            integers(*(one.step for _, one, _ in cut)),
        )


def _kept(name: str, asked: tuple[int | None, int | None, int] | None, size: int) -> range:
    if asked is None:
        return range(size)
    for at in asked[:2]:
        if at is not None and not -size <= at <= size:
            raise ShapeError(
                f"{at} is beyond the {size} {name} of the input",
                path=(name,),
                hint=f"use {-size} to {size}, or null for the first or last",
            )
    kept = range(*slice(*asked).indices(size))
    if not kept:
        raise ShapeError(
            f"nothing is left of the {size} {name}",
            path=(name,),
            hint="choose an end behind the first, or with a negative step before it",
        )
    return kept


def _end(kept: range, before_all: Any) -> Any:
    """Return the end of a range as an index; what lies before 0 would count from the other end."""
    return kept.stop if kept.stop >= 0 else before_all


class ChannelShuffle(Layer):
    """Deals the channels of groups out in turn, so that the next grouped convolution sees some of each group."""

    type: Literal["channel_shuffle"] = "channel_shuffle"
    groups: PositiveInt
    """Into how many groups the channels fall."""

    examples = (
        Example({"type": "channel_shuffle", "groups": 2}, ((2, 3, 6),)),
        Example({"type": "channel_shuffle", "groups": 3}, ((6,),)),
    )
    formula = "a'[x, y, c] = a[x, y, (c mod g) * n_C/g + floor(c/g)], g groups"
    source = "Zhang et al. 2017, ShuffleNet, section 3.1"

    def output_shape(self, *inputs: Shape) -> Shape:
        if inputs[0][-1] % self.groups:
            raise ShapeError(
                f"the {inputs[0][-1]} channels cannot be divided into {self.groups} equal groups",
                path=("groups",),
                hint=f"use a number of groups that divides {inputs[0][-1]}",
            )
        return inputs[0]

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        y = context.buffer("y", xs[0].shape, xs[0].dtype)
        return _dealt(xs[0], self.groups, y), None

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        dx = context.buffer("dx", dy.shape, dy.dtype)
        return (_dealt(dy, dy.shape[-1] // self.groups, dx),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        turn, group = divmod(position[-1], self.groups)
        channel = group * (xs[0].shape[-1] // self.groups) + turn
        return copied(xs, position, (*position[:-1], channel))

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        group, turn = divmod(position[-1], inputs[0][-1] // self.groups)
        return (*(Line(at, 1) for at in position[:-1]), Line(turn * self.groups + group, 1))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        channels, *sides = turned(xs[0].shape)
        apart = operator("Reshape", xs[0], integers(0, self.groups, channels // self.groups, *sides))
        dealt = operator("Transpose", apart, perm=(0, 2, 1, *range(3, 3 + len(sides))))
        return operator("Reshape", dealt, integers(0, channels, *sides))


def _dealt(x: Array, groups: int, out: Array) -> Array:
    """Write to `out` the channels of x (..., C) with the first of each group first."""
    channels = x.shape[-1] // groups
    apart = x.reshape(*x.shape[:-1], groups, channels)
    out.reshape(*x.shape[:-1], channels, groups)[...] = apart.swapaxes(-1, -2)
    return out
