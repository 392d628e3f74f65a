"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from engine.arrays import Array, Shape, Weights, elements
from engine.errors import ShapeError
from engine.layers.base import (
    Axis,
    Context,
    Cost,
    Example,
    Gradients,
    Layer,
    WeightSpec,
    require_map,
)
from engine.layers.export import (
    Constant,
    Given,
    Operator,
    channels_first,
    channels_last,
    integers,
    operator,
    per_channel,
    reals,
    turned,
)
from engine.layers.jacobian import Column
from engine.layers.parameters import Activation
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import normalised, source
from engine.ops import normalization, standardization
from engine.ops.reduction import channel_sum
from engine.spec import Flag, PositiveFloat, PositiveInt

_MAP: tuple[Axis, ...] = ("height", "width", "channels")

Momentum = Annotated[float, Field(strict=True, gt=0, le=1)]


class BatchNorm(Layer):
    """Brings each channel to mean 0 and variance 1 over the batch, then scales and shifts it.

    Inference uses running statistics, gathered while training. A frozen layer uses them in training too, and
    keeps them.
    """

    type: Literal["batch_norm"] = "batch_norm"
    momentum: Momentum = 0.1
    """Share of the new batch in the running statistics, as in PyTorch."""
    epsilon: PositiveFloat = 1e-5
    """Added to the variance."""
    activation: Activation | None = None
    """The article's psi, applied as a node of its own."""

    examples = (
        Example({"type": "batch_norm"}, ((3, 4, 2),)),
        Example({"type": "batch_norm", "momentum": 0.3, "epsilon": 0.001, "activation": "relu"}, ((5,),)),
    )
    formula = "a' = scale * (a - mean) / sqrt(variance + epsilon) + shift"
    source = "Ioffe & Szegedy 2015, Batch normalization, algorithms 1 and 2"

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        channels = (inputs[0][-1],)
        parameter = partial(WeightSpec, channels, ("channels",), trainable=self.trainable, decays=False)
        statistic = partial(
            WeightSpec, channels, ("channels",), trainable=False, decays=False, role="statistic"
        )
        return {
            "scale": parameter("ones"),
            "shift": parameter("zeros"),
            "running_mean": statistic("zeros"),
            "running_variance": statistic("ones"),
        }

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(saved_bytes=4 * elements(inputs[0]))

    def normalises(self, batch: int, *inputs: Shape) -> int | None:
        return batch * elements(inputs[0][:-1]) if self.trainable else None

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        scale, shift = weights["scale"], weights["shift"]
        if context.statistics == "running" or not self.trainable:
            mean, variance = weights["running_mean"], weights["running_variance"]
            y = normalization.normalize(xs[0], mean, variance, scale, shift, self.epsilon, context)
            return y, (xs[0], None, None)
        y, normalized, inverse, batch = normalization.batch_norm(
            xs[0], scale, shift, self.epsilon, context.reduce, context
        )
        # the running variance is the unbiased one, as in PyTorch
        unbiased = batch.variance * (batch.values / max(batch.values - 1, 1))
        for name, value in (("running_mean", batch.mean), ("running_variance", unbiased)):
            old = weights[name]
            context.update(name, (old + self.momentum * (value - old)).astype(old.dtype))
        return y, (normalized, inverse, batch.values)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        kept, inverse, count = saved
        if inverse is None:
            dx, dscale, dshift = normalization.normalize_backward(
                kept,
                weights["running_mean"],
                weights["running_variance"],
                weights["scale"],
                dy,
                self.epsilon,
                with_weights=context.wants("scale") or context.wants("shift"),
                buffers=context,
            )
        else:
            dx, dscale, dshift = normalization.batch_norm_backward(
                kept, inverse, weights["scale"], dy, count, context.reduce, context
            )
        return (dx,), context.gradients(scale=dscale, shift=dshift)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        at = {name: float(array[position[-1]]) for name, array in weights.items()}
        affine = at["scale"], at["shift"]
        mean, variance = at["running_mean"], at["running_variance"]
        return normalised(position, source(xs, position), mean, variance, self.epsilon, affine, None)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        names = ("scale", "shift", "running_mean", "running_variance")
        constants = [Constant(weights[name], name) for name in names]
        return operator("BatchNormalization", xs[0], *constants, epsilon=self.epsilon)


