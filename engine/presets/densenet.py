"""DenseNet-121: four dense blocks, and transitions that halve maps and channels."""

from __future__ import annotations

from engine.presets.base import Layer, Layers, Preset, classifier, max_pool, normalized

_GROWTH = 32
_NORM = {"type": "batch_norm", "activation": "relu"}


def _transition(channels: int) -> list[Layer]:
    reduced = {"type": "conv2d", "filters": channels // 2, "kernel_size": 1, "bias": False}
    return [_NORM, reduced, {"type": "average_pool2d"}]


def _layers(classes: int) -> Layers:
    layers = [*normalized(64, 7, 2), max_pool(3, stride=2, padding=1)]
    channels = 64
    for depth in (6, 12, 24, 16):
        if channels != 64:
            layers += _transition(channels)
            channels //= 2
        layers.append({"type": "dense_block", "depth": depth, "growth": _GROWTH})
        channels += depth * _GROWTH
    return [*layers, _NORM, *classifier(classes)]


DENSENET_121 = Preset(
    name="densenet-121",
    title="DenseNet-121: four dense blocks of 58 layers together",
    source="Huang et al. 2016, Densely connected convolutional networks, table 1",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_layers,
    smallest=29,
)
