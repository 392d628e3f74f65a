"""Residual networks, for ImageNet (18, 34, 50) and for CIFAR-10 (20, 56)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.presets.base import Layer, Layers, Preset, classifier, max_pool, normalized

_SOURCE = "He et al. 2015, Deep residual learning for image recognition"
_Block = Callable[[int, int, bool], Layer]
"""From filters, stride, and whether the input has another shape, to a block."""


def _residual(body: list[Layer], shortcut: Any) -> Layer:
    return {"type": "residual", "layers": body, "shortcut": shortcut, "activation": "relu"}


def _basic(filters: int, stride: int, changes: bool) -> Layer:
    body = [*normalized(filters, 3, stride), *normalized(filters, 3, activation=None)]
    return _residual(body, normalized(filters, 1, stride, None) if changes else "identity")


def _bottleneck(filters: int, stride: int, changes: bool) -> Layer:
    """The stride is in the 3x3 convolution, as in the version of the network that is compared with ever since."""
    body = [
        *normalized(filters, 1),
        *normalized(filters, 3, stride),
        *normalized(4 * filters, 1, activation=None),
    ]
    return _residual(body, normalized(4 * filters, 1, stride, None) if changes else "identity")


def _cifar(filters: int, stride: int, changes: bool) -> Layer:
    """The paper's option A: a shortcut without weights, new channels filled with 0."""
    body = [*normalized(filters, 3, stride), *normalized(filters, 3, activation=None)]
    return _residual(body, "fixed_projection" if changes else "identity")


def _stages(block: _Block, depths: tuple[int, ...], filters: int, first_changes: bool) -> list[Layer]:
    """Return stages of blocks; each stage but the first halves the map and doubles the filters."""
    return [
        block(
            filters * 2**stage, 2 if stage and not number else 1, not number and bool(stage or first_changes)
        )
        for stage, depth in enumerate(depths)
        for number in range(depth)
    ]


def _imagenet(block: _Block, *depths: int) -> Callable[[int], Layers]:
    def layers(classes: int) -> Layers:
        stem = [*normalized(64, 7, 2), max_pool(3, stride=2, padding=1)]
        return [*stem, *_stages(block, depths, 64, block is _bottleneck), *classifier(classes)]

    return layers


def _small(depth: int) -> Callable[[int], Layers]:
    def layers(classes: int) -> Layers:
        return [*normalized(16, 3), *_stages(_cifar, (depth,) * 3, 16, False), *classifier(classes)]

    return layers


RESNET_18 = Preset(
    name="resnet-18",
    title="ResNet-18: eight residual blocks of two 3x3 convolutions",
    source=f"{_SOURCE}, table 1",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_imagenet(_basic, 2, 2, 2, 2),
)

RESNET_34 = Preset(
    name="resnet-34",
    title="ResNet-34: sixteen residual blocks of two 3x3 convolutions",
    source=f"{_SOURCE}, table 1",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_imagenet(_basic, 3, 4, 6, 3),
)

RESNET_50 = Preset(
    name="resnet-50",
    title="ResNet-50: sixteen residual blocks with bottlenecks",
    source=f"{_SOURCE}, table 1 (with the stride in the 3x3 convolution: Goyal et al. 2017, section 5.1)",
    input_shape=(224, 224, 3),
    classes=1000,
    layers=_imagenet(_bottleneck, 3, 4, 6, 3),
)

RESNET_20 = Preset(
    name="resnet-20",
    title="ResNet-20: nine residual blocks, for pictures of 32x32",
    source=f"{_SOURCE}, section 4.2, n = 3",
    input_shape=(32, 32, 3),
    classes=10,
    layers=_small(3),
)

RESNET_56 = Preset(
    name="resnet-56",
    title="ResNet-56: twenty-seven residual blocks, for pictures of 32x32",
    source=f"{_SOURCE}, section 4.2, n = 9",
    input_shape=(32, 32, 3),
    classes=10,
    layers=_small(9),
)
