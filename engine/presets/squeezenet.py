"""SqueezeNet: the accuracy of AlexNet with fifty times fewer parameters."""

from __future__ import annotations

from engine.presets.base import Layer, Layers, Preset, convolution, max_pool

_SOURCE = "Iandola et al. 2016, SqueezeNet: AlexNet-level accuracy with 50x fewer parameters"
_HALVE = max_pool(3, stride=2, ceil_mode=True)


def _fire(squeeze: int, expand: int) -> list[Layer]:
    branches = [[convolution(expand, 1)], [convolution(expand, 3)]]
    return [convolution(squeeze, 1), {"type": "parallel", "branches": branches}]


def _classifier(classes: int) -> list[Layer]:
    return [
        {"type": "dropout", "rate": 0.5},
        convolution(classes, 1),
        {"type": "global_average_pool2d"},
    ]


def _first(classes: int) -> Layers:
    return [
        convolution(96, 7, stride=2, padding="valid"),
        _HALVE,
        *_fire(16, 64),
        *_fire(16, 64),
        *_fire(32, 128),
        _HALVE,
        *_fire(32, 128),
        *_fire(48, 192),
        *_fire(48, 192),
        *_fire(64, 256),
        _HALVE,
        *_fire(64, 256),
        *_classifier(classes),
    ]


def _second(classes: int) -> Layers:
    return [
        convolution(64, 3, stride=2, padding="valid"),
        _HALVE,
        *_fire(16, 64),
        *_fire(16, 64),
        _HALVE,
        *_fire(32, 128),
        *_fire(32, 128),
        _HALVE,
        *_fire(48, 192),
        *_fire(48, 192),
        *_fire(64, 256),
        *_fire(64, 256),
        *_classifier(classes),
    ]


SQUEEZENET_1_0 = Preset(
    name="squeezenet-1.0",
    title="SqueezeNet 1.0: eight fire modules",
    source=f"{_SOURCE}, table 1",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_first,
    smallest=29,
)

SQUEEZENET_1_1 = Preset(
    name="squeezenet-1.1",
    title="SqueezeNet 1.1: eight fire modules, 2.4 times less work",
    source=f"{_SOURCE}, in the authors' later version 1.1",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_second,
    smallest=25,
)
