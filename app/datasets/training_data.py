"""A data set as training takes it."""

from __future__ import annotations

from app.datasets.records import class_names, options
from app.datasets.storage import StoredDataset
from app.store.records import DatasetRecord
from engine.inputs.feed import TrainingData


def training_data(record: DatasetRecord, stored: StoredDataset) -> TrainingData:
    """Return the three splits of a data set.

    Raises:
        Damaged: its row cannot be read.
    """
    return TrainingData(
        train=stored.split("train"),
        dev=stored.split("dev"),
        test=stored.split("test"),
        classes=tuple(class_names(record)),
        image_shape=stored.image_shape,
        target=options(record).target,
    )
