"""What evaluations answer, as typed records."""

from __future__ import annotations

from app.client.records import FINISHED, Failure, JobStatus, Record


class ClassFigures(Record):
    """How one class fared in an evaluation."""

    name: str
    images: int
    precision: float
    recall: float
    f1: float


class Diagnosis(Record):
    """Bias and variance, and what to try next."""

    bias: float | None = None
    variance: float | None = None
    verdict: str
    advice: str


class ValueFigures(Record):
    """How far a value is off in an evaluation; `r2` is None where all pictures have the same."""

    name: str
    mean_absolute_error: float
    root_mean_squared_error: float
    bias: float
    r2: float | None = None


class EvaluationReport(Record):
    """What an evaluation found; the service has more."""

    images: int
    accuracy: float | None = None
    classes: tuple[ClassFigures, ...] = ()
    values: tuple[ValueFigures, ...] = ()
    diagnosis: Diagnosis | None = None


class EvaluationMetrics(Record):
    """The numbers to compare evaluations by; None where the model is of another kind."""

    accuracy: float | None = None
    macro_f1: float | None = None
    expected_calibration_error: float | None = None
    r2: float | None = None


class Evaluation(Record):
    """How good a model is on a data set."""

    id: str
    status: JobStatus
    model_id: str
    dataset: str
    split: str
    warnings: tuple[str, ...] = ()
    metrics: EvaluationMetrics | None = None
    error: Failure | None = None
    report: EvaluationReport | None = None

    @property
    def finished(self) -> bool:
        """Whether it has ended; a finished evaluation never changes again."""
        return self.status in FINISHED
