"""Several pairs of IDX files that are one data set: a train set and a test set, each in files of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from app.datasets.readers.base import Item, Reader
from app.datasets.readers.idx import IdxPair
from app.datasets.readers.scale import choose_scale
from app.errors import Invalid


class Joined(Reader):
    """The pictures of several pairs of files of the same classes and shape, one after the other, in one range."""

    def __init__(self, readers: Sequence[IdxPair]) -> None:
        """Join readers.

        Raises:
            Invalid: their classes or shapes differ.
        """
        first = readers[0]
        for reader in readers:
            if (reader.classes, reader.image_shape) != (first.classes, first.image_shape):
                raise Invalid(
                    "the files hold pictures of different classes or shapes: "
                    f"{reader.image_shape} and {first.image_shape}",
                    code="unusable-arrays",
                )
        self._readers = tuple(readers)
        self.format = first.format
        self.classes, self.image_shape = first.classes, first.image_shape
        self.counts = np.sum([reader.counts for reader in readers], axis=0)
        self.splits = frozenset().union(*(reader.splits for reader in readers))

    def items(self) -> Iterator[Item]:
        """Read the pictures of one after the other."""
        chunks = itertools.chain.from_iterable(reader.chunks() for reader in self._readers)
        scale = choose_scale("images", [np.dtype(np.uint8)], chunks)
        self.notes = (scale.note,) if scale.note else ()
        for reader in self._readers:
            reader.scale = scale
            yield from reader.items()

    def close(self) -> None:
        """Close all of them."""
        for reader in self._readers:
            reader.close()
