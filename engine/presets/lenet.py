"""LeNet-5, the network of the article's notation: 61,706 parameters at 28x28x1 and ten classes."""

from __future__ import annotations

from engine.presets.base import Layers, Preset


def _layers(classes: int) -> Layers:
    return [
        {"type": "conv2d", "filters": 6, "kernel_size": 5, "padding": "same", "activation": "relu"},
        {"type": "max_pool2d", "pool_size": 2},
        {"type": "conv2d", "filters": 16, "kernel_size": 5, "activation": "relu"},
        {"type": "max_pool2d", "pool_size": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 120, "activation": "relu"},
        {"type": "dense", "units": 84, "activation": "relu"},
        {"type": "dense", "units": classes},
    ]


LENET_5 = Preset(
    name="lenet-5",
    title="LeNet-5: two convolutions, three dense layers, for digits",
    source="LeCun et al. 1998, Gradient-based learning applied to document recognition, section II.B "
    "(with ReLU, max-pooling and a full second convolution, as it is built today)",
    input_shape=(28, 28, 1),
    classes=10,
    layers=_layers,
    smallest=12,
)
