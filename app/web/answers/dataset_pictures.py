"""Answers about single pictures of data sets, and what was corrected of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from app.api.dataset_pictures import (
    CorrectedPicture,
    DatasetCorrection,
    DatasetPicture,
    DatasetStatistics,
    ExtremePicture,
)
from app.datasets.correct import FIELDS
from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.records import class_names, options
from app.datasets.statistics import EXTREMES
from app.datasets.storage import StoredDataset
from app.store.records import CorrectionRecord, DatasetRecord, Json


def picture_path(dataset_id: str, number: int) -> str:
    """Return where a picture is on this server."""
    return f"/v1/datasets/{quote(dataset_id)}/images/{number}"


def dataset_picture(record: DatasetRecord, dataset: StoredDataset, number: int) -> DatasetPicture:
    """Show a picture of a data set as it was opened."""
    names = class_names(record)
    known = {
        "number": number,
        "name": dataset.name(number),
        "split": SPLIT_NAMES[dataset.splits[number]],
        "excluded": not dataset.used[number],
        "image_url": picture_path(record.id, number),
    }
    if dataset.targets is None:
        index, uploaded = int(dataset.labels[number]), int(dataset.uploaded_labels[number])
        relabelled = {} if index == uploaded else {"uploaded_label": names[uploaded]}
        return DatasetPicture(**known, label=names[index], class_index=index, **relabelled)
    row, uploaded_row = dataset.targets[number], dataset.uploaded[number]
    if options(record).target == "labels":
        shown = DatasetPicture(**known, labels=_labels(names, row))
        before: Json = {"uploaded_labels": _labels(names, uploaded_row)}
    else:
        shown = DatasetPicture(**known, values=tuple(row.tolist()))
        before = {"uploaded_values": tuple(uploaded_row.tolist())}
    return shown if np.array_equal(row, uploaded_row) else shown.model_copy(update=before)


def _labels(names: Sequence[str], row: NDArray[np.float32]) -> tuple[str, ...]:
    return tuple(names[place] for place in np.flatnonzero(row).tolist())


def dataset_statistics(dataset_id: str, dataset: StoredDataset, found: Json) -> DatasetStatistics:
    """Show the figures of a data set, with the names of the files of the pictures in them."""

    def named(part: Json) -> Json:
        ends: Json = {}
        for end in EXTREMES & part.keys():
            ends[end] = [
                ExtremePicture(
                    number=number,
                    name=dataset.name(number),
                    image_url=picture_path(dataset_id, number),
                    value=value,
                )
                for number, value in part[end]
            ]
        return part | ends

    return DatasetStatistics(**named(found) | {"values": [named(value) for value in found["values"]]})


def dataset_correction(
    correction: CorrectionRecord, names: Sequence[str], dataset: StoredDataset, *, made: bool = True
) -> DatasetCorrection:
    """Show a revision of a data set.

    Args:
        correction: the revision.
        names: the classes of the data set.
        dataset: where the names of files are.
        made: whether there is such a revision; it is shown for what would change.
    """
    pictures = [
        CorrectedPicture(
            number=change["number"],
            name=dataset.name(change["number"]),
            **{field: _named(names, change[field]) for field in _SHOWN if field in change},
            excluded=change.get("excluded"),
        )
        for change in correction.changes
    ]
    return DatasetCorrection(
        dataset_id=correction.dataset_id,
        revision=correction.revision if made else correction.revision - 1,
        pictures=pictures,
        created_at=correction.created_at if made else None,
    )


_SHOWN = tuple(f"{field}{when}" for field in FIELDS.values() for when in ("", "_before"))


def _named(names: Sequence[str], given: Any) -> Any:
    """Return the class, labels or values of a change with names in place of indices."""
    if isinstance(given, dict):
        return {names[int(place)]: value for place, value in given.items()}
    return tuple(names[place] for place in given) if isinstance(given, list) else names[given]
