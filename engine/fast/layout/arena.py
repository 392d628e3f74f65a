"""One run of memory for all buffers of a plan.

Steps ask for memory twice, in the same order: once to be counted, once to be given it. In between the arena lays
everything out by how long it lives:

- *kept*: from one pass to the next, or from forward to backward. Each has a place of its own.
- *scratch*: while its own step computes, forward or backward. All steps have the same place for it.
- *gradient*: from the step that computes it to the one before, which has used it then. It lies where no other that
  lives at that time does: the lowest such place, the last step's first (as Pisarchyk & Lee 2020, "Efficient memory
  management for deep neural net inference", section 5, greedy by time).

So the memory of a plan is known before there is any: `Arena.bytes` is what jobs are admitted by.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from engine.arrays import Array, Shape, elements
from engine.workspace import aligned

_LINE = 64


class Unbounded(MemoryError):
    """One buffer alone is larger than the memory of this machine."""


class _Gradient(NamedTuple):
    size: int
    first: int
    """The step that uses it last: steps run from the last to the first."""
    last: int
    """The step that computes it."""


class Arena:
    """Counts until `fill` is called, then gives the same requests their memory."""

    def __init__(self, *, training: bool) -> None:
        """Count for a plan that is trained, or for one whose filters are prepared once and for all."""
        self.training = training
        self._kept = self._scratch = 0
        self._used = self._most_used = 0
        self._gradients: list[_Gradient] = []
        self._offsets: list[int] = []
        self._given = 0
        self._step = self._until = 0
        self._memory: Array | None = None
        self._largest = aligned(0)

    @property
    def bytes(self) -> int:
        """Return how much all of it takes."""
        ends = (at + one.size for at, one in zip(_placed(self._gradients), self._gradients, strict=True))
        return self._kept + self._most_used + max(ends, default=0)

    def fill(self) -> None:
        """Get the memory; the same requests follow once more.

        Raises:
            MemoryError: there is not so much.
        """
        self._offsets = [self._kept + self._most_used + at for at in _placed(self._gradients)]
        self._scratch = self._kept
        self._largest = aligned(0)
        self._memory = aligned(self.bytes)
        self._kept = self._given = 0

    def begin(self, step: int, until: int) -> None:
        """Take requests of a step; what uses its gradients last is the step `until`."""
        self._step, self._until = step, until
        self._used = 0

    def kept(self, shape: Shape, dtype: DTypeLike = np.float32) -> Array:
        """Return memory that is this step's alone; its contents are undefined."""
        size = _size(shape, dtype)
        self._kept += size
        return self._at(self._kept - size, shape, dtype)

    def zeros(self, shape: Shape) -> Array:
        """Return zeros that are this step's alone."""
        array = self.kept(shape)
        if self._memory is not None:
            array[...] = 0
        return array

    def scratch(self, shape: Shape, dtype: DTypeLike = np.float32) -> Array:
        """Return memory that holds what is written while this step runs, and no longer."""
        size = _size(shape, dtype)
        self._used += size
        self._most_used = max(self._most_used, self._used)
        return self._at(self._scratch + self._used - size, shape, dtype)

    def prepared(self, shape: Shape) -> Array:
        """Return memory for what follows from the weights: made anew in each step of training, kept in inference."""
        return self.scratch(shape) if self.training else self.kept(shape)

    def gradient(self, shape: Shape) -> Array:
        """Return memory for the gradient of this step's input."""
        if self._memory is None:
            self._gradients.append(_Gradient(_size(shape, np.float32), self._until, self._step))
            return self._at(0, shape, np.float32)
        self._given += 1
        return self._at(self._offsets[self._given - 1], shape, np.float32)

    def _at(self, offset: int, shape: Shape, dtype: DTypeLike) -> Array:
        size = elements(shape) * np.dtype(dtype).itemsize
        if self._memory is None:
            # pages that nobody touches take no memory; all requests see the same
            if self._largest.nbytes < size:
                try:
                    self._largest = aligned(size)
                except MemoryError as error:
                    raise Unbounded(f"a buffer of {size} bytes") from error
            return self._largest[:size].view(dtype).reshape(shape)
        return self._memory[offset : offset + size].view(dtype).reshape(shape)


def _size(shape: Shape, dtype: DTypeLike) -> int:
    return -(-elements(shape) * np.dtype(dtype).itemsize // _LINE) * _LINE


def _placed(gradients: Sequence[_Gradient]) -> list[int]:
    """Return where each begins."""
    offsets: dict[int, int] = {}
    # (offset, index) of those that a later one can still meet: each that comes ends no later than the one before
    alive: list[tuple[int, int]] = []
    for index in sorted(range(len(gradients)), key=lambda index: (-gradients[index].last, index)):
        one = gradients[index]
        alive = [place for place in alive if gradients[place[1]].first <= one.last]
        offset = 0
        for at, other in alive:
            if at < offset + one.size and offset < at + gradients[other].size:
                offset = at + gradients[other].size
        offsets[index] = offset
        insort(alive, (offset, index))
    return [offsets[index] for index in range(len(gradients))]
