"""What the pictures of a data set are like: how many there are of each class and split, how light, how varied."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.artifacts import Artifacts
from app.datasets import storage
from app.datasets.splits import SPLIT_NAMES
from app.datasets.storage import StoredDataset
from app.store.records import DatasetRecord, Json

_CHUNK_BYTES = 4 << 20


def statistics(record: DatasetRecord, dataset: StoredDataset, artifacts: Artifacts) -> Json:
    """Return the figures of a data set; they are computed once for each number of pictures, and kept.

    Every pixel is looked at, piece by piece; pixel values are 0..255.
    """
    name = f"{storage.directory(record.id)}/statistics-{dataset.images}.json"
    if artifacts.exists(name):
        known: Json = json.loads(artifacts.local_path(name).read_bytes())
        return known
    found = _compute([entry["name"] for entry in record.classes], dataset)
    artifacts.write(name, json.dumps(found, allow_nan=False).encode())
    return found


def _compute(classes: Sequence[str], dataset: StoredDataset) -> Json:
    channels = dataset.image_shape[2]
    cells = (len(classes), len(SPLIT_NAMES))
    sums, squares = (np.zeros((*cells, channels), np.float64) for _ in range(2))
    least = np.full((*cells, channels), 255, np.uint8)
    greatest = np.zeros((*cells, channels), np.uint8)
    images = dataset.split()
    at_once = max(1, _CHUNK_BYTES // int(np.prod(dataset.image_shape)))
    for start in range(0, dataset.images, at_once):
        numbers = np.arange(start, min(start + at_once, dataset.images))
        batch, labels = images.read(numbers)  # (n, H, W, C)
        where = (labels, dataset.splits[numbers].astype(np.int64))
        np.add.at(sums, where, batch.sum(axis=(1, 2), dtype=np.float64))
        np.add.at(squares, where, np.square(batch, dtype=np.uint16).sum(axis=(1, 2), dtype=np.float64))
        np.minimum.at(least, where, batch.min(axis=(1, 2)))
        np.maximum.at(greatest, where, batch.max(axis=(1, 2)))
    counts = dataset.counts(len(classes))
    pixels = int(np.prod(dataset.image_shape[:2]))

    def describe(part: tuple[int | slice, int | slice]) -> Json:
        index = tuple(slice(place, place + 1) if isinstance(place, int) else place for place in part)
        number = int(counts[index].sum())
        figures = _channels(
            number * pixels,
            sums[index].sum(axis=(0, 1)),
            squares[index].sum(axis=(0, 1)),
            least[index].min(axis=(0, 1)),
            greatest[index].max(axis=(0, 1)),
        )
        return {"images": number, "channels": figures if number else []}

    return {
        "images": dataset.images,
        "image_shape": list(dataset.image_shape),
        "all": describe((slice(None), slice(None))),
        "splits": {name: describe((slice(None), code)) for code, name in enumerate(SPLIT_NAMES)},
        "classes": [
            {
                "name": name,
                "splits": {split: int(counts[label, code]) for code, split in enumerate(SPLIT_NAMES)},
                **describe((label, slice(None))),
            }
            for label, name in enumerate(classes)
        ],
    }


def _channels(
    pixels: int,
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
    least: NDArray[np.uint8],
    greatest: NDArray[np.uint8],
) -> list[Json]:
    mean = sums / max(pixels, 1)
    deviation = np.sqrt(np.maximum(squares / max(pixels, 1) - mean**2, 0))
    return [
        {
            "mean": round(float(mean[channel]), 4),
            "std": round(float(deviation[channel]), 4),
            "min": int(least[channel]),
            "max": int(greatest[channel]),
        }
        for channel in range(len(sums))
    ]
