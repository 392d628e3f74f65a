"""Answers that put two evaluations side by side."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Body, Number
from app.api.evaluations import Interval, PicturePrediction, Split


class ComparedEvaluation(Body):
    """One of the two."""

    id: str = Field(examples=["eval_01jd3k5v0ch2h3z3c4r8n9q7xe"])
    model_id: str
    right: int
    """How many of the compared pictures it is right about; of labels, about all labels of each."""
    accuracy: Number
    """The share of them; null where no picture is compared."""
    interval: Interval | None
    only_right: int
    """How many of them it alone is right about."""


class ComparedPicture(Body):
    """A picture that one model is right about, and the other is not."""

    number: int
    name: str | None
    """The name of the file that it came in."""
    image_url: str
    """Where the picture is on this server."""
    predictions: tuple[PicturePrediction, PicturePrediction]
    """What the first and the second made of it."""


class EvaluationComparison(Body):
    """Two models judged by the same pictures."""

    dataset: str
    split: Split
    images: int
    """Pictures that both have seen, and that were said to show the same."""
    left_out: int
    """The other ones."""
    evaluations: tuple[ComparedEvaluation, ComparedEvaluation]
    both_right: int
    both_wrong: int
    p_value: float
    """McNemar's test, exactly: how probable it is that two equally good models differ at least so much on these
    pictures (McNemar 1947, Note on the sampling error of the difference between correlated proportions)."""
    words: list[str]
    """What that means, in plain sentences."""
    only_first: list[ComparedPicture]
    """What only the first is right about, at most 100."""
    only_second: list[ComparedPicture]
