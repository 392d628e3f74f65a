"""Corrects pictures of a data set: what they show, left out, or put back. Its files stay as they are."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.api.requests.dataset_pictures import Correction
from app.datasets import storage
from app.datasets.records import class_names, options
from app.datasets.segments import Targets
from app.datasets.storage import StoredDataset
from app.errors import Conflict, FieldError, Invalid
from app.files.artifacts import Artifacts
from app.store import Store
from app.store.records import CorrectionRecord, DatasetRecord, Json
from app.text import one_of
from engine.recipe.targets import NOUN, NOUNS, Target

MOST_REVISIONS = 10_000
"""Of one data set; each is read when it is opened."""
FIELDS: Mapping[Target, str] = {"class": "label", "labels": "labels", "values": "values"}
"""Which field of a correction says what a picture shows."""


@dataclass(frozen=True)
class Plan:
    """What becomes of a data set by corrections.

    Attributes:
        correction: the new revision; without changes where all of it is so already.
        columns: what the row of the data set says then.
        dataset: the data set before.
    """

    correction: CorrectionRecord
    columns: Json
    dataset: StoredDataset


def plan(
    record: DatasetRecord,
    wishes: Sequence[Correction],
    place: Sequence[str | int],
    store: Store,
    artifacts: Artifacts,
) -> Plan:
    """Return what would become of a data set; nothing is stored.

    Args:
        record: the data set.
        wishes: what is wrong about its pictures.
        place: where the list of them is in the body; empty where the body is the only one of them.
        store: where the corrections are.
        artifacts: where the pictures are.

    Raises:
        Conflict: it is not ready, or has as many revisions as it can.
        Invalid: there is no such picture or class, or a picture is named twice.
    """
    if record.revision >= MOST_REVISIONS:
        detail = f"data set {record.id!r} has {MOST_REVISIONS} revisions and takes no more"
        raise Conflict(detail, code="too-many-revisions")
    dataset = storage.open_dataset(store, artifacts, record.id, record.images, record.revision)
    names = class_names(record)
    changes = _changes(record, dataset, names, wishes, place)
    revision = CorrectionRecord(record.id, record.revision + 1, changes)
    corrected = _with(dataset, revision)
    target = options(record).target
    columns = storage.tallies(names, corrected.split_counts(), corrected.shown(len(names), target))
    segments = store.datasets.find_segments(record.id)
    columns["fingerprint"] = storage.fingerprint(record.classes, record.image_shape, segments, corrected)
    return Plan(revision, columns, dataset)


def _with(dataset: StoredDataset, revision: CorrectionRecord) -> StoredDataset:
    """Return a data set with one more revision."""
    together = dataset.corrections.followed_by([revision])
    return StoredDataset(dataset.segments, dataset.images, together)


def _changes(
    record: DatasetRecord,
    dataset: StoredDataset,
    names: Sequence[str],
    wishes: Sequence[Correction],
    place: Sequence[str | int],
) -> list[Json]:
    rows = _Rows(record, dataset, names)
    faults: list[FieldError] = []
    changes = []
    seen: set[int] = set()
    for position, wish in enumerate(wishes):
        where = (*place, position) if place else ()
        if wish.number in seen:
            hint = "say all that is wrong about a picture in one of them"
            faults.append(FieldError.at((*where, "number"), f"picture {wish.number} is named twice", hint))
            continue
        seen.add(wish.number)
        if wish.number >= dataset.images:
            detail = f"data set {record.id!r} has {dataset.images} pictures, from 0"
            faults.append(FieldError.at((*where, "number"), detail, f"use a number below {dataset.images}"))
            continue
        try:
            change: Json = {"number": wish.number, **rows.change(wish, where)}
        except Invalid as error:
            faults += error.errors
            continue
        if wish.excluded is not None and wish.excluded == bool(dataset.used[wish.number]):
            change["excluded"] = wish.excluded
        if len(change) > 1:
            changes.append(change)
    if faults:
        raise Invalid.listing(faults)
    return changes


class _Rows:
    """What the pictures of a data set show, and how a wish changes it."""

    def __init__(self, record: DatasetRecord, dataset: StoredDataset, names: Sequence[str]) -> None:
        self._record = record
        self._dataset = dataset
        self._names = names
        self._target = options(record).target
        self._places = {unicodedata.normalize("NFC", name): place for place, name in enumerate(names)}

    def change(self, wish: Correction, where: Sequence[str | int]) -> Json:
        """Return what a wish changes of what its picture shows, see `app.datasets.corrections.cells_of`.

        Raises:
            Invalid: there is no such class, label or value, or pictures of this data set have none of these.
        """
        takes = FIELDS[self._target]
        for name in FIELDS.values():
            if name != takes and getattr(wish, name) is not None:
                detail = f"the pictures of data set {self._record.id!r} have {NOUNS[self._target]}"
                raise Invalid.listing([FieldError.at((*where, name), detail, f"correct them with `{takes}`")])
        if wish.label is not None:
            before, after = int(self._dataset.labels[wish.number]), self._place(wish.label, (*where, "label"))
            return {} if after == before else {"label": after, "label_before": before}
        if wish.labels is not None:
            had = np.flatnonzero(self._row(wish.number)).tolist()
            has = sorted({self._place(name, (*where, "labels", at)) for at, name in enumerate(wish.labels)})
            return {} if has == had else {"labels": has, "labels_before": had}
        if wish.values is not None:
            row = self._row(wish.number)
            given = {
                self._place(name, (*where, "values", name)): value for name, value in wish.values.items()
            }
            now = {
                place: float(np.float32(value))
                for place, value in given.items()
                if row[place] != np.float32(value)
            }
            if now:
                before_that = {str(place): float(row[place]) for place in now}
                return {
                    "values": {str(place): value for place, value in now.items()},
                    "values_before": before_that,
                }
        return {}

    def _row(self, number: int) -> Targets:
        if self._dataset.targets is None:
            raise AssertionError("a data set of labels or values has targets")
        row: Targets = self._dataset.targets[number]
        return row

    def _place(self, name: str, where: Sequence[str | int]) -> int:
        place = self._places.get(unicodedata.normalize("NFC", name))
        if place is None:
            detail = f"data set {self._record.id!r} has no {NOUN[self._target]} {name[:100]!r}"
            hint = one_of(name, self._names, NOUNS[self._target])
            raise Invalid.listing([FieldError.at(where, detail, hint)])
        return place
