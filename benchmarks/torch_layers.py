"""Every layer as PyTorch computes it, on tensors in our order: images (N, H, W, C), filters (H, W, in, out)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.graph.network import Network
from engine.layers import Context, Layer
from engine.layers.base import Axis
from engine.ops.windows import Window

Weights = dict[str, Tensor]


def first(x: Tensor) -> Tensor:
    """Bring the channels to the front, where PyTorch has them."""
    return x.permute(0, 3, 1, 2) if x.ndim == 4 else x


def last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1) if x.ndim == 4 else x


def ordered(layer: Layer, weights: Weights, xs: Sequence[Tensor], *axes: Axis) -> Tensor:
    """Return a layer's weight with its axes in the order that PyTorch has them in."""
    spec = layer.weights(*(tuple(x.shape[1:]) for x in xs))["weight"]
    return weights["weight"].permute(spec.order(axes)).contiguous()


def surrounded(x: Tensor, window: Window, value: float = 0.0) -> Tensor:
    """Pad a map whose channels come first, and what a rounded-up last window sees beyond."""
    rows, columns = window
    sides = [
        columns.before,
        columns.padded - columns.size - columns.before,
        rows.before,
        rows.padded - rows.size - rows.before,
    ]
    return functional.pad(x, sides, value=value)


