"""What a preset is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.architecture import Architecture

Layers = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Preset:
    """A published architecture whose picture size and classes may be chosen."""

    name: str
    title: str
    source: str
    input_shape: tuple[int, int, int]
    classes: int
    layers: Callable[[int], Layers]
    """From a number of classes to the layers, as a caller would post them."""

    def architecture(
        self, input_shape: tuple[int, int, int] | None = None, classes: int | None = None
    ) -> Architecture:
        """Return the architecture for pictures of this shape and this many classes."""
        return Architecture.model_validate(
            {
                "input_shape": self.input_shape if input_shape is None else input_shape,
                "layers": self.layers(self.classes if classes is None else classes),
            }
        )
