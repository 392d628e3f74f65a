"""Which pictures of a data set stand for a class, a label or a value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.datasets.storage import StoredDataset
from engine import draws
from engine.recipe.targets import Target


def choose(
    dataset: StoredDataset, target: Target, label: int, split: str | None, most: int, seed: int
) -> tuple[int, NDArray[np.int64]]:
    """Return how many pictures have a class, label or value, and the positions of some of them.

    Of a class or label they are drawn by the seed. Those of a value go from its least to its greatest, evenly.
    """
    positions = dataset.positions(split)
    if target == "values" and dataset.targets is not None:
        values = dataset.targets[positions, label]
        order = np.argsort(values, kind="stable")
        places = np.unique(np.linspace(0, max(len(order) - 1, 0), min(most, len(order))).astype(np.int64))
        return len(order), positions[order[places]]
    if dataset.targets is None:
        own = positions[dataset.labels[positions] == label]
    else:
        own = positions[dataset.targets[positions, label] > 0]
    draw = draws.generator(seed, "sample", label)
    return len(own), own[np.sort(draw.permutation(len(own))[:most])]


def remark(dataset: StoredDataset, target: Target, label: int, images: int, chosen: NDArray[np.int64]) -> str:
    """Say how many pictures there are, or from where to where a value goes in those that were chosen."""
    if target != "values" or dataset.targets is None:
        return str(images)
    values = dataset.targets[chosen, label]
    return f"{values.min():.3g} to {values.max():.3g}" if len(values) else "none"
