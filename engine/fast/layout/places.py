"""Where maps lie between the steps of an inference plan.

A convolution reads its map from between zeros. The step before writes it there, so that it is not copied; and whatever
works number by number works on the memory in one run, zeros and all, for NumPy takes a strided row of 2 KB four times
as long as one that is not: 16,384 numbers in 15 instead of 4 microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.arrays import Array, Shape, elements
from engine.fast.layout.gemm import viewed
from engine.workspace import aligned

Call = Callable[[], object]

FEW_WEIGHTS = 1 << 16
"""Numbers that each step of each plan may have of its own, beside the weights that all plans share."""


@dataclass(frozen=True)
class Place:
    """Maps of N pictures, or vectors, in memory that holds nothing else but zeros."""

    maps: Array
    """(N, H, W, C), rows of pixels apart from each other; or (N, K)."""
    flat: Array
    """(N, M): all the memory of each picture."""

    @property
    def rows(self) -> Array:
        """The maps as rows (N, H, W * C); vectors as they are."""
        return self.maps if self.maps.ndim < 4 else viewed(self.maps, (*self.maps.shape[:2], -1))

    def tile(self, tile: slice) -> Place:
        """Return the place of some of the pictures."""
        return Place(self.maps[tile], self.flat[tile])

    def like(self, pictures: int | None = None) -> Place:
        """Return zeros that lie in the same way, by default for as many pictures."""
        count = len(self.maps) if pictures is None else pictures
        flat = _zeros((count, self.flat.shape[1]))
        first = (self.maps.ctypes.data - self.flat.ctypes.data) // self.flat.itemsize
        maps = np.lib.stride_tricks.as_strided(
            flat.reshape(-1)[first:], (count, *self.maps.shape[1:]), self.maps.strides
        )
        return Place(maps, flat)

    def lies_as(self, other: Place) -> bool:
        """Whether numbers of the same pixel stand at the same place in `flat`."""
        offsets = [place.maps.ctypes.data - place.flat.ctypes.data for place in (self, other)]
        return (
            offsets[0] == offsets[1]
            and self.maps.strides == other.maps.strides
            and self.flat.shape == other.flat.shape
        )


def plain(pictures: int, shape: Shape) -> Place:
    """Return a place without anything between the pixels."""
    maps = _zeros((pictures, *shape))
    return Place(maps, maps.reshape(pictures, -1))


def surrounded(memory: Array, maps: Array) -> Place:
    """Return the place of maps (N, H, W, C) that lie in memory (N, ...)."""
    return Place(maps, viewed(memory, (len(memory), -1)))


def moved(x: Array, place: Array) -> list[Call]:
    """Return the call that copies x to `place`, or none where it is there already."""
    same = x.ctypes.data == place.ctypes.data and x.strides == place.strides
    return [] if same else [partial(np.copyto, place, x)]


class Bias:
    """A bias that is added to every pixel: as one picture's map, where all the memory of maps is gone through."""

    def __init__(self) -> None:
        self._everywhere: Place | None = None

    def bind(self, y: Place, bias: Array | None) -> list[Call]:
        """Return the call that adds a bias (C,) to maps, or none; those of all tiles lie alike."""
        if bias is None:
            return []
        one = self._everywhere
        if one is None or not one.lies_as(y.tile(slice(0, 1))):
            one = self._everywhere = y.like(1)
        one.maps[...] = bias
        return [partial(np.add, y.flat, one.flat, out=y.flat)]


def added(one: Place, other: Place, y: Place) -> Call:
    """Return the call that adds two maps."""
    if one.lies_as(y) and other.lies_as(y):
        return partial(np.add, one.flat, other.flat, out=y.flat)
    return partial(np.add, one.rows, other.rows, out=y.rows)


def _zeros(shape: Shape) -> Array:
    memory: Array = aligned(4 * elements(shape)).view(np.float32).reshape(shape)
    memory[...] = 0
    return memory