class _PerPicture(Layer):
    """What normalisations by the numbers of a single picture share: they do the same in training and inference."""

    epsilon: PositiveFloat = 1e-5
    """Added to the variance."""
    affine: Flag = True
    """Whether the result is scaled and shifted by learned numbers."""
    activation: Activation | None = None
    """The article's psi, applied as a node of its own."""

    def arrangement(self, shape: Shape) -> tuple[Shape, standardization.Axes]:
        """Return how a picture's numbers are arranged, and the axes (batch first) to normalise over."""
        raise NotImplementedError

    def scale_shape(self, shape: Shape) -> Shape:
        """Return the shape of scale and shift."""
        return shape[-1:]

    def output_shape(self, *inputs: Shape) -> Shape:
        self.arrangement(inputs[0])
        return inputs[0]

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        if not self.affine:
            return {}
        shape = self.scale_shape(inputs[0])
        axes = _MAP[-len(shape) :]
        return {
            "scale": WeightSpec(shape, axes, "ones", self.trainable, decays=False),
            "shift": WeightSpec(shape, axes, "zeros", self.trainable, decays=False),
        }

    def cost(self, *inputs: Shape) -> Cost:
        return Cost(saved_bytes=4 * elements(inputs[0]))

    def normalises(self, batch: int, *inputs: Shape) -> int | None:
        shape, axes = self.arrangement(inputs[0])
        return elements(tuple(shape[axis - 1] for axis in axes))

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        x = xs[0]
        shape, axes = self.arrangement(x.shape[1:])
        normalized, inverse = standardization.standardize(
            x.reshape(len(x), *shape), axes, self.epsilon, context
        )
        y = normalized.reshape(x.shape)
        if self.affine:
            y = np.multiply(y, weights["scale"], out=context.buffer("y", x.shape, x.dtype))
            y += weights["shift"]
        return y, (normalized, inverse, axes)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        normalized, inverse, axes = saved
        gradients: Gradients = {}
        dnormalized = dy
        if self.affine:
            scale = weights["scale"]
            share = context.scratch("share", dy.shape, dy.dtype)
            if context.wants("scale"):
                np.multiply(dy, normalized.reshape(dy.shape), out=share)
            gradients = {
                name: channel_sum(array) if scale.ndim == 1 else array.sum(axis=0)
                for name, array in (("scale", share), ("shift", dy))
                if context.wants(name)
            }
            dnormalized = np.multiply(dy, scale, out=context.buffer("dnormalized", dy.shape, dy.dtype))
        dx = standardization.standardize_backward(
            normalized, inverse, dnormalized.reshape(normalized.shape), axes, context
        )
        return (dx.reshape(dy.shape),), gradients

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        x, (shape, axes) = xs[0], self.arrangement(xs[0].shape)
        place = np.unravel_index(np.ravel_multi_index(position, x.shape), shape)
        among = tuple(slice(None) if axis + 1 in axes else at for axis, at in enumerate(place))
        numbers = x.reshape(shape)[among].astype(np.float64)
        affine = None
        if self.affine:
            scaled = position[-weights["scale"].ndim :]
            affine = float(weights["scale"][scaled]), float(weights["shift"][scaled])
        mean, variance = float(numbers.mean()), float(numbers.var())
        return normalised(position, source(xs, position), mean, variance, self.epsilon, affine, numbers.size)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        x = xs[0].astype(np.float64)
        shape, axes = self.arrangement(x.shape)
        normalized, inverse = standardization.standardize(x.reshape(1, *shape), axes, self.epsilon)
        one = np.zeros(x.shape)
        one[position] = 1
        # what one number does to another is what the other does to it, before they are scaled
        changed = standardization.standardize_backward(normalized, inverse, one.reshape(1, *shape), axes)
        return Column.trimmed(changed.reshape(x.shape) * (weights["scale"] if self.affine else 1))

    def exported_affine(self, weights: Weights, shape: Shape) -> tuple[Constant, Constant]:
        """Return scale and shift with the channels first; ONNX has no such layer without."""
        wanted = self.scale_shape(shape)
        if not self.affine:
            return reals(np.ones(turned(wanted))), reals(np.zeros(turned(wanted)))
        axes = turned(_MAP[-len(wanted) :])
        return self.exported(weights, "scale", axes, shape), self.exported(weights, "shift", axes, shape)


