"""Pools, and means over whole maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.layers import Layer
from engine.layers.pooling import AveragePool2D, GlobalAveragePool2D, GlobalMaxPool2D, MaxPool2D
from engine.model.onnx_import.converters.merge import affine
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import Layout
from engine.model.onnx_import.values.value import Computed, Unsupported, Value, known
from engine.model.onnx_import.values.window import Sliding, sliding


def max_pool(call: Call) -> list[Value]:
    """MaxPool: `max_pool2d`."""
    value, window = call.computed(), _window(call)
    layer = MaxPool2D(
        pool_size=window.kernel,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        ceil_mode=bool(call.attribute("ceil_mode", 0)),
    )
    return _pooled(call, value, window, layer)


def average_pool(call: Call) -> list[Value]:
    """AveragePool: `average_pool2d`."""
    value, window = call.computed(), _window(call)
    layer = AveragePool2D(
        pool_size=window.kernel,
        stride=window.stride,
        padding=window.padding,
        dilation=window.dilation,
        ceil_mode=bool(call.attribute("ceil_mode", 0)),
        count_padding=bool(call.attribute("count_include_pad", 0)),
    )
    return _pooled(call, value, window, layer)


def global_average_pool(call: Call) -> list[Value]:
    """GlobalAveragePool: `global_average_pool2d`."""
    value = call.computed()
    return [reduced(call, GlobalAveragePool2D(), value, range(2, len(value.shape)), keep=True)]


def global_max_pool(call: Call) -> list[Value]:
    """GlobalMaxPool: `global_max_pool2d`."""
    value = call.computed()
    return [reduced(call, GlobalMaxPool2D(), value, range(2, len(value.shape)), keep=True)]


def reduce_mean(call: Call) -> list[Value]:
    """ReduceMean: `global_average_pool2d`."""
    return [*_reduce(call, GlobalAveragePool2D(), 18)]


def reduce_sum(call: Call) -> list[Value]:
    """ReduceSum: `global_average_pool2d`, and then `affine`."""
    value = call.computed()
    (found,) = _reduce(call, GlobalAveragePool2D(), 13)
    axes = call.integers("axes", 1 if call.version >= 13 else None) or ()
    count = math.prod(value.shape[axis] for axis in call.axes(len(value.shape), axes))
    return [affine(call, found, scale=known(np.array(count, np.float32)))]


def reduce_max(call: Call) -> list[Value]:
    """ReduceMax: `global_max_pool2d`."""
    return [*_reduce(call, GlobalMaxPool2D(), 18)]


def _reduce(call: Call, layer: Layer, axes_are_input: int) -> list[Computed]:
    value = call.computed()
    axes = call.integers("axes", 1 if call.version >= axes_are_input else None)
    if not axes:
        if call.attribute("noop_with_empty_axes", 0):
            return [value]
        raise Unsupported("axes that are reduced: one number for the whole batch is none for each picture")
    keep = bool(call.attribute("keepdims", 1))
    return [reduced(call, layer, value, call.axes(len(value.shape), axes), keep=keep)]


def reduced(call: Call, layer: Layer, value: Computed, axes: Sequence[int], *, keep: bool) -> Computed:
    """Apply a pool over all of some axes of a tensor."""
    kept = [axis for axis in range(1, len(value.shape)) if axis not in axes]
    if 0 in axes or value.layout.dims[0] != value.layout.order[:1]:
        raise Unsupported("the batch on axis 0, which is not reduced")
    channelled = call.by_channel(value, kept)
    node, layout = channelled.node, channelled.layout
    if sum(layout.place[:-1], ()):
        node = call.add(layer, node)
        layout = layout.moved(layout.place[-1:])
    dims = tuple(() if axis in axes else dim for axis, dim in enumerate(layout.dims))
    layout = Layout(dims, layout.place)
    return Computed(node, layout if keep else layout.squeeze(axes))


def _window(call: Call) -> Sliding:
    kernel = call.integers("kernel_shape")
    if kernel is None:
        raise Unsupported("an attribute 'kernel_shape'")
    return sliding(call, call.computed(), kernel)


def _pooled(call: Call, value: Computed, window: Sliding, layer: Layer) -> list[Value]:
    if window.kernel == (1, 1) == window.stride and not window.is_padded:
        return [value]
    return [call.mapped(call.add(layer, call.map(value)), len(value.shape))]


RULES = (
    Rule("MaxPool", 1, max_pool),
    Rule("AveragePool", 1, average_pool),
    Rule("GlobalAveragePool", 1, global_average_pool),
    Rule("GlobalMaxPool", 1, global_max_pool),
    Rule("ReduceMean", 1, reduce_mean),
    Rule("ReduceMean", 18, reduce_mean),
    Rule("ReduceSum", 1, reduce_sum),
    Rule("ReduceSum", 13, reduce_sum),
    Rule("ReduceMax", 1, reduce_max),
    Rule("ReduceMax", 18, reduce_max),
)
