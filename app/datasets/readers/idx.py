"""The IDX format of MNIST: a header of big-endian sizes, then the bytes; gzipped or not.

Source: http://yann.lecun.com/exdb/mnist/ ("The IDX file format").
"""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.arrays import check_shape, chunks, index_labels, read_exactly
from app.datasets.readers.base import MAX_IMAGES, Item, Reader
from app.datasets.readers.scale import Scale, choose_scale
from app.datasets.readers.sniff import describe
from app.datasets.readers.zip_file import ArchiveLimits
from app.errors import Invalid, Malformed, TooLarge

GZIP_MAGIC = b"\x1f\x8b"
IDX_MAGIC = b"\x00\x00\x08"
_UNSIGNED_BYTE = 8
_MOST_DIMENSIONS = 4
_BYTE = np.dtype(np.uint8)


@dataclass(frozen=True, slots=True)
class _IdxFile:
    """One file whose header has been checked against its size."""

    path: Path
    packed: bool
    shape: tuple[int, ...]
    what: str

    @classmethod
    def open(cls, path: Path, limits: ArchiveLimits, what: str) -> _IdxFile:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
        with _stream(path, packed) as stream:
            shape = _read_header(stream, what)
        header = 4 + 4 * len(shape)
        claimed = header + math.prod(shape)
        size = path.stat().st_size
        if not packed and claimed != size:
            raise Malformed(
                f"{what} should have {claimed} bytes by its header, and has {size}; it was cut short or changed",
                code="damaged-file",
            )
        if packed:
            limits.check(what, size, claimed)
        return cls(path, packed, shape, what)

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        with _stream(self.path, self.packed) as stream:
            read_exactly(stream, 4 + 4 * len(self.shape), self.what)
            yield from chunks(stream, self.shape, _BYTE, self.what)


class IdxPair(Reader):
    """Pictures and their labels, each in an IDX file."""

    format = "idx"
    scale: Scale | None = None
    """How its bytes are read where it is one of several files; chosen by its own when None."""

    def __init__(
        self,
        images: Path,
        labels: Path,
        limits: ArchiveLimits,
        *,
        names: tuple[str, ...] | None = None,
        split: int | None = None,
        prefix: str = "images",
    ) -> None:
        """Check both headers, and read the labels.

        Args:
            images: a file of 3 dimensions, or of 4 of which the last is 1 or 3.
            labels: a file of one dimension of the same length.
            limits: how much a gzipped file may grow.
            names: of the classes; the labels themselves when omitted.
            split: of all pictures; drawn when omitted.
            prefix: what the report calls the pictures.

        Raises:
            Invalid, Malformed: they are no IDX files, damaged, or do not fit together.
            TooLarge: they hold too much.
        """
        self._images = _IdxFile.open(images, limits, "the file of images")
        found = _IdxFile.open(labels, limits, "the file of labels")
        if len(self._images.shape) == 1 and len(found.shape) > 1:
            raise Invalid(
                "the two files are mixed up: send the images as `file` and the labels as `labels`",
                code="unusable-arrays",
            )
        if len(found.shape) != 1:
            raise Invalid(
                f"the file of labels has {len(found.shape)} dimensions instead of one; of one-hot labels write "
                "labels.argmax(axis=1)",
                code="unusable-arrays",
            )
        self.image_shape = check_shape(self._images.shape, "the file of images")
        if found.shape[0] != self._images.shape[0]:
            raise Invalid(
                f"there are {self._images.shape[0]} images and {found.shape[0]} labels; they must be as many",
                code="unusable-arrays",
            )
        if found.shape[0] > MAX_IMAGES:  # check_shape said so already; here it bounds what is read
            raise TooLarge(f"at most {MAX_IMAGES} pictures are taken")
        self.classes, self.labels = index_labels(found.chunks(), names, "the file of labels")
        self.counts = np.bincount(self.labels, minlength=len(self.classes))
        self.splits = frozenset() if split is None else frozenset({split})
        self._split = split
        self._prefix = prefix

    def chunks(self) -> Iterator[NDArray[np.uint8]]:
        """Read the pictures as they are in the file, piece by piece, (n, H, W) or (n, H, W, C)."""
        return self._images.chunks()

    def items(self) -> Iterator[Item]:
        """Read the pictures piece by piece."""
        scale = self.scale or choose_scale(self._prefix, [_BYTE], self.chunks())
        self.notes = (scale.note,) if scale.note else ()
        number = 0
        for chunk in self._images.chunks():
            for picture in scale.apply(chunk):
                name = f"{self._prefix}[{number}]"
                yield Item(name, int(self.labels[number]), self._split, picture)
                number += 1


def _stream(path: Path, packed: bool) -> IO[bytes]:
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _read_header(stream: IO[bytes], what: str) -> tuple[int, ...]:
    magic = read_exactly(stream, 4, what)
    if magic[:2] != b"\x00\x00":
        raise Invalid(
            f"{what} is no IDX file: it begins with {magic.hex()}, like {describe(magic)}",
            code="unusable-arrays",
        )
    if magic[2] != _UNSIGNED_BYTE:
        raise Invalid(
            f"{what} holds numbers of type 0x{magic[2]:02x}; only unsigned bytes (0x08) are read",
            code="unusable-arrays",
        )
    if not 1 <= magic[3] <= _MOST_DIMENSIONS:
        raise Invalid(f"{what} has {magic[3]} dimensions", code="unusable-arrays")
    return struct.unpack(f">{magic[3]}I", read_exactly(stream, 4 * magic[3], what))
