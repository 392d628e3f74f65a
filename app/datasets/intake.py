"""From what a reader finds to the arrays that are stored, with a note of everything that is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from app.datasets.options import DatasetOptions
from app.datasets.readers.base import Item, Reader, Skipped
from app.datasets.readers.splits import UNTOLD
from app.datasets.storage import StoredDataset, Targets
from app.errors import DomainError, Invalid, TooLarge
from app.pictures.decode import convert, decode
from app.store.records import Json
from engine.recipe.targets import Target

REPORTED_FILES = 1000
"""Files that a report names; the rest is only counted."""
Beat = Callable[[Json], None]
"""Takes the progress now and then, and raises what should end the work."""

_REASON = 400
_CHUNK = 256


class Report:
    """What was left out: all of it counted, the first so many named."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._files: list[Json] = []

    def add(self, skipped: Skipped) -> None:
        """Note one more."""
        self._counts[skipped.kind] += 1
        if len(self._files) < REPORTED_FILES:
            reason = skipped.reason if len(skipped.reason) <= _REASON else f"{skipped.reason[:_REASON]}..."
            self._files.append({"name": skipped.name, "reason": reason, "kind": skipped.kind})

    def document(self) -> Json:
        """Return it as JSON-ready data."""
        counts = {kind: self._counts[kind] for kind in ("misplaced", "unreadable", "duplicate")}
        return {"skipped": self._counts.total(), "counts": counts, "files": self._files}


class Intake:
    """Decodes the pictures of a reader, one in memory at a time.

    Attributes:
        report: what was left out so far.
        told: the split that each picture taken came with, `UNTOLD` for none.
        taken: how many pictures of each class were taken, (K,).
        first_faults: for each class the first file of it that was left out.

    Where the reader tells labels or values, read what splits are drawn by for class.
    """

    def __init__(self, reader: Reader, options: DatasetOptions, max_pixels: int, beat: Beat) -> None:
        self._reader = reader
        self._options = options
        self._max_pixels = max_pixels
        self._beat = beat
        self._files: dict[bytes, str] = {}
        self._pixels: dict[bytes, str | int] | None = {} if options.duplicates == "skip" else None
        self.report = Report()
        self.told = bytearray()
        self.taken = np.zeros(len(reader.counts), np.int64)
        self._targets = bytearray()
        self.first_faults: dict[int, Skipped] = {}
        for skipped in reader.skipped:
            self.report.add(skipped)

    @property
    def told_splits(self) -> NDArray[np.uint8]:
        """The split that each picture taken came with, (N,)."""
        return np.frombuffer(bytes(self.told), np.uint8)

    def targets(self) -> tuple[Target, Targets]:
        """Return what the reader tells, and the labels or values of each picture taken, (N, K)."""
        numbers = np.frombuffer(self._targets, np.float32)
        return self._reader.target, numbers.reshape(-1, len(self._reader.classes))

    def know(self, dataset: StoredDataset) -> None:
        """Look at the pictures that are there already, so that none is taken again."""
        if self._pixels is None:
            return
        images = dataset.split()
        for start in range(0, dataset.images, _CHUNK):
            self._beat({"stage": "comparing", "images": start, "of": dataset.images, "fraction": 0.0})
            batch, _ = images.read(np.arange(start, min(start + _CHUNK, dataset.images)))
            for number, picture in enumerate(batch, start):
                self._pixels.setdefault(_digest(picture), number)

    def pictures(self) -> Iterator[tuple[NDArray[np.uint8], int]]:
        """Yield the pictures that can be used with their class indices.

        Raises:
            Interrupted, StaleAttempt: as the heartbeat does.
            Malformed: the upload cannot be read any more.
        """
        total = len(self._reader)
        for done, item in enumerate(self._reader.items()):
            self._beat(progress(done, total))
            try:
                picture = self._take(item)
            except (Invalid, TooLarge) as error:
                skipped = Skipped(
                    item.name, error.detail, "duplicate" if error.code == "duplicate" else "unreadable"
                )
                self.report.add(skipped)
                self.first_faults.setdefault(item.label, skipped)
                continue
            self.taken[item.label] += 1
            self.told.append(UNTOLD if item.split is None else item.split)
            if item.target is not None:
                self._targets += item.target.tobytes()
            yield picture, item.label

    def _take(self, item: Item) -> NDArray[np.uint8]:
        content = item.content
        if isinstance(content, DomainError):
            raise content
        if isinstance(content, np.ndarray):
            picture = convert(content, self._options.picture)
        else:
            if self._pixels is not None:
                known = self._files.setdefault(_digest(content), item.name)
                if known is not item.name:
                    raise _duplicate(f"it has the same bytes as {known}")
            picture = decode(content, self._options.picture, self._max_pixels)
        if self._pixels is not None:
            mine: str | int = item.name if isinstance(content, bytes) else int(self.taken.sum())
            same = self._pixels.setdefault(_digest(picture), mine)
            if same is not mine:
                where = f"picture {same} of the data set" if isinstance(same, int) else same
                raise _duplicate(f"it becomes the same pixels as {where}")
        return picture


def progress(done: int, total: int) -> Json:
    """Return what a job that reads pictures shows."""
    return {"stage": "reading", "images": done, "of": total, "fraction": done / total if total else 1.0}


def _duplicate(detail: str) -> Invalid:
    return Invalid(detail, code="duplicate")


def _digest(data: bytes | NDArray[np.uint8]) -> bytes:
    return blake2b(
        data if isinstance(data, bytes) else np.ascontiguousarray(data).data, digest_size=8
    ).digest()
