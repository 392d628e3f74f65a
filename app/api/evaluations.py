"""Bodies of evaluations."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from app.api.common import Body, Number
from app.api.jobs import JobBody, shared
from app.jobs.work.diagnosis import Diagnosis
from app.store.records import JobRecord
from engine.spec import Spec
from engine.training.metrics import CalibrationBin, ClassFigures, MacroFigures
from engine.training.target_metrics import ValueFigures

Split = Literal["train", "dev", "test"]


class EvaluationCreate(Spec):
    """Which model to judge by which pictures."""

    model: str = Field(examples=["model_example"])
    """The id of a model, or name and version (`digits@2`), or name and alias (`digits@production`)."""
    dataset: str = Field(examples=["digits"])
    """The id of a data set of the model's input shape; the model has to know all of its classes."""
    split: Split = "test"
    """The split to look at closely. The errors of all three are measured, of large ones on a sample."""


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


class SplitError(Body):
    """How often the model is wrong on a split."""

    images: int
    """How many pictures were looked at."""
    error: Number
    """The share of them that it is wrong about; null without pictures, and of values."""


class Mistake(Body):
    """A picture that the model is wrong about."""

    number: int
    """Its number in the data set: `/v1/datasets/{id}/images/{number}` shows it."""
    label: str
    """What it is."""
    predicted: str
    """What it was taken for."""
    probability: Number
    """How probable the model found that."""
    label_probability: Number
    """How probable it found the truth."""


class EvaluationReport(Body):
    """What was found; models of labels and of values have a part of it."""

    images: int
    """Pictures of the split that was looked at closely."""
    accuracy: Number = None
    """Of labels: share of pictures all of whose labels are right. Null for values."""
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
    """The worst ones, the least probable truth first; of classes only."""

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """Show what the worker has written."""
        rest = {name: document[name] for name in ("errors", "diagnosis", "mistakes")}
        return cls(**document["report"], **rest)


class Evaluation(JobBody):
    """An evaluation: what was asked for, and what became of it."""

    model_id: str
    dataset: str
    dataset_images: int
    """How many pictures the data set had; what arrives later is not looked at."""
    split: Split
    warnings: list[str]
    """What makes its figures worth less: in what the data set's pictures were treated otherwise than the model's."""
    progress: EvaluationProgress
    metrics: EvaluationMetrics | None
    """Null until it has succeeded."""

    @classmethod
    def of(cls, record: JobRecord) -> Self:
        """Show a record."""
        names = EvaluationProgress.model_fields
        progress = {name: value for name, value in record.progress.items() if name in names}
        return cls(
            **shared(record),
            model_id=record.request["model"],
            dataset=record.request["dataset"],
            dataset_images=record.request["dataset_images"],
            split=record.request["split"],
            warnings=record.request.get("warnings", []),
            progress=EvaluationProgress(**progress),
            metrics=EvaluationMetrics(**record.metrics) if record.metrics else None,
        )


class FinishedEvaluation(Evaluation):
    """An evaluation with all that was found."""

    report: EvaluationReport | None = None
    """Null until it has succeeded."""


class ConfusionMatrix(Body):
    """How often what was taken for what."""

    classes: list[str]
    matrix: list[list[int]]
    """Pictures of class i (row) that were taken for class j (column)."""
