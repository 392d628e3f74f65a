"""What the pictures of a data set are like: how many there are of each class and split, how light, how varied."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.datasets.readers.splits import SPLIT_NAMES
from app.datasets.records import class_names, options
from app.datasets.storage import StoredDataset
from app.files import paths
from app.files.artifacts import Artifacts
from app.files.faults import reason
from app.log import Log
from app.store.records import DatasetRecord, Json

log = Log(__name__)

_CHUNK_BYTES = 4 << 20
_BEGINNING = "statistics-"
_FORMAT = 2
"""Of the files, in their names: what an earlier version has kept is computed again."""
_MOST_EXTREMES = 5
EXTREMES = frozenset({"darkest", "lightest", "least", "greatest"})
"""The fields that list pictures at one end, each as its number and what is least or greatest in it."""


def statistics(
    record: DatasetRecord, dataset: StoredDataset, artifacts: Artifacts, go_on: Callable[[], None]
) -> Json:
    """Return the figures of a data set; they are computed once, and kept until it is changed.

    Every pixel is looked at, piece by piece; pixel values are 0..255. `go_on` is called before each, and may raise.
    """
    folder = paths.dataset(record.id)
    name = f"{folder}/{_BEGINNING}{_FORMAT}-{dataset.images}-{dataset.corrections.revision}.json"
    try:
        kept: Json = json.loads(artifacts.local_path(name).read_bytes())
        return kept
    except FileNotFoundError:
        pass
    names = class_names(record)
    of_values = options(record).target == "values"
    found = _compute([] if of_values else names, dataset, go_on)
    found["values"] = _values(names, dataset) if of_values else []
    try:
        _keep(name, found, folder, artifacts)
    except OSError as error:  # who asks has them; the next one computes them again
        log.warning("statistics_not_kept", error=reason(error))
    return found


def _keep(name: str, found: Json, folder: str, artifacts: Artifacts) -> None:
    artifacts.write(name, json.dumps(found, allow_nan=False).encode())
    # only the newest revision is ever asked for
    for other in artifacts.names(folder):
        if other.removeprefix(f"{folder}/").startswith(_BEGINNING) and other != name:
            artifacts.delete(other)


def _compute(classes: Sequence[str], dataset: StoredDataset, go_on: Callable[[], None]) -> Json:
    # A cell for each class or label and split, and at last for all pictures: one can have several labels, or none.
    everything = len(classes)
    channels = dataset.image_shape[2]
    cells = (len(classes) + 1, len(SPLIT_NAMES))
    counts = np.zeros(cells, np.int64)
    sums, squares = (np.zeros((*cells, channels), np.float64) for _ in range(2))
    least = np.full((*cells, channels), 255, np.uint8)
    greatest = np.zeros((*cells, channels), np.uint8)
    images = dataset.everything()
    used = dataset.positions()
    lightness = np.empty(len(used), np.float32)
    at_once = max(1, _CHUNK_BYTES // int(np.prod(dataset.image_shape)))
    for start in range(0, len(used), at_once):
        go_on()
        numbers = used[start : start + at_once]
        batch, _ = images.read(numbers)  # (n, H, W, C)
        rows, labels = _shown(dataset, numbers, everything)
        lightness[start : start + len(batch)] = batch.mean(axis=(1, 2, 3))
        where = (labels, dataset.splits[numbers].astype(np.int64)[rows])
        np.add.at(counts, where, 1)
        np.add.at(sums, where, batch.sum(axis=(1, 2), dtype=np.float64)[rows])
        np.add.at(squares, where, np.square(batch, dtype=np.uint16).sum(axis=(1, 2), dtype=np.float64)[rows])
        np.minimum.at(least, where, batch.min(axis=(1, 2))[rows])
        np.maximum.at(greatest, where, batch.max(axis=(1, 2))[rows])
    pixels = int(np.prod(dataset.image_shape[:2]))

    def describe(label: int, splits: slice) -> Json:
        number = int(counts[label, splits].sum())
        figures = _channels(
            number * pixels,
            sums[label, splits].sum(axis=0),
            squares[label, splits].sum(axis=0),
            least[label, splits].min(axis=0),
            greatest[label, splits].max(axis=0),
        )
        return {"images": number, "channels": figures if number else []}

    return {
        "images": len(used),
        "image_shape": list(dataset.image_shape),
        "all": describe(everything, slice(None)),
        "darkest": _extremes(used, lightness),
        "lightest": _extremes(used, lightness, greatest=True),
        "splits": {
            name: describe(everything, slice(code, code + 1)) for code, name in enumerate(SPLIT_NAMES)
        },
        "classes": [
            {
                "name": name,
                "splits": {split: int(counts[label, code]) for code, split in enumerate(SPLIT_NAMES)},
                **describe(label, slice(None)),
            }
            for label, name in enumerate(classes)
        ],
    }


def _shown(
    dataset: StoredDataset, numbers: NDArray[np.int64], everything: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which of some pictures show which class or label, as pairs; each also shows `everything`."""
    each = np.arange(len(numbers))
    if everything == 0:
        rows, labels = each[:0], each[:0]
    elif dataset.targets is None:
        rows, labels = each, dataset.labels[numbers].astype(np.int64)
    else:
        rows, labels = np.nonzero(dataset.targets[numbers])
    return np.concatenate([rows, each]), np.concatenate([labels, np.full(len(each), everything)])


def _values(names: Sequence[str], dataset: StoredDataset) -> list[Json]:
    if dataset.targets is None:
        raise AssertionError("a data set of values has targets")
    split = {name: dataset.targets[dataset.positions(name)] for name in SPLIT_NAMES}
    used = dataset.positions()
    shown = dataset.targets[used]
    return [
        {
            "name": name,
            "all": _figures(shown[:, place]),
            "least": _extremes(used, shown[:, place]),
            "greatest": _extremes(used, shown[:, place], greatest=True),
            "splits": {code: _figures(values[:, place]) for code, values in split.items()},
        }
        for place, name in enumerate(names)
    ]


def _extremes(
    numbers: NDArray[np.int64], values: NDArray[np.float32], *, greatest: bool = False
) -> list[tuple[int, float]]:
    """Return the pictures at one end of some numbers (n,), and these."""
    order = np.argsort(-values if greatest else values, kind="stable")[:_MOST_EXTREMES]
    return [(int(numbers[place]), float(values[place])) for place in order]


def _figures(values: NDArray[np.float32]) -> Json | None:
    if not len(values):
        return None
    wide = values.astype(np.float64)
    return {
        "mean": float(wide.mean()),
        "std": float(wide.std()),
        "min": float(wide.min()),
        "max": float(wide.max()),
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
