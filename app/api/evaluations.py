"""Answers about evaluations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.common import Body, JsonObject, Number
from app.api.jobs import JobBody
from engine.training.figures import CalibrationBin, ClassFigures, MacroFigures, ValueFigures

Split = Literal["train", "dev", "test"]


class EvaluationProgress(Body):
    """How far it is."""

    images: int = 0
    of: int | None = None
    fraction: Number = 0.0


class EvaluationMetrics(Body):
    """The numbers to compare evaluations by; null where the model is of another kind."""

    accuracy: Number = None
    """Share of pictures whose class, or all of whose labels, are right."""
    macro_f1: Number = None
    expected_calibration_error: Number = None
    """Of classes only."""
    r2: Number = None
    """Mean over the values of the share of their variance that is explained."""


class Interval(Body):
    """Where a share lies with a probability of 95 %: Wilson's interval of a count."""

    low: float
    high: float


class SplitError(Body):
    """How often the model is wrong on a split."""

    images: int
    """How many pictures were predicted."""
    error: Number
    """The share of them that it is wrong about; null without pictures, and of values."""


class CorrectionCall(Body):
    """A call that corrects a picture, should not the model be wrong but the data set."""

    summary: str
    """What it does."""
    method: str = Field(examples=["PATCH"])
    url: str = Field(examples=["/v1/datasets/ds_01jd3k5v0ch2h3z3c4r8n9q7xe/images/17"])
    """Its path on this server."""
    body: JsonObject
    """What to send, as JSON."""


class LabelPrediction(Body):
    """What was predicted of one label for a picture."""

    name: str
    true: bool
    """Whether the picture has it."""
    predicted: bool
    """Whether its probability is 0.5 or more."""
    probability: Number


class ValuePrediction(Body):
    """What was predicted of one value for a picture."""

    name: str
    value: float
    """What it is."""
    predicted: Number


class Mistake(Body):
    """A picture that the model is wrong about; of values, one that it is far off."""

    number: int
    """Its number in the data set: `/v1/datasets/{id}/images/{number}` shows it."""
    name: str | None = None
    """The name of the file that it came in, where it had one."""
    image_url: str | None = Field(None, examples=["/v1/datasets/ds_01jd3k5v0ch2h3z3c4r8n9q7xe/images/17"])
    """Where the picture is on this server; with `?size=64` a small one."""
    label: str | None = None
    """What class it is; null for labels and values."""
    predicted: str | None = None
    """What class it was taken for."""
    probability: Number = None
    """How probable the model found that."""
    label_probability: Number = None
    """How probable it found the truth; of labels, that about the label where this is least. Null for values."""
    labels: tuple[LabelPrediction, ...] = ()
    """Of labels: those that it has, and those that were predicted."""
    values: tuple[ValuePrediction, ...] = ()
    """Of values: all of them."""
    error: Number = None
    """Of values: the root of the mean squared error over them."""
    corrections: tuple[CorrectionCall, ...] = ()
    """The calls that make of it what was predicted, and that leave it out."""


class PicturePrediction(Mistake):
    """What was predicted for a picture."""

    wrong: bool | None
    """Whether that is another class than its own, or not just the labels that it has; null for values."""
    corrections: tuple[CorrectionCall, ...] = ()
    """Unless it is right: the calls that make of it what was predicted, and that leave it out."""


class Diagnosis(Body):
    """What the errors say; a share is null where a split has no pictures."""

    bias: float | None
    """The error on the train split."""
    variance: float | None
    """What the error on the dev split is above that."""
    dev_gap: float | None
    """What the error on the test split is above that of the dev split."""
    verdict: str
    """`low`, `bias`, `variance`, `dev_gap` or `unknown`: the largest of the three, if it is worth a word."""
    advice: str
    """What to try next, in a sentence."""


class EvaluationReport(Body):
    """What was found; models of labels and of values have a part of it."""

    images: int
    """Pictures of the split that was looked at closely."""
    accuracy: Number = None
    """Of labels: share of pictures all of whose labels are right. Null for values."""
    interval: Interval | None = None
    """Where the accuracy on very many such pictures is; null without pictures, and for values."""
    top_k: dict[int, float] = Field(default_factory=dict)
    """Share of pictures whose class is among the k most probable."""
    classes: list[ClassFigures] = Field(default_factory=list)
    """Of each class or label."""
    macro: MacroFigures | None = None
    """Null for values."""
    expected_calibration_error: Number = None
    """Null for labels and values."""
    calibration: list[CalibrationBin] = Field(default_factory=list)
    values: list[ValueFigures] = Field(default_factory=list)
    """How far each value is off."""
    errors: dict[str, SplitError]
    """The error on `train`, `dev` and `test`."""
    mean_squared_errors: dict[str, Number] = Field(default_factory=dict)
    """Of values: that on `train`, `dev` and `test`, the mean over pictures and values."""
    diagnosis: Diagnosis | None
    """Null for values."""
    mistakes: list[Mistake]
    """The worst ones: the least probable truth first, or the largest error of values."""


class Evaluation(JobBody):
    """An evaluation: what was asked for, and what became of it."""

    model_id: str
    dataset: str
    dataset_images: int | None = None
    """How many pictures the data set had; what arrives later is not looked at."""
    dataset_revision: int = 0
    """The revision of the data set; what is corrected later is not seen."""
    split: Split
    warnings: list[str]
    """What makes its figures worth less: in what the data set's pictures were treated otherwise than the model's."""
    progress: EvaluationProgress
    metrics: EvaluationMetrics | None
    """Null until it has succeeded."""


class FinishedEvaluation(Evaluation):
    """An evaluation with all that was found."""

    report: EvaluationReport | None = None
    """Null until it has succeeded."""


class ConfusionMatrix(Body):
    """How often what was taken for what."""

    classes: list[str]
    matrix: list[list[int]]
    """Pictures of class i (row) that were taken for class j (column)."""
