"""Answers about single pictures of data sets, and what was corrected of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.api.dataset_pictures import CorrectedPicture, DatasetCorrection, DatasetPicture
from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.records import class_names, options
from app.datasets.storage import StoredDataset
from app.store.records import CorrectionRecord, DatasetRecord


def dataset_picture(record: DatasetRecord, dataset: StoredDataset, number: int) -> DatasetPicture:
    """Show a picture of a data set as it was opened."""
    names = class_names(record)
    known = {
        "number": number,
        "name": dataset.name(number),
        "split": SPLIT_NAMES[dataset.splits[number]],
        "excluded": not dataset.used[number],
    }
    if dataset.targets is None:
        index, uploaded = int(dataset.labels[number]), int(dataset.uploaded_labels[number])
        relabelled = {} if index == uploaded else {"uploaded_label": names[uploaded]}
        return DatasetPicture(**known, label=names[index], class_index=index, **relabelled)
    targets = dataset.targets[number]
    if options(record).target == "labels":
        return DatasetPicture(**known, labels=tuple(names[index] for index in np.flatnonzero(targets)))
    return DatasetPicture(**known, values=tuple(targets.tolist()))


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
            label=names[change["label"]] if "label" in change else None,
            label_before=names[change["label_before"]] if "label" in change else None,
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
