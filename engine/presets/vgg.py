"""Networks of stacked 3x3 convolutions."""

from __future__ import annotations

from typing import Any

from engine.presets.base import Layers, Preset


def _convolution(filters: int) -> dict[str, Any]:
    return {"type": "conv2d", "filters": filters, "kernel_size": 3, "padding": "same", "activation": "relu"}


def _small(classes: int) -> Layers:
    return [
        _convolution(32),
        _convolution(32),
        {"type": "max_pool2d", "pool_size": 2},
        _convolution(64),
        _convolution(64),
        {"type": "max_pool2d", "pool_size": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 128, "activation": "relu"},
        {"type": "dense", "units": classes},
    ]


VGG_SMALL = Preset(
    name="vgg-small",
    title="A small VGG: two pairs of 3x3 convolutions, for pictures of 32x32",
    source="Simonyan & Zisserman 2014, Very deep convolutional networks, section 2.1, cut down to 32x32 pictures",
    input_shape=(32, 32, 3),
    classes=10,
    layers=_small,
)
