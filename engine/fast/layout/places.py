"""Where maps lie between the steps of a plan.

In inference a convolution reads its map from between zeros. The step before writes it there, so that it is not copied;
and whatever works number by number works on the memory in one run, zeros and all, for NumPy takes a strided row of 2 KB
four times as long as one that is not: 16,384 numbers in 15 instead of 4 microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.arrays import Array, Shape, elements
from engine.fast.layout.gemm import largest_divisor, viewed
from engine.workspace import aligned

Call = Callable[[], object]

_RUN = 1 << 12
"""Numbers that are gone through in one run: what is added to each run stays in the fastest cache."""
FEW_WEIGHTS = 1 << 16
"""Numbers that each step of each plan may have of its own, beside the weights that all plans share."""


@dataclass(frozen=True)
class Place:
    """Maps of N pictures, or vectors, in memory that holds nothing else but zeros."""

    maps: Array
    """(N, H, W, C), rows of pixels apart from each other; or (N, K)."""
    flat: Array
    """(N, M): all the memory of each picture; (N * R, M) where it is gone through in R equal runs of whole rows."""

    @property
    def runs(self) -> int:
        """In how many runs each picture is gone through."""
        return len(self.flat) // len(self.maps)

    @property
    def rows(self) -> Array:
        """The maps as rows (N, H, W * C); vectors as they are."""
        return self.maps if self.maps.ndim < 4 else viewed(self.maps, (*self.maps.shape[:2], -1))

    def tile(self, tile: slice) -> Place:
        """Return the place of some of the pictures."""
        return Place(self.maps[tile], self.flat[tile.start * self.runs : tile.stop * self.runs])

    def like(self, pictures: int | None = None) -> Place:
        """Return zeros that lie in the same way, by default for as many pictures."""
        count = len(self.maps) if pictures is None else pictures
        flat = _zeros((count * self.runs, self.flat.shape[1]))
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
    return close(_zeros((pictures, *shape)))


def close(maps: Array) -> Place:
    """Return the place of maps (N, H, W, C), or vectors, without anything between the pixels."""
    if maps.ndim < 4:
        return Place(maps, viewed(maps, (len(maps), -1)))
    height, row = maps.shape[1], maps.shape[2] * maps.shape[3]
    rows = largest_divisor(height, _RUN / row)
    return Place(maps, viewed(maps, (-1, rows * row)))


def surrounded(memory: Array, maps: Array) -> Place:
    """Return the place of maps (N, H, W, C) that lie in memory (N, ...)."""
    return Place(maps, viewed(memory, (len(memory), -1)))


def moved(x: Array, place: Array) -> list[Call]:
    """Return the call that copies x to `place`, or none where it is there already."""
    same = x.ctypes.data == place.ctypes.data and x.strides == place.strides
    return [] if same else [partial(np.copyto, place, x)]


class Bias:
    """A bias that is added to every pixel: as a run of maps, where all their memory is gone through."""

    def __init__(self) -> None:
        self._bias: Array | None = None
        self._run: Place | None = None

    def prepare(self, bias: Array | None) -> list[Call]:
        """Take a bias (C,) or none; return what to call, after `bind`, when its numbers have changed."""
        self._bias = bias
        return [] if bias is None else [self._repeat]

    def bind(self, y: Place) -> list[Call]:
        """Return the call that adds the bias to maps, or none; those of all tiles lie alike."""
        if self._bias is None:
            return []
        one = y.tile(slice(0, 1))
        if one.runs > 1:
            one = Place(one.maps[:, : one.maps.shape[1] // one.runs], one.flat[:1])
        if self._run is None or not self._run.lies_as(one):
            self._run = one.like()
        return [partial(np.add, y.flat, self._run.flat, out=y.flat)]

    def _repeat(self) -> None:
        if self._run is not None:
            self._run.maps[...] = self._bias


def added(one: Place, other: Place, y: Place) -> Call:
    """Return the call that adds two maps."""
    if one.lies_as(y) and other.lies_as(y):
        return partial(np.add, one.flat, other.flat, out=y.flat)
    return partial(np.add, one.rows, other.rows, out=y.rows)


def _zeros(shape: Shape) -> Array:
    memory: Array = aligned(4 * elements(shape)).view(np.float32).reshape(shape)
    memory[...] = 0
    return memory
