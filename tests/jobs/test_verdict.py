"""How sure an accuracy is, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from app.api.evaluations import Mistake
from app.api.training_reports import CurvePoint, NearDuplicate, TrainingReport
from app.jobs.comparison import interval
from app.jobs.work.verdict import Judged, class_outlooks, verdict, words


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    # Newcombe 1998, Two-sided confidence intervals for the single proportion, table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_the_literature(right: int, of: int, low: float, high: float) -> None:
    found = interval(right, of)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_nothing_has_no_interval() -> None:
    assert interval(0, 0) is None


def judged(*pairs: tuple[int, int]) -> Judged:
    """Return pictures by what they are, and what they were taken for."""
    labels, predicted = np.array(pairs, np.int64).T
    return Judged(np.eye(3, dtype=np.float32)[predicted], labels)


def report(right: int, of: int, *curve: float) -> TrainingReport:
    seen = judged(*[(0, 0)] * right, *[(1, 2)] * (of - right))
    made = TrainingReport(
        verdict="unsure",
        words=[],
        split="test",
        images=of,
        accuracy=seen.accuracy,
        interval=interval(right, of),
        held_out_images=of,
        held_out_accuracy=seen.accuracy,
        held_out_interval=interval(right, of),
        classes=class_outlooks(seen, ("cat", "fox", "dog"), (9, 3, 9)),
        out_of_fold=False,
        learning_curve=[
            CurvePoint(share=share, images=1, accuracy=accuracy)
            for share, accuracy in zip((0.25, 0.5, 1), curve, strict=False)
        ],
        near_duplicates=[],
        near_duplicate_count=0,
        suspicious=[],
    )
    made = made.model_copy(update={"verdict": verdict(made)})
    return made.model_copy(update={"words": words(made)})


def test_the_verdict_follows_from_interval_and_curve() -> None:
    assert report(3, 3).verdict == "unsure"
    assert report(97, 100).verdict == "enough"
    assert report(97, 100, 0.9, 0.96, 0.97).verdict == "enough"
    assert report(97, 100, 0.7, 0.9, 0.97).verdict == "more_pictures"
    assert report(50, 100).verdict == "more_pictures"


def test_it_is_said_in_words() -> None:
    said = " ".join(report(70, 100, 0.4, 0.5, 0.7).words)
    assert said.startswith(
        "70 of 100 test pictures are recognised (70 %); of many more it would be between 60 % and 78 %."
    )
    assert "More pictures of `fox` would help most: 0 % of 30 were recognised" in said
    assert "most often taken for `dog`" in said
    assert "still more would probably help" in said
    assert "would help little" in " ".join(report(97, 100, 0.9, 0.97, 0.97).words)
    assert "too wide" in " ".join(report(3, 3, 1, 1, 1).words)


def test_one_picture_is_not_called_several() -> None:
    alike = [NearDuplicate(number=number, split="test", like=1, similarity=1.0) for number in (7, 8)]
    mistakes = [
        Mistake(number=number, label="cat", predicted="fox", probability=0.9, label_probability=0.1)
        for number in (4, 5)
    ]

    def said(count: int) -> list[str]:
        found = {
            "near_duplicates": alike[:count],
            "near_duplicate_count": count,
            "suspicious": mistakes[:count],
        }
        return words(report(40, 50).model_copy(update=found))[-2:]

    assert said(1) == [
        "A picture of dev or test looks like one of train: number 7. The figures may be too good.",
        "A picture may have a wrong label, number 4: it is said to be `cat`, and looks like `fox`.",
    ]
    assert said(2) == [
        "2 pictures of dev and test look like pictures of train, such as number 7: the figures may be too good.",
        "2 pictures may have a wrong label, such as number 4: it is said to be `cat`, and looks like `fox`.",
    ]
