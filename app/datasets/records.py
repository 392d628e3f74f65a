"""What the row of a data set says, as types; a row that was damaged says so, whoever reads it."""

from __future__ import annotations

from app.datasets.options import DatasetOptions
from app.errors import Damaged
from app.store.records import DatasetRecord


def options(record: DatasetRecord) -> DatasetOptions:
    """Return how the pictures of a data set were made.

    Raises:
        Damaged: its options cannot be read.
    """
    try:
        return DatasetOptions.model_validate(record.options)
    except ValueError as error:
        raise Damaged.of("data set", record.id, "its options cannot be read") from error


def class_names(record: DatasetRecord) -> list[str]:
    """Return what the classes, labels or values of a data set are called.

    Raises:
        Damaged: one of them has no name.
    """
    names = [entry.get("name") for entry in record.classes]
    if not all(isinstance(name, str) for name in names):
        raise Damaged.of("data set", record.id, "a class has no name")
    return [str(name) for name in names]
