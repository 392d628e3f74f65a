"""The binary archive of CIFAR-10: a gzipped tar of files of records, one byte label and 3072 bytes of pixels.

Source: https://www.cs.toronto.edu/~kriz/cifar.html ("Binary version").
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.arrays import chunks
from app.datasets.readers.base import MAX_IMAGES, Item, Reader
from app.datasets.readers.splits import TEST, TRAIN
from app.errors import Malformed, TooLarge

_SHAPE = (32, 32, 3)
_PIXELS = 3072
_RECORD = 1 + _PIXELS
_BATCH = re.compile(r"(?:.*/)?(data_batch_[1-9]|test_batch)\.bin")
_BYTE = np.dtype(np.uint8)
_WHAT = "the archive"


class CifarArchive(Reader):
    """An archive of training batches and a test batch; nothing is ever extracted to the disk."""

    format = "cifar-10-binary"
    image_shape = _SHAPE

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        """Find the batches and read their labels.

        Raises:
            Malformed: it is damaged, or holds no batches.
            TooLarge: it holds too many pictures.
        """
        self.classes = tuple(classes)
        try:
            self._archive = tarfile.open(path, "r:gz")  # noqa: SIM115
            members = [member for member in self._archive.getmembers() if member.isreg()]
        # Also zlib.error and EOFError, beside those of tarfile.
        except Exception as error:
            raise Malformed(f"{_WHAT} cannot be read: {error}", code="damaged-file") from error
        self._batches = [
            (found.group(1), member) for member in members if (found := _BATCH.fullmatch(member.name))
        ]
        try:
            self._check()
        except BaseException:
            self._archive.close()
            raise
        self.splits = frozenset(_split(name) for name, _ in self._batches)

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()

    def items(self) -> Iterator[Item]:
        """Read the records one by one."""
        for name, member in self._batches:
            number = 0
            for records in self._records(member):
                for record in records:
                    planes = record[1:].reshape(3, 32, 32)  # (C, H, W)
                    yield Item(f"{name}[{number}]", int(record[0]), _split(name), planes.transpose(1, 2, 0))
                    number += 1

    def _check(self) -> None:
        if not self._batches:
            raise Malformed(f"{_WHAT} holds no data_batch_1.bin or test_batch.bin", code="damaged-file")
        if any(member.size % _RECORD or not member.size for _, member in self._batches):
            raise Malformed(f"{_WHAT} holds a batch that is no whole number of records", code="damaged-file")
        if sum(member.size // _RECORD for _, member in self._batches) > MAX_IMAGES:
            raise TooLarge(f"at most {MAX_IMAGES} pictures are taken")
        self.counts = np.zeros(len(self.classes), np.int64)
        for _, member in self._batches:
            for records in self._records(member):
                if records[:, 0].max() >= len(self.classes):
                    raise Malformed(
                        f"{_WHAT} holds a label beyond {len(self.classes) - 1}", code="damaged-file"
                    )
                self.counts += np.bincount(records[:, 0], minlength=len(self.classes))

    def _records(self, member: tarfile.TarInfo) -> Iterator[NDArray[np.uint8]]:
        stream = self._archive.extractfile(member)
        if stream is None:
            raise Malformed(f"{_WHAT} holds no readable {member.name}", code="damaged-file")
        with stream:
            yield from chunks(stream, (member.size // _RECORD, _RECORD), _BYTE, _WHAT)


def _split(name: str) -> int:
    return TEST if name == "test_batch" else TRAIN
