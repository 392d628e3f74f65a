"""What a preset is, and the layers that many of them are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.graph.architecture import Architecture

Layer = dict[str, Any]
"""A layer as a caller would post it."""
Layers = Sequence[Layer]


@dataclass(frozen=True)
class Preset:
    """A published architecture whose picture size and classes may be chosen."""

    name: str
    title: str
    source: str
    input_shape: tuple[int, int, int]
    classes: int
    layers: Callable[[int], Layers]
    """From a number of classes to the layers."""
    smallest: int = 1
    """Height and width below which a picture has shrunk to nothing before the last layer."""

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


def convolution(filters: int, size: int, **options: Any) -> Layer:
    """Return a convolution that keeps the map's size, with a bias and ReLU, as it was before batch norm."""
    return {
        "type": "conv2d",
        "filters": filters,
        "kernel_size": size,
        "padding": size // 2,
        "activation": "relu",
        **options,
    }


def normalized(filters: int, size: int, stride: int = 1, activation: str | None = "relu") -> list[Layer]:
    """Return a convolution without bias, batch normalisation and psi, as they have come since."""
    options = {"stride": stride, "bias": False, "activation": None}
    return [convolution(filters, size, **options), {"type": "batch_norm", "activation": activation}]


def max_pool(size: int, **options: Any) -> Layer:
    """Return a max-pool; its stride is its size unless it is given."""
    return {"type": "max_pool2d", "pool_size": size, **options}


def classifier(classes: int, dropout: float = 0) -> list[Layer]:
    """Return the average of each map, and one dense layer on them."""
    forgetting = [{"type": "dropout", "rate": dropout}] if dropout else []
    return [{"type": "global_average_pool2d"}, *forgetting, {"type": "dense", "units": classes}]