def symmetric(window: Window) -> tuple[int, int] | None:
    """Return the padding if PyTorch's pools can do it by themselves."""
    if all(axis.before == axis.after <= axis.kernel // 2 for axis in window):  # whatever the dilation
        return window.height.before, window.width.before
    return None


def convolution(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    x = first(xs[0])
    window = layer.window(tuple(xs[0].shape[1:]))
    filters = ordered(layer, weights, xs, "out", "in", "height", "width")
    groups = x.shape[1] // filters.shape[1]
    y = functional.conv2d(
        surrounded(x, window), filters, weights.get("bias"), layer.stride, 0, layer.dilation, groups
    )
    return last(y)


def transposed(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    rows, columns = layer.window(tuple(xs[0].shape[1:]))
    filters = ordered(layer, weights, xs, "out", "in", "height", "width")
    grouped = filters.unflatten(0, (layer.groups, -1)).transpose(1, 2)
    filters = grouped.flatten(0, 1)  # (C, F / g, KH, KW)
    padding = layer.padding
    if isinstance(padding, tuple) and all(before == after for before, after in padding):
        sides = (padding[0][0], padding[1][0])
        y = functional.conv_transpose2d(
            first(xs[0]),
            filters,
            weights.get("bias"),
            layer.stride,
            sides,
            layer.output_padding,
            layer.groups,
            layer.dilation,
        )
        return last(y)
    y = functional.conv_transpose2d(
        first(xs[0]), filters, None, layer.stride, 0, 0, layer.groups, layer.dilation
    )
    missing = [
        max(axis.before + axis.size - size, 0)
        for axis, size in zip((rows, columns), y.shape[2:], strict=True)
    ]
    y = functional.pad(y, (0, missing[1], 0, missing[0]))
    y = last(y[:, :, rows.before : rows.before + rows.size, columns.before : columns.before + columns.size])
    return y + weights["bias"] if layer.bias else y


def max_pool(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    x, window = first(xs[0]), layer.window(tuple(xs[0].shape[1:]))
    stride = layer.stride or layer.pool_size
    sides = symmetric(window)
    if sides is not None:
        return last(
            functional.max_pool2d(
                x, layer.pool_size, stride, sides, layer.dilation, ceil_mode=layer.ceil_mode
            )
        )
    padded = surrounded(x, window, -torch.inf)
    return last(functional.max_pool2d(padded, layer.pool_size, stride, 0, layer.dilation))


def average_pool(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    x, window = first(xs[0]), layer.window(tuple(xs[0].shape[1:]))
    stride = layer.stride or layer.pool_size
    sides = symmetric(window)
    if sides is not None and max(layer.dilation) == 1:
        return last(
            functional.avg_pool2d(x, layer.pool_size, stride, sides, layer.ceil_mode, layer.count_padding)
        )
    rows, columns = window
    counted = torch.ones_like(x)
    if layer.count_padding:
        sides_counted = (columns.before, columns.after, rows.before, rows.after)
        beyond = (0, columns.padded - columns.surrounded, 0, rows.padded - rows.surrounded)
        counted = functional.pad(functional.pad(counted, sides_counted, value=1), beyond)
    else:
        counted = surrounded(counted, window)
    # PyTorch's average has no dilation, but a convolution has
    ones = torch.ones((x.shape[1], 1, *layer.pool_size), dtype=x.dtype)
    total, cells = (
        functional.conv2d(each, ones, None, stride, 0, layer.dilation, x.shape[1])
        for each in (surrounded(x, window), counted)
    )
    return last(total / cells)


def batch_norm(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    """Normalise, and leave the new running statistics in `context`."""
    mean, variance = (weights[name].detach().clone() for name in ("running_mean", "running_variance"))
    scale, shift = weights["scale"], weights["shift"]
    of_batch = context.statistics == "batch"
    y = functional.batch_norm(
        first(xs[0]), mean, variance, scale, shift, of_batch, layer.momentum, layer.epsilon
    )
    if of_batch:
        context.update("running_mean", mean.numpy())
        context.update("running_variance", variance.numpy())
    return last(y)


def layer_norm(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    shape = xs[0].shape[-1:] if layer.over == "channels" else xs[0].shape[1:]
    return functional.layer_norm(xs[0], shape, weights.get("scale"), weights.get("shift"), layer.epsilon)


def group_norm(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    scale, shift = weights.get("scale"), weights.get("shift")
    return last(functional.group_norm(first(xs[0]), layer.groups, scale, shift, layer.epsilon))


def instance_norm(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    scale, shift = weights.get("scale"), weights.get("shift")
    return last(functional.instance_norm(first(xs[0]), weight=scale, bias=shift, eps=layer.epsilon))


def local_response_norm(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    alpha = layer.alpha * layer.size
    return last(functional.local_response_norm(first(xs[0]), layer.size, alpha, layer.beta, layer.k))


def dropped(layer: Layer, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    """Multiply by our own mask: which numbers are dropped is no matter of arithmetic."""
    ones = np.ones(tuple(xs[0].shape))
    mask, _ = layer.forward({}, ones, context=context)
    return xs[0] * torch.from_numpy(mask).to(xs[0].dtype)


def dense(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    return functional.linear(xs[0], ordered(layer, weights, xs, "out", "in"), weights.get("bias"))


def pad(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    (top, bottom), (left, right) = layer.padding
    sides = (left, right, top, bottom)
    if layer.mode == "constant":
        return last(functional.pad(first(xs[0]), sides, value=layer.value))
    return last(functional.pad(first(xs[0]), sides, mode={"wrap": "circular"}.get(layer.mode, layer.mode)))


def upsample(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    y = functional.interpolate(
        first(xs[0]),
        layer.size,
        None if layer.size else tuple(map(float, layer.factor)),
        layer.mode,
        align_corners=None if layer.mode == "nearest" else layer.coordinates == "align_corners",
        antialias=layer.antialias,
    )
    return last(y)


def pairwise(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def compute(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
        axes = max(x.ndim for x in xs)
        one, other = (x if x.ndim == axes else x[:, None, None] for x in xs)
        return function(one, other)

    return compute


def prelu(layer: Any, weights: Weights, xs: Sequence[Tensor], context: Context) -> Tensor:
    if layer.per_pixel:  # PyTorch has no such slopes
        return torch.where(xs[0] > 0, xs[0], weights["slope"] * xs[0])
    return last(functional.prelu(first(xs[0]), weights["slope"]))


def pointwise(function: Callable[[Any, Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda layer, weights, xs, context: function(layer, xs[0])


FUNCTIONS: dict[str, Callable[[Any, Weights, Sequence[Tensor], Context], Tensor]] = {
    "conv2d": convolution,
    "depthwise_conv2d": convolution,
    "transposed_conv2d": transposed,
    "pad2d": pad,
    "max_pool2d": max_pool,
    "average_pool2d": average_pool,
    "global_max_pool2d": pointwise(lambda layer, x: functional.adaptive_max_pool2d(first(x), 1)[:, :, 0, 0]),
    "global_average_pool2d": pointwise(lambda layer, x: x.mean((1, 2))),
    "adaptive_average_pool2d": pointwise(
        lambda layer, x: last(functional.adaptive_avg_pool2d(first(x), layer.output_size))
    ),
    "upsample2d": upsample,
    "flatten": pointwise(lambda layer, x: x.flatten(1)),
    "reshape": pointwise(lambda layer, x: x.reshape(len(x), *layer.shape)),
    "slice": pointwise(lambda layer, x: x[np.ix_(range(len(x)), *layer.kept(tuple(x.shape[1:])))]),
    "channel_shuffle": pointwise(
        lambda layer, x: (
            last(functional.channel_shuffle(first(x), layer.groups))
            if x.ndim == 4
            else functional.channel_shuffle(x[:, :, None, None], layer.groups)[:, :, 0, 0]
        )
    ),
    "dense": dense,
    "relu": pointwise(lambda layer, x: functional.relu(x)),
    "relu6": pointwise(lambda layer, x: functional.relu6(x)),
    "leaky_relu": pointwise(lambda layer, x: functional.leaky_relu(x, layer.slope)),
    "prelu": prelu,
    "clip": pointwise(lambda layer, x: torch.clamp(x, layer.minimum, layer.maximum)),
    "elu": pointwise(lambda layer, x: functional.elu(x, layer.alpha)),
    "selu": pointwise(lambda layer, x: functional.selu(x)),
    "gelu": pointwise(
        lambda layer, x: functional.gelu(x, approximate="none" if layer.form == "exact" else "tanh")
    ),
    "silu": pointwise(lambda layer, x: functional.silu(x)),
    "hard_swish": pointwise(lambda layer, x: functional.hardswish(x)),
    "softplus": pointwise(lambda layer, x: functional.softplus(x)),
    "sigmoid": pointwise(lambda layer, x: torch.sigmoid(x)),
    "hard_sigmoid": pointwise(lambda layer, x: torch.clamp(layer.alpha * x + layer.beta, 0, 1)),
    "tanh": pointwise(lambda layer, x: torch.tanh(x)),
    "erf": pointwise(lambda layer, x: torch.erf(x)),
    "softmax": pointwise(lambda layer, x: functional.softmax(x, dim=-1)),
    "log_softmax": pointwise(lambda layer, x: functional.log_softmax(x, dim=-1)),
    "batch_norm": batch_norm,
    "layer_norm": layer_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "local_response_norm": local_response_norm,
    "affine": lambda layer, weights, xs, context: (
        xs[0] * weights.get("scale", torch.tensor(1)) + weights.get("shift", torch.tensor(0))
    ),
    "dropout": dropped,
    "spatial_dropout2d": dropped,
    "stochastic_depth": dropped,
    "add": lambda layer, weights, xs, context: torch.stack(list(xs)).sum(0),
    "subtract": pairwise(torch.sub),
    "multiply": pairwise(torch.mul),
    "divide": pairwise(torch.div),
    "concatenate": lambda layer, weights, xs, context: torch.cat(list(xs), -1),
}
"""By the layer's type. A layer that is missing here makes `make parity` fail."""


def run(network: Network, weights: Weights, x: Tensor, context: Context) -> Tensor:
    """Run a batch through a network, node by node, with PyTorch's arithmetic."""
    outputs = {"input": x}
    for node in network.nodes:
        local = {name: weights[f"{node.name}/{name}"] for name in node.weights}
        inputs = [outputs[name] for name in node.inputs]
        outputs[node.name] = FUNCTIONS[node.layer.type](node.layer, local, inputs, context.bound(node.name))
    return outputs[network.nodes[-1].name]
