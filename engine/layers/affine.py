"""A scale and a shift of every number, learned or loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from pydantic import model_validator

from engine.arrays import Array, Shape, Weights
from engine.layers.base import Context, Example, Gradients, WeightSpec
from engine.layers.export import Given, Operator, operator
from engine.layers.parameters import Activation
from engine.layers.stretched import StretchedLayer, exported, number_at
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import applied, source
from engine.ops.reduction import sum_to
from engine.spec import Flag, Number


class Affine(StretchedLayer):
    """Multiplies every number by a learned scale and adds a learned shift; those of a channel have the same.

    It is what is left of a batch normalisation whose statistics are part of its scale, and layer scale, which lets a
    deep network begin with branches that hardly count.
    """

    type: Literal["affine"] = "affine"
    scale: Flag = True
    """Whether numbers are multiplied."""
    shift: Flag = True
    """Whether something is added."""
    initial_scale: Number = 1.0
    """What scales start from; 1e-6 in ConvNeXt."""
    activation: Activation | None = None
    """The article's psi, applied as a node of its own."""

    examples = (
        Example({"type": "affine"}, ((3, 4, 2),)),
        Example({"type": "affine", "shift": False, "initial_scale": 1e-6}, ((2, 3, 4),)),
        Example({"type": "affine", "scale": False, "shared": True, "activation": "relu"}, ((5,),)),
        Example({"type": "affine", "per_pixel": True}, ((2, 3, 2),)),
        Example({"type": "affine", "per_pixel": True, "shared": True}, ((2, 1, 3),)),
    )
    formula = "z = scale[c] * a + shift[c]"
    source = (
        "Ioffe & Szegedy 2015, Batch normalization, section 3; as layer scale Touvron et al. 2021, Going deeper "
        "with image transformers, section 2"
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.scale or self.shift):
            raise ValueError("neither a scale nor a shift: the layer would do nothing, leave it out")
        return self

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        specs = {}
        if self.scale:
            specs["scale"] = self.weight(inputs[0], self.initial_scale)
        if self.shift:
            specs["shift"] = self.weight(inputs[0], 0.0)
        return specs

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        y = context.buffer("y", xs[0].shape, xs[0].dtype)
        if self.scale:
            np.multiply(xs[0], weights["scale"], out=y)
            if self.shift:
                y += weights["shift"]
        else:
            np.add(xs[0], weights["shift"], out=y)
        return y, xs[0]

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        shape = self.weight_shape(dy.shape[1:])
        dscale = dshift = None
        if self.shift and context.wants("shift"):
            dshift = sum_to(dy, shape)
        if not self.scale:
            return (dy,), context.gradients(shift=dshift)
        if context.wants("scale"):
            share = context.scratch("share", dy.shape, dy.dtype)
            dscale = sum_to(np.multiply(dy, saved, out=share), shape)
        dx = context.buffer("dx", dy.shape, dy.dtype)
        np.multiply(dy, weights["scale"], out=dx)
        return (dx,), context.gradients(scale=dscale, shift=dshift)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        a = source(xs, position)
        scale = number_at(weights["scale"], position) if self.scale else 1.0
        shift = number_at(weights["shift"], position) if self.shift else 0.0
        formula = " + ".join(["scale * a" if self.scale else "a", *(["shift"] if self.shift else [])])
        numbers = {"a": a.value, "scale": scale, "shift": shift}
        return applied(position, a, scale * a.value + shift, formula, numbers)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        x, shape = xs[0], xs[0].shape
        scaled = operator("Mul", x, exported(weights, "scale", shape)) if self.scale else None
        if not self.shift:
            return scaled or operator("Identity", x)
        return operator("Add", scaled or x, exported(weights, "shift", shape))
