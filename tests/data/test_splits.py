"""Splits follow their shares in every class, whatever arrives in whatever portions, and never move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.datasets.readers.splits import DEV, SPLIT_NAMES, TEST, TRAIN, SplitShares, draw_splits

CLASSES = 4
LABELS = st.lists(st.integers(0, CLASSES - 1), max_size=300).map(lambda labels: np.array(labels, np.int64))
SHARES = st.sampled_from(
    [
        SplitShares(),
        SplitShares(train=0.6, dev=0.2, test=0.2),
        SplitShares(train=0.34, dev=0.33, test=0.33),
        SplitShares(train=0.98, dev=0.01, test=0.01),
        SplitShares(train=0.1, dev=0.2, test=0.7),
    ]
)


def count(labels: np.ndarray, splits: np.ndarray) -> np.ndarray:
    counts = np.zeros((CLASSES, 3), np.int64)
    np.add.at(counts, (labels, splits), 1)
    return counts


def check(counts: np.ndarray, shares: SplitShares) -> None:
    for row in counts:
        total = row.sum()
        if total >= 3:
            assert (row >= 1).all(), "every split of a class of three or more has a picture"
        wanted = np.array(shares.values) * total
        # A share of less than one picture still gets its one, which the others have to give.
        given_up = np.clip(1 - wanted, 0, None).sum()
        assert (np.abs(row - wanted) <= 1 + given_up).all()


@given(labels=LABELS, shares=SHARES, seed=st.integers(0, 2**63 - 1))
def test_every_class_follows_the_shares(labels: np.ndarray, shares: SplitShares, seed: int) -> None:
    splits = draw_splits(labels, CLASSES, shares, seed)
    check(count(labels, splits), shares)
    assert np.array_equal(splits, draw_splits(labels, CLASSES, shares, seed))


@given(portions=st.lists(LABELS, max_size=5), shares=SHARES, seed=st.integers(0, 1000))
def test_pictures_that_arrive_later_keep_the_shares_and_move_nothing(
    portions: list[np.ndarray], shares: SplitShares, seed: int
) -> None:
    counts = np.zeros((CLASSES, 3), np.int64)
    for labels in portions:
        counts += count(labels, draw_splits(labels, CLASSES, shares, seed, counts))
        check(counts, shares)


def test_one_by_one_is_as_good_as_all_at_once() -> None:
    counts = np.zeros((1, 3), np.int64)
    for _ in range(1000):
        split = draw_splits(np.zeros(1, np.int64), 1, SplitShares(), 0, counts)
        counts[0, split[0]] += 1
    assert counts.tolist() == [[800, 100, 100]]


def test_a_thousand_pictures_are_split_exactly() -> None:
    labels = np.repeat(np.arange(CLASSES), 250)
    counts = count(labels, draw_splits(labels, CLASSES, SplitShares(), 7))
    assert counts.tolist() == [[200, 25, 25]] * CLASSES


def test_three_pictures_are_enough_and_the_first_is_trained_on() -> None:
    for pictures, expected in ((1, {TRAIN}), (2, {TRAIN, DEV}), (3, {TRAIN, DEV, TEST})):
        splits = draw_splits(np.zeros(pictures, np.int64), 1, SplitShares(), 0)
        assert set(splits.tolist()) == expected
        assert len(splits) == pictures


def test_the_seed_decides_and_the_order_of_arrival_does_not_show() -> None:
    labels = np.zeros(1000, np.int64)
    one, other = (draw_splits(labels, 1, SplitShares(), seed) for seed in (0, 1))
    assert not np.array_equal(one, other)
    # Neighbours, such as frames of one film, must not fall into a pattern: the test pictures are spread
    # over the whole range, at changing distances.
    places = np.flatnonzero(one == TEST)
    assert places[0] < 100
    assert places[-1] > 900
    assert len(np.unique(np.diff(places))) > 5


def test_the_shares_of_two_classes_are_not_drawn_alike() -> None:
    labels = np.repeat([0, 1], 500)
    splits = draw_splits(labels, 2, SplitShares(), 0)
    assert not np.array_equal(splits[:500], splits[500:])


@pytest.mark.parametrize(
    "shares",
    [
        {"train": 0.8, "dev": 0.1, "test": 0.2},
        {"train": 1.0, "dev": 0.0, "test": 0.0},
        {"train": 0.0, "dev": 0.5, "test": 0.5},
        {"train": 1.2, "dev": -0.1, "test": -0.1},
        {"train": float("nan"), "dev": 0.1, "test": 0.1},
    ],
)
def test_shares_that_make_no_sense(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SplitShares(**shares)
    assert SPLIT_NAMES[TRAIN] == "train"
