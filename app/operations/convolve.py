"""A filter applied to a picture: a convolution layer with one filter, whose weights are given."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.api.requests.operations import ConvolveRequest
from app.errors import Invalid
from app.operations.numbers import array, narrowed, written
from app.operations.operation import Inputs, Limits, Options, Task, prepare
from app.text import did_you_mean
from engine.arrays import Array
from engine.errors import EngineError
from engine.layers import LayerRecord
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.ops.filters import FILTERS


def convolve(request: ConvolveRequest, inputs: Inputs, limits: Limits) -> tuple[Task, Array]:
    """Return the operation, ready to run, and the filter as it is applied: (f, f) or (f, f, C).

    Raises:
        Invalid, ShapeError, GraphError, LimitError: as their place and hint say.
    """
    (picture,) = inputs.arrays
    if picture.ndim == 1:
        raise Invalid.at(inputs.place, "a picture has two axes or three", "send lists (H, W) or (H, W, C)")
    kernel = _kernel(request.kernel)
    if request.flip:
        kernel = kernel[::-1, ::-1]
    channels = picture.shape[2]
    hyperparameters: dict[str, Any] = {
        "kernel_size": kernel.shape[:2],
        "padding": request.padding,
        "stride": request.stride,
        "dilation": request.dilation,
        "activation": request.activation,
    }
    layer: LayerRecord
    if kernel.ndim == 2:
        layer = DepthwiseConv2D(**hyperparameters)
        weight = np.repeat(kernel[:, :, None, None], channels, axis=3)  # (f, f, 1, C)
    else:
        if kernel.shape[2] != channels:
            detail = f"a filter {written(kernel.shape)} for a picture {written(picture.shape)}"
            hint = f"give it {channels} channels, or none: then it is applied to each channel by itself"
            raise Invalid.at("kernel", detail, hint)
        layer = Conv2D(filters=1, **hyperparameters)
        weight = kernel[..., None]  # (f, f, C, 1)
    if inputs.precision == np.float32:
        narrowed(kernel, ("kernel",))
        narrowed(np.array(request.bias), ("bias",))
    bias = np.full(weight.shape[3], request.bias)
    options = Options({"weight": weight, "bias": bias}, trace=request.trace_positions)
    try:
        return prepare(layer, inputs, options, limits, place=()), kernel
    except EngineError as error:
        path = error.path or ("kernel",)
        if path[0] == "kernel_size":
            path = ("kernel", *path[1:])
        raise type(error)(error.detail, path=path, hint=error.hint) from None


def _kernel(value: str | list[Any]) -> Array:
    if isinstance(value, list):
        kernel = array(value, ("kernel",), (2, 3))
        if max(kernel.shape[:2]) > 16384:
            raise Invalid.at("kernel", "its sides are longer than 16384", "use a smaller filter")
        return kernel
    named = {each.name: each.kernel for each in FILTERS}
    if value not in named:
        near = [name for name in named if value and name.startswith(value.lower())]
        hint = f"there are {', '.join(named)}; or give its numbers"
        if value.lstrip().startswith("["):
            hint = "give lists, without quotes"
        elif near:
            hint = f"did you mean {' or '.join(map(repr, near))}?"
        else:
            hint = did_you_mean(value, list(named), hint)
        raise Invalid.at("kernel", f"there is no filter {value[:80]!r}", hint)
    return np.array(named[value], np.float64)
