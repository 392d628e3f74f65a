"""Architectures ready to use: every preset there is."""

from __future__ import annotations

from engine.presets.alexnet import ALEXNET
from engine.presets.base import Preset
from engine.presets.densenet import DENSENET_121
from engine.presets.googlenet import GOOGLENET
from engine.presets.lenet import LENET_5
from engine.presets.mobilenet import MOBILENET_V2
from engine.presets.resnet import RESNET_18, RESNET_20, RESNET_34, RESNET_50, RESNET_56
from engine.presets.squeezenet import SQUEEZENET_1_0, SQUEEZENET_1_1
from engine.presets.vgg import TINY_VGG, VGG_11, VGG_16, VGG_SMALL

PRESETS: tuple[Preset, ...] = (
    LENET_5,
    VGG_SMALL,
    TINY_VGG,
    RESNET_20,
    RESNET_56,
    ALEXNET,
    VGG_11,
    VGG_16,
    GOOGLENET,
    SQUEEZENET_1_0,
    SQUEEZENET_1_1,
    RESNET_18,
    RESNET_34,
    RESNET_50,
    DENSENET_121,
    MOBILENET_V2,
)


def find(name: str) -> Preset | None:
    """Return the preset of this name, or None."""
    return next((preset for preset in PRESETS if preset.name == name), None)


__all__ = ["PRESETS", "Preset", "find"]
