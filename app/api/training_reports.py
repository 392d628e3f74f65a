"""The report of a training job: whether it is enough."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.common import Body, Number
from app.api.evaluations import Interval, Mistake, Split

Verdict = Literal["enough", "more_pictures", "unsure"]


class ClassOutlook(Body):
    """How well a class is recognised in pictures that the network had not learned from when it judged them."""

    name: str
    train_images: int
    """Pictures that it was learned from."""
    images: int
    """Pictures of dev and test; where `out_of_fold`, of train, too."""
    recall: Number
    """Share of them that was recognised; null without pictures."""
    interval: Interval | None
    taken_for: str | None
    """What the others were taken for most often."""


class CurvePoint(Body):
    """How good the head is after learning from a part of the pictures."""

    share: float
    """Of the train split."""
    images: int
    accuracy: float
    """On dev and test together."""


class NearDuplicate(Body):
    """A picture of dev or test that looks like one of train."""

    number: int
    """Its number in the data set."""
    split: Split
    like: int
    """The number of the picture of train."""
    name: str | None = None
    """The name of the file that it came in."""
    like_name: str | None = None
    """The name of that of the picture of train."""
    similarity: float
    """Correlation of both, scaled down to 16x16 grey pixels; 1 where they are equal."""


class TrainingReport(Body):
    """Whether a model is good enough, how sure that is, and what would make it better."""

    verdict: Verdict
    """`enough`: surely right about four of five, and half as many pictures were nearly as good; `more_pictures`: more
    of them would help; `unsure`: too few pictures judge it."""
    words: list[str]
    """The same and what follows in plain sentences, the most important first."""
    split: Split | None
    """Which split judges the model: test, or dev where that has no pictures; null where none has."""
    images: int
    """How many pictures that has."""
    accuracy: Number
    interval: Interval | None
    held_out_images: int
    """Pictures of dev, test and, where `out_of_fold`, train: all that were judged by what had not learned from them."""
    held_out_accuracy: Number
    held_out_interval: Interval | None
    """What `verdict` follows."""
    classes: list[ClassOutlook]
    out_of_fold: bool
    """Whether train pictures were judged, too, each by a head that learned from the other three quarters; only where
    features are cached."""
    learning_curve: list[CurvePoint] = Field(default_factory=list)
    """From a quarter, a half and all of the train split; empty where no features are cached."""
    near_duplicates: list[NearDuplicate]
    """The most similar ones first, at most 50."""
    near_duplicate_count: int | None
    """How many there are; null where there are too many pictures to compare."""
    suspicious: list[Mistake]
    """Pictures that were surely taken for something else, and may have a wrong label; at most 50."""
