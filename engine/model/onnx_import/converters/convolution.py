"""Convolutions."""

from __future__ import annotations

from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.dense import Dense
from engine.layers.transposed import TransposedConv2D
from engine.model.onnx_import.values.builder import Weight
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import atom
from engine.model.onnx_import.values.value import Constant, Unsupported, Value
from engine.model.onnx_import.values.window import sliding


def convolution(call: Call) -> list[Value]:
    """Conv: `conv2d`, of one group for each channel `depthwise_conv2d`, of a vector `dense`."""
    value, weight = call.computed(0), call.constant(1)
    filters, per_group, *kernel = weight.shape
    groups = call.attribute("group", 1)
    axes = len(value.layout.dims)
    if len(kernel) != axes - 2:
        raise Unsupported(f"filters of {axes} axes, as the map has, and not of {len(kernel) + 2}")
    bias = _bias(call, 2)
    window = sliding(call, value, tuple(kernel))
    sizes = value.shape[2:]
    if (
        groups == 1
        and set(sizes) == {1} == set(kernel)
        and not window.is_padded
        and len(value.layout.place) == 1
    ):
        channelled = call.by_channel(value, [1])
        weights = {
            "weight": Weight(channelled.along(weight.reshaped((filters, per_group)), 1), ("out", "in"))
        }
        node = call.add(Dense(units=filters, bias=bool(bias)), channelled.node, weights=weights | bias)
        return [channelled.replaced(node, atom(filters), 1)]
    source = call.map(value)
    channels = call.builder.shape(source)[2]
    kernels = weight.reshaped((filters, per_group, *window.kernel))
    given = {
        "kernel_size": window.kernel,
        "stride": window.stride,
        "padding": window.padding,
        "dilation": window.dilation,
        "bias": bool(bias),
    }
    layer: Conv2D | DepthwiseConv2D
    if groups == channels > 1 and filters % groups == 0:
        layer = DepthwiseConv2D(multiplier=filters // groups, **given)
    else:
        layer = Conv2D(filters=filters, groups=groups, **given)
    weights = {"weight": Weight(kernels, ("out", "in", "height", "width"))}
    return [call.mapped(call.add(layer, source, weights=weights | bias), axes)]


def transposed(call: Call) -> list[Value]:
    """ConvTranspose: `transposed_conv2d`."""
    value, weight = call.computed(0), call.constant(1)
    channels, per_group, *kernel = weight.shape
    axes, groups = len(value.layout.dims), call.attribute("group", 1)
    if groups < 1 or channels % groups:
        raise Unsupported(f"groups of equal size of {channels} channels")
    if len(kernel) != axes - 2:
        raise Unsupported(f"filters of {axes} axes, as the map has, and not of {len(kernel) + 2}")
    window = sliding(call, value, tuple(kernel), spreads=True)
    bias = _bias(call, 2)
    layer = TransposedConv2D(
        filters=per_group * groups,
        groups=groups,
        kernel_size=window.kernel,
        stride=window.stride,
        padding=window.padding,
        output_padding=window.extra,
        dilation=window.dilation,
        bias=bool(bias),
    )
    # each group's own channels lead to its own share of the filters
    grouped = weight.reshaped((groups, channels // groups, per_group, *window.kernel)).transposed(
        (1, 0, 2, 3, 4)
    )
    kernels = grouped.reshaped((channels // groups, per_group * groups, *window.kernel))
    weights = {"weight": Weight(kernels, ("in", "out", "height", "width"))}
    return [call.mapped(call.add(layer, call.map(value), weights=weights | bias), axes)]


def _bias(call: Call, place: int) -> dict[str, Weight]:
    if not call.given(place):
        return {}
    bias: Constant = call.constant(place)
    return {"bias": Weight(bias, ("out",))}


RULES = (Rule("Conv", 1, convolution), Rule("ConvTranspose", 1, transposed))
