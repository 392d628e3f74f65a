"""AlexNet in the single column that became the usual one: 61,100,840 parameters at 224x224x3 and 1000 classes."""

from __future__ import annotations

from engine.presets.base import Layers, Preset, convolution, max_pool

_DROPOUT = {"type": "dropout", "rate": 0.5}


def _layers(classes: int) -> Layers:
    dense = {"type": "dense", "units": 4096, "activation": "relu"}
    return [
        convolution(64, 11, stride=4, padding=2),
        max_pool(3, stride=2),
        convolution(192, 5),
        max_pool(3, stride=2),
        convolution(384, 3),
        convolution(256, 3),
        convolution(256, 3),
        max_pool(3, stride=2),
        {"type": "flatten"},
        _DROPOUT,
        dense,
        _DROPOUT,
        dense,
        {"type": "dense", "units": classes},
    ]


ALEXNET = Preset(
    name="alexnet",
    title="AlexNet: five convolutions and three dense layers, in one column",
    source="Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks, of the network of "
    "Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep convolutional neural networks",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_layers,
    smallest=63,
)
