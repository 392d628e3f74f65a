"""What a layer is in ONNX: operators as plain records, which `engine/model/onnx_format` alone writes into a file.

There a batch of maps is (N, C, H, W) and one of vectors (N, C). The records leave the batch out and have our shapes,
(H, W, C) and (C,). Operators are those of version 17 of ONNX's own set: https://onnx.ai/onnx/operators
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from engine.arrays import Array, Shape, elements

T = TypeVar("T")
Attribute = int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Given:
    """What another node computes."""

    name: str
    shape: Shape
    """(H, W, C) or (C,)."""


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that are stored in the file."""

    array: Array
    name: str | None = None
    """Of the weight that they are."""


@dataclass(frozen=True, eq=False)
class Operator:
    """One of ONNX's operators, applied."""

    type: str
    inputs: tuple[Value, ...]
    attributes: dict[str, Attribute]


Value = Given | Constant | Operator


def operator(kind: str, *inputs: Value, **attributes: Attribute) -> Operator:
    """Apply an operator."""
    return Operator(kind, inputs, attributes)


def integers(*numbers: int) -> Constant:
    """Return a list of integers, as shapes and axes are given."""
    return Constant(np.array(numbers, np.int64))


def reals(numbers: ArrayLike, name: str | None = None) -> Constant:
    """Return real numbers, of any shape."""
    return Constant(np.asarray(numbers, np.float32), name)


def turned(axes: tuple[T, ...]) -> tuple[T, ...]:
    """Return a shape of ours, or what its axes are, in the order of ONNX: (C, H, W) of (H, W, C)."""
    return axes[-1:] + axes[:-1]


def per_channel(numbers: Array, shape: Shape, name: str | None = None) -> Constant:
    """Return a number for each channel, or one for all, such that it is stretched over inputs of this shape."""
    return reals(numbers.reshape(-1, *(1,) * (len(shape) - 1)), name)


def channels_last(x: Value) -> Operator:
    """Bring the axes of maps into our order, (N, H, W, C)."""
    return operator("Transpose", x, perm=(0, 2, 3, 1))


def channels_first(x: Value) -> Operator:
    """Bring the axes of maps from our order into that of ONNX, (N, C, H, W)."""
    return operator("Transpose", x, perm=(0, 3, 1, 2))


def rearranged(x: Value, before: Shape, after: Shape) -> Operator:
    """Give numbers another shape, in our order; nothing is transposed where both orders are the same."""
    ours = channels_last(x) if _differs(before) else x
    if _differs(after):
        return channels_first(operator("Reshape", ours, integers(0, *after)))
    return operator("Reshape", ours, integers(0, *turned(after)))


def _differs(shape: Shape) -> bool:
    """Tell whether the numbers of a map come in another order in ONNX."""
    return len(shape) == 3 and shape[2] > 1 and elements(shape[:2]) > 1
