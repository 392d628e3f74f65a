"""Layers that are one where an exporter writes two: scales and shifts that belong to the layer before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from engine.arrays import Array
from engine.layers import Layer
from engine.layers.affine import Affine
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.dense import Dense
from engine.layers.normalization import GroupNorm, InstanceNorm, LayerNorm
from engine.layers.transposed import TransposedConv2D
from engine.model.onnx_import.values.value import Constant, Unsupported, derived


@dataclass(frozen=True)
class Placed:
    """A layer in its place."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    weights: Mapping[str, Constant] = field(repr=False)
    """With the axes that the layer's own specs say."""


def fused(layers: Sequence[Placed], output: str) -> tuple[list[Placed], str]:
    """Return layers in order of which some have taken in what followed them, and the node of the output."""
    readers = Counter(name for placed in layers for name in placed.inputs)
    found: dict[str, Placed] = {}
    names: dict[str, str] = {}
    for placed in layers:
        inputs = tuple(names.get(name, name) for name in placed.inputs)
        before = found.get(inputs[0])
        joined = None
        if isinstance(placed.layer, Affine) and before is not None and readers[placed.inputs[0]] == 1:
            with suppress(Unsupported):  # constants too many steps from what is stored: then they stay two
                joined = (
                    _with_bias(before, placed) or _one_affine(before, placed) or _with_affine(before, placed)
                )
        if joined is not None:
            found[joined.name] = joined
            names[placed.name] = joined.name
        else:
            found[placed.name] = replace(placed, inputs=inputs)
    return list(found.values()), names.get(output, output)


def _with_bias(before: Placed, after: Placed) -> Placed | None:
    """W * x, then + b: the bias of the layer that multiplies."""
    layer = before.layer
    if not isinstance(layer, Conv2D | DepthwiseConv2D | TransposedConv2D | Dense) or layer.bias:
        return None
    if set(after.weights) != {"shift"} or not _by_channel(after.layer):
        return None
    return replace(
        before,
        layer=layer.model_copy(update={"bias": True}),
        weights={**before.weights, "bias": after.weights["shift"]},
    )


def _one_affine(before: Placed, after: Placed) -> Placed | None:
    """(s1 * x + b1) * s2 + b2 = (s1 * s2) * x + (b1 * s2 + b2)."""
    first, second = before.layer, after.layer
    if not isinstance(first, Affine) or not isinstance(second, Affine):
        return None
    if (first.shared, first.per_pixel) != (second.shared, second.per_pixel):
        return None
    scale = _combined(before.weights.get("scale"), after.weights.get("scale"), lambda one, other: one * other)
    shift = _combined(before.weights.get("shift"), after.weights.get("scale"), lambda one, other: one * other)
    if "shift" not in before.weights:
        shift = None
    shift = _combined(shift, after.weights.get("shift"), lambda one, other: one + other)
    weights = {name: each for name, each in (("scale", scale), ("shift", shift)) if each is not None}
    has = {"scale": scale is not None, "shift": shift is not None}
    return replace(before, layer=first.model_copy(update=has), weights=weights)


def _with_affine(before: Placed, after: Placed) -> Placed | None:
    """A normalisation, then s * x + b: its own scale and shift."""
    layer = before.layer
    if not isinstance(layer, GroupNorm | InstanceNorm | LayerNorm) or layer.affine:
        return None
    picture = isinstance(layer, LayerNorm) and layer.over == "picture"
    if set(after.weights) != {"scale", "shift"} or not _by_channel(after.layer, per_pixel=picture):
        return None
    return replace(before, layer=layer.model_copy(update={"affine": True}), weights=after.weights)


def _by_channel(layer: Layer, *, per_pixel: bool = False) -> bool:
    return isinstance(layer, Affine) and not layer.shared and layer.per_pixel == per_pixel


def _combined(
    one: Constant | None, other: Constant | None, how: Callable[[Array, Array], Array]
) -> Constant | None:
    if one is None or other is None:
        return one or other
    return derived(lambda: how(one.make(), other.make()), one.shape, one.dtype, one, other)
