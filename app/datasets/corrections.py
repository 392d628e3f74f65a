"""What was corrected in a data set: pictures with another class, other labels or values, and what is left out.

The files of a data set stay as they are. Each revision lists what it changes, and a data set is opened with the
changes of all revisions up to one of them. What a picture shows is a row of numbers: of classes the index of its class
alone, of labels 0 or 1 for each, of values each of them. A correction is the numbers of a row that are others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.store.records import CorrectionRecord, Json

Cells = Mapping[int, float]
"""Numbers of a row by their places in it."""


def cells_of(change: Json) -> Cells:
    """Return the numbers that the change of one picture in a revision puts in place of others.

    Args:
        change: `label`, the index of a class; `labels`, the indices of all labels that the picture has now, with
            `labels_before`; or `values`, those that are others by their index. Indices are text as keys of JSON.
    """
    if "label" in change:
        return {0: int(change["label"])}
    had, has = set(change.get("labels_before", ())), set(change.get("labels", ()))
    cells = {place: float(place in has) for place in had ^ has}
    return cells | {int(place): float(value) for place, value in change.get("values", {}).items()}


@dataclass(frozen=True)
class Corrections:
    """What is different in a data set from what was uploaded.

    Attributes:
        revision: the last one whose changes are in it; 0 as uploaded.
        cells: the corrected numbers of the row of each picture that has any, by its number.
        excluded: the numbers of the pictures that are left out.
    """

    revision: int = 0
    cells: Mapping[int, Cells] = field(default_factory=dict)
    excluded: frozenset[int] = frozenset()

    @classmethod
    def of(cls, records: Iterable[CorrectionRecord]) -> Corrections:
        """Put the changes of revisions together, in the order of their numbers."""
        return cls().followed_by(records)

    def followed_by(self, records: Iterable[CorrectionRecord]) -> Corrections:
        """Return these with the changes of later revisions."""
        revision = self.revision
        cells = dict(self.cells)
        excluded = set(self.excluded)
        for record in sorted(records, key=lambda record: record.revision):
            revision = record.revision
            for change in record.changes:
                number = int(change["number"])
                if changed := cells_of(change):
                    cells[number] = {**cells.get(number, {}), **changed}
                if "excluded" in change:
                    (excluded.add if change["excluded"] else excluded.discard)(number)
        return Corrections(revision, cells, frozenset(excluded))

    def corrected(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of the first pictures of a data set, (n,) or (n, K), as they are corrected."""
        changed = [(number, cells) for number, cells in self.cells.items() if number < len(rows)]
        if not changed:
            return rows
        corrected = writable(rows)
        table = corrected.reshape(len(rows), -1)
        for number, cells in changed:
            table[number, list(cells)] = list(cells.values())
        return corrected

    def used(self, images: int) -> NDArray[np.bool_]:
        """Return which of the first pictures of a data set are not left out, (images,)."""
        used = np.ones(images, np.bool_)
        used[[number for number in self.excluded if number < images]] = False
        return used

    def identity(self, rows: NDArray[Any]) -> list[Json]:
        """Return what is different from these rows as uploaded, (n,) or (n, K); the same for the same differences."""
        table = rows.reshape(len(rows), -1)
        changed: dict[int, Json] = {}
        for number, cells in self.cells.items():
            if number < len(rows) and (others := {k: v for k, v in cells.items() if table[number, k] != v}):
                of_class = rows.ndim == 1
                changed[number] = {"label": others[0]} if of_class else {"targets": sorted(others.items())}
        numbers = sorted(changed.keys() | {number for number in self.excluded if number < len(rows)})
        return [
            {"number": number, "label": None, "excluded": number in self.excluded} | changed.get(number, {})
            for number in numbers
        ]


def writable(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array with the same numbers that can be written to; of a mapped file only what is written is copied."""
    if not isinstance(array, np.memmap) or array.filename is None:
        return array.copy()
    return np.memmap(array.filename, array.dtype, "c", array.offset, array.shape)
