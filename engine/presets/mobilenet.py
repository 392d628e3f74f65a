"""MobileNetV2: inverted residual blocks with depthwise convolutions."""

from __future__ import annotations

from engine.presets.base import Layers, Preset, classifier, normalized

_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""The paper's table 2: expansion t, filters c, blocks n, stride s of the first one."""


def _layers(classes: int) -> Layers:
    blocks = [
        {
            "type": "inverted_residual",
            "filters": filters,
            "expansion": expansion,
            "stride": 1 if number else stride,
            "padding": 1,
        }
        for expansion, filters, count, stride in _STAGES
        for number in range(count)
    ]
    return [
        *normalized(32, 3, 2, "relu6"),
        *blocks,
        *normalized(1280, 1, activation="relu6"),
        *classifier(classes, dropout=0.2),
    ]


MOBILENET_V2 = Preset(
    name="mobilenet-v2",
    title="MobileNetV2: seventeen inverted residual blocks",
    source="Sandler et al. 2018, MobileNetV2: Inverted residuals and linear bottlenecks, table 2",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_layers,
)
