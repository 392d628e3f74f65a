"""Bodies of evaluations."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field

from app.jobs.diagnosis import Diagnosis
from app.schemas.common import Body, Number
from app.schemas.jobs import JobBody, shared
from app.store.records import JobRecord
from engine.metrics import CalibrationBin, ClassFigures, MacroFigures
from engine.spec import Spec

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
    """The three numbers to compare evaluations by."""

    accuracy: Number
    macro_f1: Number
    expected_calibration_error: Number


class SplitError(Body):
    """How often the model is wrong on a split."""

    images: int
    """How many pictures were looked at."""
    error: Number
    """The share of them that it is wrong about; null without pictures."""


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
    """What was found."""

    images: int
    """Pictures of the split that was looked at closely."""
    accuracy: Number
    top_k: dict[int, float]
    """Share of pictures whose class is among the k most probable."""
    classes: list[ClassFigures]
    macro: MacroFigures
    expected_calibration_error: Number
    calibration: list[CalibrationBin]
    errors: dict[str, SplitError]
    """The error on `train`, `dev` and `test`."""
    diagnosis: Diagnosis
    mistakes: list[Mistake]
    """The worst ones, the least probable truth first."""

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
