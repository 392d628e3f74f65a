"""Normalisations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.layers.local_response import LocalResponseNorm
from engine.layers.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from engine.model.onnx_import.converters.merge import affine
from engine.model.onnx_import.converters.patterns import NORMALISED, OURS
from engine.model.onnx_import.values.builder import Weight
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import SAMPLES, size
from engine.model.onnx_import.values.value import Computed, Constant, Unsupported, Value, derived


def batch_norm(call: Call) -> list[Value]:
    """BatchNormalization: `batch_norm`."""
    if call.attribute("training_mode", 0) or not call.attribute("spatial", 1):
        raise Unsupported("statistics of each channel that were gathered in training")
    channelled = call.by_channel(call.computed(), [1])
    names = ("scale", "shift", "running_mean", "running_variance")
    weights = {
        name: Weight(channelled.along(call.constant(place)), ("channels",))
        for place, name in enumerate(names, 1)
    }
    # ONNX says which share of the old statistics stays
    momentum = round(1 - call.attribute("momentum", 0.9), 6)
    layer = BatchNorm(
        epsilon=call.attribute("epsilon", 1e-5), momentum=momentum if 0 < momentum <= 1 else 0.1
    )
    return [Computed(call.add(layer, channelled.node, weights=weights), channelled.layout)]


def instance_norm(call: Call) -> list[Value]:
    """InstanceNormalization: `instance_norm`; of channels that were brought together in groups, `group_norm`."""
    value, scale, shift = call.computed(), call.constant(1), call.constant(2)
    epsilon = call.attribute("epsilon", 1e-5)
    layout = value.layout
    groups, channels = layout.dims[1], layout.place[-1]
    whole = set(layout.order) == {*layout.dims[0], *layout.flat}
    if len(groups) < len(channels) and groups == channels[: len(groups)] and whole:
        width = size(channels) // size(groups)
        weights = {
            name: Weight(_repeated(constant, width), ("channels",))
            for name, constant in (("scale", scale), ("shift", shift))
        }
        if _is(scale, 1) and _is(shift, 0):
            return call.same(GroupNorm(groups=size(groups), epsilon=epsilon, affine=False))
        layer = GroupNorm(groups=size(groups), epsilon=epsilon)
        return [Computed(call.add(layer, value.node, weights=weights), layout)]
    channelled = call.by_channel(value, [1])
    node, layout = channelled.node, channelled.layout
    if len(layout.place) != 3:  # a vector is a map of one pixel
        place = ((), (), *layout.place)
        node, layout = call.builder.arranged(channelled.value, place), layout.moved(place)
    weights = {
        name: Weight(channelled.along(constant), ("channels",))
        for name, constant in (("scale", scale), ("shift", shift))
    }
    return [Computed(call.add(InstanceNorm(epsilon=epsilon), node, weights=weights), layout)]


def layer_norm(call: Call) -> list[Value]:
    """LayerNormalization: `layer_norm`."""
    value = call.computed()
    (first,) = call.axes(len(value.shape), [call.attribute("axis", -1)])
    return _normalised(call, value, range(first, len(value.shape)))


def normalised(call: Call) -> list[Value]:
    """A normalisation that was written in single steps: `layer_norm` or `instance_norm`."""
    value = call.computed()
    return _normalised(call, value, call.axes(len(value.shape), call.attribute("axes", ())))


def _normalised(call: Call, value: Computed, axes: Sequence[int]) -> list[Value]:
    """Normalise over axes, perhaps with a scale and a shift that are stretched over those or over the channels."""
    layout = value.layout
    atoms = sum((layout.dims[axis] for axis in axes), ())
    rest = tuple(each for each in layout.flat if each not in atoms)
    if SAMPLES in atoms or not axes:
        raise Unsupported("axes without that of the batch")
    constants = [call.constant(place) for place in (1, 2) if call.given(place)]
    epsilon = call.attribute("epsilon", 1e-5)
    space = sum(layout.place[:-1], ())
    if space and set(atoms) == set(space):
        value = Computed(call.add(InstanceNorm(epsilon=epsilon, affine=False), value.node), layout)
    elif not rest and space:
        value = Computed(
            call.add(LayerNorm(over="picture", epsilon=epsilon, affine=False), value.node), layout
        )
    else:
        value = call.by_channel(value, axes).value
        value = Computed(call.add(LayerNorm(epsilon=epsilon, affine=False), value.node), value.layout)
    for name, constant in zip(("scale", "shift"), constants, strict=False):
        value = affine(call, value, **{name: constant})
    return [value]


def group_norm_of_groups(call: Call) -> list[Value]:
    """GroupNormalization 18, whose scale has a number for each group: `group_norm`."""
    groups = call.attribute("num_groups", 0)
    channels = call.computed().shape[1]
    width = channels // groups if groups else 0
    return _group_norm(call, _repeated(call.constant(1), width), _repeated(call.constant(2), width))


def group_norm(call: Call) -> list[Value]:
    """GroupNormalization 21: `group_norm`."""
    return _group_norm(call, call.constant(1), call.constant(2))


def _group_norm(call: Call, scale: Constant, shift: Constant) -> list[Value]:
    value = call.computed()
    groups = call.attribute("num_groups", 0)
    if groups < 1:
        raise Unsupported("groups of channels")
    value = call.with_channels(value, 1)
    weights = {name: Weight(each, ("channels",)) for name, each in (("scale", scale), ("shift", shift))}
    layer = GroupNorm(groups=groups, epsilon=call.attribute("epsilon", 1e-5))
    return [Computed(call.add(layer, value.node, weights=weights), value.layout)]


def local_response_norm(call: Call) -> list[Value]:
    """LRN: `local_response_norm`."""
    value = call.computed()
    width = call.attribute("size", 0)
    if width < 1 or width % 2 == 0:
        raise Unsupported(
            "an odd number of channels: local_response_norm looks at another channel of an even one"
        )
    layer = LocalResponseNorm(
        size=width,
        k=call.attribute("bias", 1.0),
        alpha=call.attribute("alpha", 1e-4) / width,
        beta=call.attribute("beta", 0.75),
    )
    return call.same(layer, call.with_channels(value, 1))


def _repeated(constant: Constant, times: int) -> Constant:
    shape = (constant.elements * times,)
    return derived(lambda: np.repeat(constant.make().reshape(-1), times), shape, constant.dtype, constant)


def _is(constant: Constant, number: float) -> bool:
    return constant.is_small and bool((constant.numbers() == number).all())


RULES = (
    Rule("BatchNormalization", 1, batch_norm),
    Rule("InstanceNormalization", 1, instance_norm),
    Rule("LayerNormalization", 17, layer_norm),
    Rule(NORMALISED, 1, normalised, OURS),
    Rule("GroupNormalization", 18, group_norm_of_groups),
    Rule("GroupNormalization", 21, group_norm),
    Rule("LRN", 1, local_response_norm),
)
