"""The encoding of ONNX files, as far as it takes to find what lies where without copying it.

Encoding: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.arrays import Array
from engine.errors import ModelFileError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}
MAX_FIELDS = 500_000
"""Fields that are looked at in one file; ResNet-50 has five thousand."""
_WORTH_READING = 2**16
_CHUNK = 2**20
"""Bytes."""


class Span(NamedTuple):
    """Where bytes lie."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.end - self.start


class Field(NamedTuple):
    """A field of a message."""

    number: int
    kind: int
    whole: Span
    """With its number and, if it has one, its length."""
    content: Span


class Mapped:
    """A file that is mapped into memory, and how many of its fields were looked at."""

    def __init__(self, path: Path) -> None:
        """Map a file.

        Raises:
            ModelFileError: it is empty.
        """
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise ModelFileError("the file is empty")
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._path = path
        self.span = Span(0, size)
        self._fields = 0

    def fields(self, message: Span) -> Iterator[Field]:
        """Yield the fields of a message.

        Raises:
            ModelFileError: the bytes are no message.
        """
        at = message.start
        while at < message.end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise ModelFileError(f"the file has more than {MAX_FIELDS:,} fields")
            start = at
            key, at = self._varint(at, message.end)
            number, kind = key >> 3, key & 7
            if kind == VARINT:
                content = Span(at, self._varint(at, message.end)[1])
            elif kind == BYTES:
                length, at = self._varint(at, message.end)
                content = Span(at, at + length)
            elif kind in _FIXED:
                content = Span(at, at + _FIXED[kind])
            else:
                raise _damaged()
            if content.end > message.end or number == 0:
                raise _damaged()
            at = content.end
            yield Field(number, kind, Span(start, at), content)

    def bytes(self, span: Span) -> bytes:
        """Return a copy of some bytes."""
        return self._bytes[span.start : span.end]

    def view(self, span: Span, dtype: np.dtype[Any]) -> Array:
        """Return bytes as numbers that stay in the file, (n,)."""
        return np.frombuffer(self._bytes, dtype, span.size // dtype.itemsize, span.start)

    def read(self, span: Span, dtype: np.dtype[Any]) -> Array:
        """Return a copy of bytes as numbers, (n,).

        Many are read past the map: the pages that they lie on would take as much memory again.

        Raises:
            ModelFileError: the file has become shorter.
        """
        count = span.size // dtype.itemsize
        if span.size < _WORTH_READING:
            return self.view(span, dtype).copy()
        numbers = np.fromfile(self._path, dtype, count, offset=span.start)
        if len(numbers) != count:
            raise _damaged()
        return numbers

    def chunks(self, span: Span) -> Iterator[Array]:
        """Yield copies of bytes, some at a time, (n,), so that however many they are they take little memory."""
        with self._path.open("rb") as file:
            file.seek(span.start)
            for at in range(span.start, span.end, _CHUNK):
                yield np.frombuffer(file.read(min(_CHUNK, span.end - at)), np.uint8)

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self._bytes[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise _damaged()


def count_varints(chunks: Iterable[Array]) -> int:
    """Return how many numbers a run of bytes holds that has seven bits of a number in each."""
    return sum(int(np.count_nonzero(chunk < 0x80)) for chunk in chunks)


def varints(chunks: Iterable[Array], count: int, dtype: np.dtype[Any]) -> Array:
    """Return the numbers of such a run, (count,).

    Raises:
        ModelFileError: they are fewer or more.
    """
    numbers = np.empty(count, dtype)
    done, rest = 0, np.zeros(0, np.uint8)
    for chunk in chunks:
        packed = np.concatenate([rest, chunk])
        ends = np.flatnonzero(packed < 0x80)
        found = _whole(packed, ends)
        if done + len(found) > count:
            raise _damaged()
        numbers[done : done + len(found)] = found.astype(dtype)
        done += len(found)
        rest = packed[ends[-1] + 1 :] if len(ends) else packed
    if done != count or len(rest):
        raise _damaged()
    return numbers


def _whole(packed: Array, ends: Array) -> Array:
    """Return the numbers that end at these bytes as int64; those below 0 take ten bytes each."""
    starts = np.append(0, ends + 1)[:-1]
    numbers = np.zeros(len(ends), np.uint64)
    for step in range(10):
        at = starts + step
        inside = at <= ends
        part = (packed[at[inside]] & 0x7F).astype(np.uint64)
        numbers[inside] |= part << np.uint64(7 * step)
    return numbers.view(np.int64)


def _damaged() -> ModelFileError:
    return ModelFileError("the file is no readable ONNX file: its fields do not fit together")
