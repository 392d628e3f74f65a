"""Memory that is asked for once and used in every step.

An op asks for a *buffer* when its result outlives the call (an output, a gradient, something saved
for backward) and for *scratch* when it does not (im2col columns). Training passes a `Workspace`,
which hands the same memory out again in the next step; everybody else passes nothing and gets
fresh arrays.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import DTypeLike

from engine.arrays import Array, Shape, elements

_ALIGNMENT = 64  # a cache line, and the widest vector register: results never depend on luck


class Buffers(Protocol):
    """Where an op gets memory from; contents are undefined until written."""

    def buffer(self, role: str, shape: Shape, dtype: DTypeLike) -> Array:
        """Return an array that stays valid until the same role is asked for again."""
        ...

    def scratch(self, role: str, shape: Shape, dtype: DTypeLike) -> Array:
        """Return an array that is valid only until the op returns."""
        ...


class FreshBuffers:
    """Allocates anew each time: the right thing for one-off calls and for concurrent inference."""

    def buffer(self, role: str, shape: Shape, dtype: DTypeLike) -> Array:
        """Return a new array."""
        return np.empty(shape, dtype)

    scratch = buffer


FRESH = FreshBuffers()


class Workspace:
    """Buffers by (owner, role) that only ever grow; one per thread, never shared."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[str, str], Array] = {}
        self._last: dict[tuple[str, str], tuple[Shape, DTypeLike, Array]] = {}

    def take(self, owner: str, role: str, shape: Shape, dtype: DTypeLike) -> Array:
        """Return the memory of `(owner, role)` seen as an array of this shape and dtype."""
        key = (owner, role)
        last = self._last.get(key)
        if last is not None and last[0] == shape and last[1] == dtype:
            return last[2]
        size = elements(shape) * np.dtype(dtype).itemsize
        block = self._blocks.get(key)
        if block is None or block.nbytes < size:
            block = self._blocks[key] = aligned(size)
        array: Array = block[:size].view(dtype).reshape(shape)
        self._last[key] = shape, dtype, array
        return array

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(block.nbytes for block in self._blocks.values())


def aligned(size: int) -> Array:
    """Return uninitialised bytes that begin at a cache line."""
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]
