"""Whether a model is good enough, in figures and in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.api.evaluations import Mistake
from app.api.training_reports import ClassOutlook, NearDuplicate, TrainingReport, Verdict
from app.jobs.comparison import interval
from app.text import percent
from engine.arrays import Array, Indices

_GOOD = 0.8
_WIDE = 0.3
_RISE = 0.02
"""How much better twice as many pictures have to be for more to be promising."""


@dataclass(frozen=True)
class Judged:
    """Pictures that a network has not learned from, and what it finds in them."""

    probabilities: Array
    """(N, K)"""
    labels: Indices
    """(N,)"""

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def none(cls, classes: int) -> Judged:
        """Return no pictures."""
        return cls(np.empty((0, classes), np.float32), np.empty(0, np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Judged]) -> Judged:
        """Return the pictures of several."""
        return cls(
            np.concatenate([part.probabilities for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )

    @property
    def predicted(self) -> Indices:
        """The most probable class of each, (N,)."""
        predicted: Indices = np.argmax(self.probabilities, axis=1)
        return predicted

    @property
    def right(self) -> int:
        """How many were recognised."""
        return int(np.count_nonzero(self.predicted == self.labels))

    @property
    def accuracy(self) -> float | None:
        """The share that was recognised; None without pictures."""
        return self.right / len(self) if len(self) else None


def class_outlooks(judged: Judged, classes: Sequence[str], train_images: Sequence[int]) -> list[ClassOutlook]:
    """Return how well each class is recognised."""
    found = []
    predicted = judged.predicted
    for label, name in enumerate(classes):
        taken = predicted[judged.labels == label]
        others = np.bincount(taken[taken != label], minlength=len(classes))
        right = int(np.count_nonzero(taken == label))
        found.append(
            ClassOutlook(
                name=name,
                train_images=train_images[label],
                images=len(taken),
                recall=right / len(taken) if len(taken) else None,
                interval=interval(right, len(taken)),
                taken_for=classes[int(others.argmax())] if others.any() else None,
            )
        )
    return found


def verdict(report: TrainingReport) -> Verdict:
    """Return whether it is enough."""
    interval = report.held_out_interval
    if interval is None or (interval.high - interval.low > _WIDE and interval.high > _GOOD):
        return "unsure"
    return "enough" if interval.low >= _GOOD and not (_rise(report) or 0) > _RISE else "more_pictures"


def words(report: TrainingReport) -> list[str]:
    """Return in sentences what a report says, the most important first."""
    said = [_accuracy(report)]
    if report.verdict == "unsure":
        said.append("That is too wide to say whether it is enough: more pictures would tell.")
    elif report.verdict == "enough":
        said.append("That should be enough for pictures of the same kind.")
    said += [sentence for sentence in (_weakest(report), _curve(report)) if sentence]
    if report.near_duplicate_count:
        one = _called(report.near_duplicates[0])
        said.append(
            f"A picture of dev or test looks like one of train: {one}. The figures may be too good."
            if report.near_duplicate_count == 1
            else f"{report.near_duplicate_count} pictures of dev and test look like pictures of train, such as "
            f"{one}: the figures may be too good."
        )
    if report.suspicious:
        first = report.suspicious[0]
        count = len(report.suspicious)
        which = "A picture may" if count == 1 else f"{count} pictures may"
        said.append(
            f"{which} have a wrong label{',' if count == 1 else ', such as'} {_called(first)}: "
            f"it is said to be `{first.label}`, and looks like `{first.predicted}`."
        )
    return said


def _called(picture: NearDuplicate | Mistake) -> str:
    return f"number {picture.number}" + (f" ({picture.name})" if picture.name else "")


def _accuracy(report: TrainingReport) -> str:
    if report.accuracy is None or report.interval is None:
        return "No picture judges the model: neither dev nor test split has any."
    right = round(report.accuracy * report.images)
    said = f"{right} of {report.images} {report.split} pictures are recognised ({percent(report.accuracy)})"
    interval = report.interval
    if report.out_of_fold and report.held_out_accuracy is not None and report.held_out_interval is not None:
        right = round(report.held_out_accuracy * report.held_out_images)
        interval = report.held_out_interval
        said += f", and {right} of all {report.held_out_images} by models that had not learned from them"
    return f"{said}; of many more it would be between {percent(interval.low)} and {percent(interval.high)}."


def _weakest(report: TrainingReport) -> str | None:
    """Name the class that is recognised worst, and of several the one with the fewest pictures."""
    measured = [entry for entry in report.classes if entry.recall is not None and entry.recall < 1]
    if not measured:
        return None
    weakest = min(measured, key=lambda entry: (entry.recall or 0.0, entry.train_images))
    return (
        f"More pictures of `{weakest.name}` would help most: {percent(weakest.recall or 0.0)} of {weakest.images} were "
        f"recognised, the others most often taken for `{weakest.taken_for}`."
    )


def _curve(report: TrainingReport) -> str | None:
    rise = _rise(report)
    if rise is None or report.verdict == "unsure":
        return None
    half = report.learning_curve[-2].accuracy
    if rise > _RISE:
        return f"With half as many pictures it was {percent(half)}: still more would probably help."
    return (
        f"With half as many pictures it was already {percent(half)}: more of the same kind would help little, pictures "
        "unlike those that are there would help more."
    )


def _rise(report: TrainingReport) -> float | None:
    """Return how much better the model is than with half as many pictures."""
    if not report.learning_curve:
        return None
    *_, half, whole = report.learning_curve
    return whole.accuracy - half.accuracy
