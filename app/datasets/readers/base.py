"""What every reader of an upload offers: labelled pictures one after the other, never all at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.left_out import LeftOut
from app.datasets.readers.splits import DEV, TEST, TRAIN
from app.errors import DomainError, Invalid, TooLarge
from engine.recipe.targets import Target

MAX_CLASSES = 10_000
MAX_IMAGES = 10_000_000
"""Pictures of one upload; their labels alone are held in memory."""

SPLIT_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "dev": DEV,
    "val": DEV,
    "valid": DEV,
    "validation": DEV,
    "test": TEST,
    "testing": TEST,
}
"""What people call the splits, in lower case."""

Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Item:
    """A picture of an upload.

    Attributes:
        name: what the report calls it.
        label: the index of its class; of labels and values what its split is drawn by, see `targets.strata`.
        split: the split that the upload puts it in, None when that is to be drawn.
        content: the bytes of a picture file, or an array (H, W) or (H, W, C), or why it cannot be read.
        target: which labels it has, as 0 and 1, or its values, (K,); None where it has a class.
        file: the name of the file that it alone is in, with its folders; None where there is none.
    """

    name: str
    label: int
    split: int | None
    content: bytes | NDArray[np.uint8] | DomainError
    target: NDArray[np.float32] | None = None
    file: str | None = None


class Reader:
    """An upload that was checked when it was opened.

    Attributes:
        format: a word for what it is.
        target: what it says of each picture.
        classes: the names of its classes, labels or values.
        counts: how many pictures of each class it seems to hold, (K,); or of whatever else splits are drawn by.
        skipped: what it holds that is not used.
        notes: what it does not say itself and was taken for something, such as the range of its numbers.
        splits: those that it puts its pictures in itself; empty when all are to be drawn.
        image_shape: [height, width, channels] of its pictures where they are all alike by their format.
    """

    format: str
    target: Target = "class"
    classes: tuple[str, ...]
    counts: NDArray[np.int64]
    skipped: LeftOut = LeftOut()
    notes: tuple[str, ...] = ()
    splits: frozenset[int] = frozenset()
    image_shape: Shape | None = None

    def __len__(self) -> int:
        return int(self.counts.sum())

    def items(self) -> Iterator[Item]:
        """Read the pictures in an order that is always the same.

        Raises:
            Malformed: what follows cannot be read any more; one bad picture among others is an item.
        """
        raise NotImplementedError

    def shorter_side(self) -> int | None:
        """Return the median of the shorter sides of its pictures, in pixels, where they may differ; else None."""
        return None

    def close(self) -> None:
        """Close its files."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_classes(count: int, what: str, hint: str, at_least: int = 2) -> None:
    """Refuse a number of classes that nothing can be trained on.

    Raises:
        Invalid: fewer than `at_least`.
        TooLarge: more than are taken.
    """
    if count < at_least:
        raise Invalid(
            f"{what} holds one class only, and at least two are needed to tell apart; {hint}",
            code="unusable-archive",
        )
    if count > MAX_CLASSES:
        raise TooLarge(f"{what} holds {count} classes; at most {MAX_CLASSES} are taken")
