"""What was corrected in a data set: pictures with another label, and pictures that are left out.

The files of a data set stay as they are. Each revision lists what it changes, and a data set is opened with the
changes of all revisions up to one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.store.records import CorrectionRecord, Json


@dataclass(frozen=True)
class Corrections:
    """What is different in a data set from what was uploaded.

    Attributes:
        revision: the last one whose changes are in it; 0 as uploaded.
        labels: the class index of each picture that was relabelled, by its number.
        excluded: the numbers of the pictures that are left out.
    """

    revision: int = 0
    labels: Mapping[int, int] = field(default_factory=dict)
    excluded: frozenset[int] = frozenset()

    @classmethod
    def of(cls, records: Iterable[CorrectionRecord]) -> Corrections:
        """Put the changes of revisions together, in the order of their numbers."""
        revision = 0
        labels: dict[int, int] = {}
        excluded: set[int] = set()
        for record in sorted(records, key=lambda record: record.revision):
            revision = record.revision
            for change in record.changes:
                number = int(change["number"])
                if "label" in change:
                    labels[number] = int(change["label"])
                if "excluded" in change:
                    (excluded.add if change["excluded"] else excluded.discard)(number)
        return cls(revision, labels, frozenset(excluded))

    def relabelled(self, labels: NDArray[np.integer]) -> NDArray[np.integer]:
        """Return the labels of the first pictures of a data set (n,) as they are corrected."""
        changed = {number: label for number, label in self.labels.items() if number < len(labels)}
        if not changed:
            return labels
        corrected: NDArray[Any] = labels.copy()
        corrected[list(changed)] = list(changed.values())
        return corrected

    def used(self, images: int) -> NDArray[np.bool_]:
        """Return which of the first pictures of a data set are not left out, (images,)."""
        used = np.ones(images, np.bool_)
        used[[number for number in self.excluded if number < images]] = False
        return used

    def identity(self, labels: NDArray[np.integer]) -> list[Json]:
        """Return what is different from these labels as uploaded; the same for the same differences."""
        changed = {
            number: label
            for number, label in self.labels.items()
            if number < len(labels) and labels[number] != label
        }
        numbers = sorted(changed.keys() | {number for number in self.excluded if number < len(labels)})
        return [
            {"number": number, "label": changed.get(number), "excluded": number in self.excluded}
            for number in numbers
        ]
