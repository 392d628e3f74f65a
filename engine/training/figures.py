"""The figures of models on pictures, as records: what assessments report and what is written of them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from engine.spec import describe


class Figures(BaseModel):
    """A record of figures."""

    model_config = ConfigDict(frozen=True, json_schema_extra=describe)


class ClassFigures(Figures):
    """How one class fared. One that does not occur and was taken for none has no figures; of the others a share of
    nothing is 0.
    """  # noqa: D205

    name: str
    images: int
    """Pictures of this class."""
    predicted: int
    """Pictures taken for this class."""
    precision: float | None
    """Share of the pictures taken for this class that are of it."""
    recall: float | None
    """Share of the pictures of this class that were taken for it."""
    f1: float | None
    """Harmonic mean of precision and recall."""


class MacroFigures(Figures):
    """Means over the classes that have figures, each counting the same however many pictures it has; else None."""

    precision: float | None
    recall: float | None
    f1: float | None


class CalibrationBin(Figures):
    """The predictions whose confidence lies in one interval."""

    lowest: float
    """Confidence from which on it counts, itself left out (but 0)."""
    images: int
    confidence: float | None
    """Mean probability of the predicted class; None without pictures."""
    accuracy: float | None
    """Share of right predictions: that of a well calibrated model is as large as its confidence."""


class Report(Figures):
    """The figures of a classifier on some pictures."""

    images: int
    accuracy: float
    """Share of pictures whose most probable class is theirs."""
    top_k: dict[int, float]
    """Share of pictures whose class is among the k most probable, for some k."""
    confusion: list[list[int]]
    """Pictures of class i (row) that were taken for class j (column)."""
    classes: list[ClassFigures]
    macro: MacroFigures
    expected_calibration_error: float
    """Mean distance between confidence and accuracy over bins of confidence, weighted by their pictures."""
    calibration: list[CalibrationBin]


class LabelReport(Figures):
    """The figures of a model of labels on some pictures; a label is told from a probability of 0.5 on."""

    images: int
    accuracy: float
    """Share of pictures of which all labels are right."""
    classes: list[ClassFigures]
    """Of each label."""
    macro: MacroFigures


class ValueFigures(Figures):
    """How far one value is off; all in its own unit, but `r2`."""

    name: str
    mean_absolute_error: float
    root_mean_squared_error: float
    """sqrt(1/n sum_i (z_i - y_i)^2)"""
    bias: float
    """Mean of what is predicted above what is true."""
    r2: float | None
    """1 - sum_i (z_i - y_i)^2 / sum_i (y_i - mean(y))^2: 1 is perfect, 0 as good as always saying the mean; None where
    all pictures have the same value. Draper & Smith 1998, Applied regression analysis, section 1.3."""


class ValueReport(Figures):
    """The figures of a model of values on some pictures."""

    images: int
    values: list[ValueFigures]
