"""From what a reader finds to the arrays that are stored, with a note of everything that is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import cast, get_args

import numpy as np
from numpy.typing import NDArray

from app.api.datasets import Fault
from app.datasets.options import DatasetOptions
from app.datasets.readers.base import Item, Reader
from app.datasets.readers.left_out import LeftOut, Skipped
from app.datasets.readers.splits import UNASSIGNED
from app.datasets.readers.zip_names import MAX_PATH
from app.datasets.segments import Targets
from app.datasets.storage import StoredDataset
from app.errors import DomainError, Invalid, TooLarge
from app.pictures.bounds import Bounds
from app.pictures.decode import convert, decode
from app.store.records import Json
from app.text import shown
from engine.recipe.targets import Target

REPORTED_WARNINGS = 100
Beat = Callable[[Json], None]
"""Takes the progress now and then, and raises what should end the work."""
NEARLY_BLACK, NEARLY_WHITE = 31, 224
"""Pixels, of 255: pictures that all stay below or above that show hardly anything."""

_REASON = 400
_CHUNK = 256


class Report:
    """What was left out: all of it counted, the first so many named.

    Attributes:
        notes: what the upload does not say itself and was taken for something.
        warnings: what makes the data set worth less.
    """

    def __init__(self) -> None:
        self._left_out = LeftOut()
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def count(self, kind: Fault) -> int:
        """Return how many were left out for a reason."""
        return self._left_out.counts[kind]

    def add(self, skipped: Skipped) -> None:
        """Note one more."""
        self._left_out.add(skipped)

    def add_all(self, skipped: LeftOut) -> None:
        """Note all of what a reader left out."""
        self._left_out.add_all(skipped)

    def document(self) -> Json:
        """Return it as JSON-ready data."""
        return {
            "skipped": len(self._left_out),
            "counts": {kind: self._left_out.counts[kind] for kind in get_args(Fault)},
            "files": [
                {
                    "name": shown(skipped.name, MAX_PATH),
                    "reason": shown(skipped.reason, _REASON),
                    "kind": skipped.kind,
                }
                for skipped in self._left_out
            ],
            "notes": self.notes,
            "warnings": self.warnings[:REPORTED_WARNINGS],
        }


@dataclass(frozen=True, slots=True)
class _First:
    """A picture that was seen, and what it is said to show: the name of its class, or its targets as bytes."""

    name: str
    meaning: str | bytes


class PictureDecoder:
    """Decodes the pictures of a reader, one in memory at a time.

    Attributes:
        report: what was left out so far.
        taken: how many pictures of each class were taken, (K,).
        files: the name of the file of each picture taken, empty where it has none.
        first_faults: for each class the first file of it that was left out.

    Where pictures have labels or values, read what splits are drawn by for class.
    """

    def __init__(self, reader: Reader, options: DatasetOptions, bounds: Bounds, beat: Beat) -> None:
        self._reader = reader
        self._options = options
        self._bounds = bounds
        self._beat = beat
        self._files: dict[bytes, _First] = {}
        self._pixels: dict[bytes, _First] = {}
        self._least, self._greatest = 255, 0
        self.report = Report()
        self._splits = bytearray()
        self.taken = np.zeros(len(reader.counts), np.int64)
        self._targets = bytearray()
        self.files: list[str] = []
        self._contradicting: dict[str, str] = {}
        self.first_faults: dict[int, Skipped] = {}
        self.report.add_all(reader.skipped)

    @property
    def given_splits(self) -> NDArray[np.uint8]:
        """The split that each picture taken came with, `UNASSIGNED` for none, (N,)."""
        return np.frombuffer(bytes(self._splits), np.uint8)

    def targets(self) -> tuple[Target, Targets]:
        """Return what the reader says of pictures, and the labels or values of each picture taken, (N, K)."""
        numbers = np.frombuffer(self._targets, np.float32)
        return self._reader.target, numbers.reshape(-1, len(self._reader.classes))

    def compare_with(self, dataset: StoredDataset, classes: Sequence[str]) -> None:
        """Look at the pictures that are there already, so that none is taken again.

        Args:
            dataset: what is there.
            classes: the names of its classes.
        """
        if self._options.duplicates == "keep":
            return
        images = dataset.everything()  # what is left out is there, too: it can be put back
        for start in range(0, dataset.images, _CHUNK):
            self._beat({"stage": "comparing", "images": start, "of": dataset.images, "fraction": 0.0})
            batch, labels = images.read(np.arange(start, min(start + _CHUNK, dataset.images)))
            for number, (picture, label) in enumerate(zip(batch, labels, strict=True), start):
                first = _First(f"picture {number} of the data set", classes[int(label)])
                self._pixels.setdefault(_digest(picture), first)

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
                kind: Fault = "unreadable"
                if error.code in ("duplicate", "contradiction"):
                    kind = cast(Fault, error.code)
                skipped = Skipped(item.name, error.detail, kind)
                self.report.add(skipped)
                self.first_faults.setdefault(item.label, skipped)
                continue
            self.taken[item.label] += 1
            self._splits.append(UNASSIGNED if item.split is None else item.split)
            self.files.append(shown(item.file or "", MAX_PATH))
            if item.target is not None:
                self._targets += item.target.tobytes()
            self._least, self._greatest = (
                min(self._least, int(picture.min())),
                max(self._greatest, int(picture.max())),
            )
            yield picture, item.label
        self._conclude()

    def _take(self, item: Item) -> NDArray[np.uint8]:
        content = item.content
        if isinstance(content, DomainError):
            raise content
        first = _First(item.name, self._meaning(item))
        if isinstance(content, np.ndarray):
            picture = convert(content, self._options.picture)
        else:
            self._compare(self._files.setdefault(_digest(content), first), first, "has the same bytes as")
            picture = decode(content, self._options.picture, self._bounds)
        self._compare(self._pixels.setdefault(_digest(picture), first), first, "becomes the same pixels as")
        return picture

    def _meaning(self, item: Item) -> str | bytes:
        """Return what a picture is said to show, for comparing with others."""
        return self._reader.classes[item.label] if item.target is None else item.target.tobytes()

    def _compare(self, earlier: _First, own: _First, how: str) -> None:
        """Refuse a picture that was there before; where duplicates are kept, only warn if it contradicts that one.

        Raises:
            Invalid: it was there.
        """
        if earlier is own:
            return
        agrees = earlier.meaning == own.meaning
        detail = f"it {how} {earlier.name}"
        if not agrees:
            named = isinstance(own.meaning, str)
            detail += (
                f", but is said to show {own.meaning!r} and not {earlier.meaning!r}"
                if named
                else (", but is said to show something else")
            )
        if self._options.duplicates == "keep":
            if not agrees and own.name not in self._contradicting:
                self._contradicting.setdefault(own.name, detail)
            return
        raise Invalid(detail, code="duplicate" if agrees else "contradiction")

    def _conclude(self) -> None:
        """Note what shows only when all pictures have been seen."""
        report = self.report
        report.notes += self._reader.notes
        left_out = report.count("contradiction")
        kept = [f"{name}: {detail}" for name, detail in self._contradicting.items()]
        if left_out + len(kept):
            which = f", such as {kept[0]}" if kept else "; they were left out, see files"
            report.warnings.append(
                f"{left_out + len(kept)} pictures contradict others that are the same, one of the two is wrong{which}"
            )
        if self.taken.sum() and self._greatest <= NEARLY_BLACK:
            report.warnings.append(
                f"all pictures are nearly black: no pixel is above {self._greatest} of 255; scale them first"
            )
        if self.taken.sum() and self._least >= NEARLY_WHITE:
            report.warnings.append(
                f"all pictures are nearly white: no pixel is below {self._least} of 255; scale them first"
            )
        if report.count("misplaced") > len(self._reader) // 10:
            report.warnings.append(
                f"{report.count('misplaced')} files were left out, because nothing says what they show; see files"
            )


def progress(done: int, total: int) -> Json:
    """Return what a job that reads pictures shows."""
    return {"stage": "reading", "images": done, "of": total, "fraction": done / total if total else 1.0}


def _digest(data: bytes | NDArray[np.uint8]) -> bytes:
    return blake2b(
        data if isinstance(data, bytes) else np.ascontiguousarray(data).data, digest_size=8
    ).digest()
