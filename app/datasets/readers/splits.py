"""Which pictures are trained on, which choose the epoch to keep, and which judge the result.

A picture's split is drawn when it arrives, stored beside it, and never drawn again: a picture that
moved from test to train later would make every figure measured before it a lie.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.api.datasets import SplitShares

TRAIN, DEV, TEST = 0, 1, 2
SPLIT_NAMES = ("train", "dev", "test")
UNASSIGNED = 255
"""Stands for the split of a picture that has not been drawn yet."""


def draw_splits(
    labels: NDArray[np.integer],
    classes: int,
    shares: SplitShares,
    seed: int,
    present: Sequence[Sequence[int]] | NDArray[np.integer] | None = None,
    among: Sequence[int] = (TRAIN, DEV, TEST),
) -> NDArray[np.uint8]:
    """Draw the split of each arriving picture, class by class.

    Each class fills the split that lags its share most, so that the counts follow the shares after every
    arrival, whether pictures come all at once or one by one. A class's first pictures go to train, dev and
    test in turn, so that three pictures are enough for a class to be seen in all of them. Which of the
    arriving pictures gets which place is then shuffled by the seed.

    Args:
        labels: class index of each arriving picture, (N,).
        classes: number of classes K.
        shares: the data set's shares.
        seed: the data set's seed.
        present: pictures already stored, per class and split, (K, 3); none when omitted.
        among: the splits that they may go to; the shares of these hold among themselves.

    Returns:
        The split code of each arriving picture, (N,).
    """
    stored = np.zeros((classes, 3), np.int64) if present is None else np.array(present, np.int64)
    splits = np.empty(len(labels), np.uint8)
    for label in range(classes):
        arriving = np.flatnonzero(labels == label)
        counts = [int(count) for count in stored[label]]
        # The number already there is part of the key: two uploads do not repeat each other's order.
        shuffle = np.random.Generator(np.random.PCG64([seed, label, sum(counts)]))
        places = np.empty(len(arriving), np.uint8)
        for place in range(len(arriving)):
            places[place] = split = _next_split(counts, shares.values, among)
            counts[split] += 1
        splits[arriving] = shuffle.permutation(places)
    return splits


def _next_split(counts: list[int], shares: tuple[float, float, float], among: Sequence[int]) -> int:
    for split in among:
        if counts[split] == 0:
            return split
    total = sum(counts[split] for split in among) + 1
    whole = 1.0 if len(among) == len(SPLIT_NAMES) else sum(shares[split] for split in among)
    # max() takes the first of equals, so a tie goes to train.
    return max(among, key=lambda split: shares[split] * total - counts[split] * whole)


def place(
    given: NDArray[np.uint8],
    labels: NDArray[np.integer],
    classes: int,
    shares: SplitShares,
    seed: int,
    present: NDArray[np.integer] | None = None,
) -> NDArray[np.uint8]:
    """Return the split of each arriving picture: the one it was given, or one that is drawn.

    Where an upload gives the split of every picture and has none for one of them, as a train and a test set without
    a dev set, pictures of its train set are drawn for what is missing, unless the data set has pictures already.

    Args:
        given: the split that each picture came with, `UNASSIGNED` for none, (N,).
        labels: class index of each arriving picture, (N,).
        classes: number of classes K.
        shares: the data set's shares.
        seed: the data set's seed.
        present: pictures already stored, per class and split, (K, 3); none when omitted.
    """
    splits = given.copy()
    missing = [split for split in (DEV, TEST) if not (given == split).any()]
    if present is None and missing and (given != UNASSIGNED).all():
        parted = given == TRAIN
        splits[parted] = draw_splits(labels[parted], classes, shares, seed, among=(TRAIN, *missing))
    unassigned = given == UNASSIGNED
    if unassigned.any():
        counts = np.zeros((classes, len(SPLIT_NAMES)), np.int64) if present is None else present.copy()
        np.add.at(counts, (labels[~unassigned], splits[~unassigned]), 1)
        splits[unassigned] = draw_splits(labels[unassigned], classes, shares, seed, counts)
    return splits
