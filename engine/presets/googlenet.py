"""GoogLeNet: nine Inception modules, with batch normalisation in place of local response normalisation."""

from __future__ import annotations

from engine.presets.base import Layer, Layers, Preset, classifier, max_pool, normalized

_HALVE = max_pool(3, stride=2, padding="same")


def _inception(one: int, reduce_3: int, three: int, reduce_5: int, five: int, pool: int) -> Layer:
    return {
        "type": "inception",
        "filters_1x1": one,
        "reduce_3x3": reduce_3,
        "filters_3x3": three,
        "reduce_5x5": reduce_5,
        "filters_5x5": five,
        "filters_pool": pool,
        "batch_norm": True,
    }


def _layers(classes: int) -> Layers:
    return [
        *normalized(64, 7, 2),
        _HALVE,
        *normalized(64, 1),
        *normalized(192, 3),
        _HALVE,
        _inception(64, 96, 128, 16, 32, 32),
        _inception(128, 128, 192, 32, 96, 64),
        _HALVE,
        _inception(192, 96, 208, 16, 48, 64),
        _inception(160, 112, 224, 24, 64, 64),
        _inception(128, 128, 256, 24, 64, 64),
        _inception(112, 144, 288, 32, 64, 64),
        _inception(256, 160, 320, 32, 128, 128),
        _HALVE,
        _inception(256, 160, 320, 32, 128, 128),
        _inception(384, 192, 384, 48, 128, 128),
        *classifier(classes, dropout=0.4),
    ]


GOOGLENET = Preset(
    name="googlenet",
    title="GoogLeNet: nine Inception modules",
    source="Szegedy et al. 2014, Going deeper with convolutions, table 1, without the auxiliary classifiers; batch "
    "normalisation as in Ioffe & Szegedy 2015, section 4.2",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_layers,
)
