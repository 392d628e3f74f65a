"""Networks of stacked 3x3 convolutions."""

from __future__ import annotations

from engine.presets.base import Layer, Layers, Preset, convolution, max_pool

_SOURCE = "Simonyan & Zisserman 2014, Very deep convolutional networks for large-scale image recognition"
_DROPOUT = {"type": "dropout", "rate": 0.5}


def _stages(*stages: tuple[int, int]) -> list[Layer]:
    """Return stages of (convolutions, filters), each with a pool at its end."""
    return [
        layer
        for convolutions, filters in stages
        for layer in [*[convolution(filters, 3)] * convolutions, max_pool(2)]
    ]


def _dense(classes: int, units: int, layers: int, *dropout: Layer) -> list[Layer]:
    hidden = [{"type": "dense", "units": units, "activation": "relu"}, *dropout]
    return [{"type": "flatten"}, *hidden * layers, {"type": "dense", "units": classes}]


def _vgg_11(classes: int) -> Layers:
    return [*_stages((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)), *_dense(classes, 4096, 2, _DROPOUT)]


def _vgg_16(classes: int) -> Layers:
    return [*_stages((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), *_dense(classes, 4096, 2, _DROPOUT)]


def _small(classes: int) -> Layers:
    return [*_stages((2, 32), (2, 64)), *_dense(classes, 128, 1)]


def _tiny(classes: int) -> Layers:
    valid = convolution(10, 3, padding="valid")
    return [
        *[valid, valid, max_pool(2)] * 2,
        {"type": "flatten"},
        {"type": "dense", "units": classes},
    ]


VGG_11 = Preset(
    name="vgg-11",
    title="VGG-11: eight 3x3 convolutions and three dense layers",
    source=f"{_SOURCE}, table 1, column A",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_vgg_11,
    smallest=32,
)

VGG_16 = Preset(
    name="vgg-16",
    title="VGG-16: thirteen 3x3 convolutions and three dense layers",
    source=f"{_SOURCE}, table 1, column D",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_vgg_16,
    smallest=32,
)

VGG_SMALL = Preset(
    name="vgg-small",
    title="A small VGG: two pairs of 3x3 convolutions, for pictures of 32x32",
    source=f"{_SOURCE}, section 2.1, cut down to 32x32 pictures",
    input_shape=(32, 32, 3),
    classes=10,
    layers=_small,
    smallest=4,
)

TINY_VGG = Preset(
    name="tiny-vgg",
    title="Tiny VGG: four 3x3 convolutions of ten filters, to look at",
    source="Wang et al. 2020, CNN Explainer: Learning convolutional neural networks with interactive visualization, "
    "section 4",
    input_shape=(64, 64, 3),
    classes=10,
    layers=_tiny,
    smallest=16,
)