class LayerNorm(_PerPicture):
    """Brings the numbers of each picture, or of each of its pixels, to mean 0 and variance 1."""

    type: Literal["layer_norm"] = "layer_norm"
    over: Literal["channels", "picture"] = "channels"
    """`channels`: those of each pixel, as in ConvNeXt, with a scale and a shift for each channel. `picture`: all
    of a picture's numbers, with a scale and a shift for each, as in the paper."""

    examples = (
        Example({"type": "layer_norm"}, ((3, 2, 4),)),
        Example({"type": "layer_norm", "over": "picture", "activation": "relu"}, ((2, 3, 2),)),
        Example({"type": "layer_norm", "epsilon": 0.01, "affine": False}, ((5,),)),
    )
    formula = "a' = scale * (a - mean) / sqrt(variance + epsilon) + shift, over channels or the picture"
    source = (
        "Ba, Kiros & Hinton 2016, Layer normalization, section 3; Liu et al. 2022, A ConvNet for the 2020s"
    )

    def arrangement(self, shape: Shape) -> tuple[Shape, standardization.Axes]:
        axes = (len(shape),) if self.over == "channels" else tuple(range(1, len(shape) + 1))
        return shape, axes

    def scale_shape(self, shape: Shape) -> Shape:
        return shape[-1:] if self.over == "channels" else shape

    def export(self, weights: Weights, *xs: Given) -> Operator:
        affine = self.exported_affine(weights, xs[0].shape)
        if self.over == "picture" or len(xs[0].shape) == 1:
            return operator("LayerNormalization", xs[0], *affine, axis=1, epsilon=self.epsilon)
        pixels = channels_last(xs[0])
        normal = operator("LayerNormalization", pixels, *affine, axis=-1, epsilon=self.epsilon)
        return channels_first(normal)


class GroupNorm(_PerPicture):
    """Brings each group of a picture's channels to mean 0 and variance 1, whatever the batch size."""

    type: Literal["group_norm"] = "group_norm"
    groups: PositiveInt = 32
    """Into how many groups the channels fall."""

    examples = (
        Example({"type": "group_norm", "groups": 2}, ((3, 2, 4),)),
        Example({"type": "group_norm", "groups": 2, "affine": False}, ((8,),)),
    )
    formula = "a' = scale * (a - mean) / sqrt(variance + epsilon) + shift, over a group of channels"
    source = "Wu & He 2018, Group normalization, section 3.1"

    def arrangement(self, shape: Shape) -> tuple[Shape, standardization.Axes]:
        if shape[-1] % self.groups:
            raise ShapeError(
                f"the {shape[-1]} channels cannot be divided into {self.groups} equal groups",
                path=("groups",),
                hint=f"use a number of groups that divides {shape[-1]}",
            )
        return (elements(shape[:-1]), self.groups, shape[-1] // self.groups), (1, 3)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        # ONNX's own, of version 18, was changed in 21; a group is as one channel of InstanceNormalization
        shape = xs[0].shape
        grouped = operator("Reshape", xs[0], integers(0, self.groups, -1))
        alone = reals(np.ones(self.groups)), reals(np.zeros(self.groups))
        normal = operator("InstanceNormalization", grouped, *alone, epsilon=self.epsilon)
        y = operator("Reshape", normal, integers(0, *turned(shape)))
        if not self.affine:
            return y
        scale, shift = (per_channel(weights[name], shape, name) for name in ("scale", "shift"))
        return operator("Add", operator("Mul", y, scale), shift)


class InstanceNorm(_PerPicture):
    """Brings each channel of each picture to mean 0 and variance 1."""

    type: Literal["instance_norm"] = "instance_norm"

    examples = (
        Example({"type": "instance_norm"}, ((3, 4, 2),)),
        Example({"type": "instance_norm", "affine": False, "activation": "relu"}, ((4, 2, 1),)),
    )
    formula = "a' = scale * (a - mean) / sqrt(variance + epsilon) + shift, over each channel's map"
    source = "Ulyanov, Vedaldi & Lempitsky 2016, Instance normalization, equation 2"

    def arrangement(self, shape: Shape) -> tuple[Shape, standardization.Axes]:
        require_map(shape, self.type)
        return (shape[0] * shape[1], shape[2]), (1,)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        affine = self.exported_affine(weights, xs[0].shape)
        return operator("InstanceNormalization", xs[0], *affine, epsilon=self.epsilon)
