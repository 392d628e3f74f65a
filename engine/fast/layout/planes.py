"""Columns of a map by the stride of a window: of s planes, plane j holds the columns j, j + s, ... of the padded map.

What a tap of the window sees at all its positions then lies side by side, in a plane: a long run of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engine.arrays import Array
from engine.ops.windows import Axis


class Side(NamedTuple):
    """The columns of a map that belong to one plane."""

    plane: int
    columns: slice
    """Where they stand in the plane, between padding."""
    maps: Array
    """(T, H, ., C): a view."""


def sides(maps: Array, columns: Axis, planes: int) -> Iterator[Side]:
    """Yield the columns of maps (T, H, W, C) that belong to each plane; `columns` says what is padding beside them."""
    for plane in range(planes):
        first = (plane - columns.before) % planes
        side = maps[:, :, first::planes]
        start = (first + columns.before) // planes
        if side.shape[2]:
            yield Side(plane, slice(start, start + side.shape[2]), side)
