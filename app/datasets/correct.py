"""Corrects pictures of a data set: another label, left out, or put back. Its files stay as they are."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from app.api.requests.dataset_pictures import Correction
from app.datasets import storage
from app.datasets.corrections import Corrections
from app.datasets.records import class_names, options
from app.datasets.storage import StoredDataset
from app.errors import Conflict, FieldError, Invalid
from app.files.artifacts import Artifacts
from app.store import Store
from app.store.records import CorrectionRecord, DatasetRecord, Json
from app.text import did_you_mean

MOST_REVISIONS = 10_000
"""Of one data set; each is read when it is opened."""


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
    columns = storage.tallies(names, corrected.counts(len(names)), corrected.shown(len(names), target))
    segments = store.datasets.find_segments(record.id)
    columns["fingerprint"] = storage.fingerprint(record.classes, record.image_shape, segments, corrected)
    return Plan(revision, columns, dataset)


def _with(dataset: StoredDataset, revision: CorrectionRecord) -> StoredDataset:
    """Return a data set with one more revision."""
    before = dataset.corrections
    own = Corrections.of([revision])
    undone = {change["number"] for change in revision.changes if change.get("excluded") is False}
    together = Corrections(
        revision.revision, {**before.labels, **own.labels}, (before.excluded - undone) | own.excluded
    )
    return StoredDataset(dataset.segments, dataset.images, together)


def _changes(
    record: DatasetRecord,
    dataset: StoredDataset,
    names: Sequence[str],
    wishes: Sequence[Correction],
    place: Sequence[str | int],
) -> list[Json]:
    indices = {unicodedata.normalize("NFC", name): index for index, name in enumerate(names)}
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
        change: Json = {"number": wish.number}
        if wish.label is not None:
            index = indices.get(unicodedata.normalize("NFC", wish.label))
            if dataset.targets is not None:
                target = options(record).target
                detail = (
                    f"the pictures of data set {record.id!r} have {target}, and these cannot be corrected"
                )
                faults.append(
                    FieldError.at((*where, "label"), detail, "leave the picture out with `excluded`")
                )
                continue
            if index is None:
                detail = f"data set {record.id!r} has no class {wish.label[:100]!r}"
                otherwise = f"its classes are {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
                hint = did_you_mean(wish.label, names, otherwise)
                faults.append(FieldError.at((*where, "label"), detail, hint))
                continue
            before = int(dataset.labels[wish.number])
            if index != before:
                change |= {"label": index, "label_before": before}
        if wish.excluded is not None and wish.excluded == bool(dataset.used[wish.number]):
            change["excluded"] = wish.excluded
        if len(change) > 1:
            changes.append(change)
    if faults:
        raise Invalid.listing(faults)
    return changes
