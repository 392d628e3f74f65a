"""One number for each trained weight, all in one run of memory: gradients, weights, an optimizer's slots.

What is done to every number alike is done once, in pieces that fit the cache, instead of once for each array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike

from engine.arrays import Array, elements
from engine.layers import WeightSpec

_Key = TypeVar("_Key")


class Flat(Mapping[str, Array]):
    """Arrays by the full name of their weight, those that decay first."""

    def __init__(
        self,
        specs: Mapping[str, WeightSpec],
        memory: Array | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        """Lay out an array for each trained weight, in `memory` (n,) or in zeros."""
        trained = [name for name, spec in specs.items() if spec.trainable]
        ordered = [name for decays in (True, False) for name in trained if specs[name].decays == decays]
        self.memory = np.zeros(size(specs), dtype) if memory is None else memory
        """(n,)"""
        self._arrays: dict[str, Array] = {}
        self._places: dict[str, slice] = {}
        begin = 0
        for name in ordered:
            shape = specs[name].shape
            place = self._places[name] = slice(begin, begin + elements(shape))
            self._arrays[name] = self.memory[place].reshape(shape)
            begin = place.stop

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def runs(self, key: Callable[[str], _Key]) -> list[tuple[slice, _Key]]:
        """Return where in `memory` weights lie together that have a key in common, and that key."""
        found: list[tuple[slice, _Key]] = []
        for common, names in groupby(self._places, key):
            places = [self._places[name] for name in names]
            found.append((slice(places[0].start, places[-1].stop), common))
        return found

    def take(self, arrays: Mapping[str, Array]) -> None:
        """Copy arrays in; those that are not given stay as they are."""
        for name, array in arrays.items():
            np.copyto(self._arrays[name], array)


def size(specs: Mapping[str, WeightSpec]) -> int:
    """Return how many numbers are trained."""
    return sum(elements(spec.shape) for spec in specs.values() if spec.trainable)
