"""An ONNX file as plain records; what reads a file makes them, and what imports a network sees nothing else.

Names are those of https://onnx.ai/onnx/repo-docs/IR.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.arrays import Array, Shape, elements

MAX_AXES = 8
"""Of a tensor."""

Size = int | str | None
"""Of a dimension: a number, the name of one that is left open, or unknown."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """Stored numbers: what is said of them, and where they are."""

    name: str
    dtype: np.dtype[Any]
    shape: Shape
    read: Callable[[], Array] = field(repr=False)
    """Returns them in that shape, as an array of the caller's own."""

    @property
    def elements(self) -> int:
        """How many numbers they are."""
        return elements(self.shape)


AttributeValue = int | float | str | Tensor | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True, eq=False)
class GraphNode:
    """An operator, applied."""

    type: str
    inputs: tuple[str, ...]
    """Names of tensors; an empty one stands for an input that is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    name: str = ""
    domain: str = ""
    """Whose operator it is; empty for those of ONNX itself."""
    version: int | None = None
    """Of the operator, where it is not that of the file's operators."""

    @property
    def place(self) -> str:
        """What to call it by in messages."""
        return self.name or next(filter(None, self.outputs), "") or self.type


@dataclass(frozen=True)
class TensorType:
    """What a graph says of a tensor that goes in or comes out."""

    name: str
    dtype: np.dtype[Any] | None
    """None for one that NumPy has not, or that the file does not say."""
    shape: tuple[Size, ...] | None
    """None where the file does not say."""


@dataclass(frozen=True)
class Graph:
    """A file: its graph, and what is said beside it."""

    opset: int
    """Version of ONNX's own operators."""
    nodes: tuple[GraphNode, ...]
    inputs: tuple[TensorType, ...]
    """Without those that are stored."""
    outputs: tuple[TensorType, ...]
    initializers: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    producer: str
