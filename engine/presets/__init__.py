"""Architectures ready to use: every preset there is."""

from __future__ import annotations

from engine.presets.base import Preset
from engine.presets.lenet import LENET_5
from engine.presets.vgg import VGG_SMALL

PRESETS: tuple[Preset, ...] = (LENET_5, VGG_SMALL)


def find(name: str) -> Preset | None:
    """Return the preset of this name, or None."""
    return next((preset for preset in PRESETS if preset.name == name), None)


__all__ = ["PRESETS", "Preset", "find"]
