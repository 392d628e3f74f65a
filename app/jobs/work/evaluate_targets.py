"""What an evaluation finds out about models of labels and of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.datasets.readers.splits import SPLIT_NAMES
from app.jobs.work.diagnosis import diagnose
from app.jobs.work.predictions import SplitPredictions
from app.store.records import Json
from engine.training.target_metrics import LabelAssessment, ValueAssessment


def judge_labels(splits: SplitPredictions, names: Sequence[str], columns: Sequence[int]) -> tuple[Json, Json]:
    """Return the findings about a model of labels, and the figures to compare it by.

    Args:
        splits: the predictions.
        names: the labels of the data set.
        columns: where the model has them.
    """
    errors = {}
    closely = LabelAssessment(names)
    for split in SPLIT_NAMES:
        assessment = closely if split == splits.split else LabelAssessment(names)
        wrong = sum(
            assessment.add(probabilities[:, columns], targets)
            for probabilities, targets, _ in splits.batches(split)
        )
        images = splits.images(split)
        errors[split] = {"images": images, "error": wrong / images if images else None}
    report = closely.report().model_dump(mode="json")
    diagnosis = diagnose(errors).model_dump(mode="json")
    findings = {"report": report, "errors": errors, "diagnosis": diagnosis, "mistakes": []}
    return findings, {"accuracy": report["accuracy"], "macro_f1": report["macro"]["f1"]}


def judge_values(splits: SplitPredictions, names: Sequence[str], columns: Sequence[int]) -> tuple[Json, Json]:
    """Return the findings about a model of values, and the figures to compare it by; see `judge_labels`."""
    errors: Json = {}
    squares: Json = {}
    closely = ValueAssessment(names)
    for split in SPLIT_NAMES:
        assessment = closely if split == splits.split else ValueAssessment(names)
        for predictions, targets, _ in splits.batches(split):
            assessment.add(predictions[:, columns], targets)
        errors[split] = {"images": splits.images(split), "error": None}
        off = [entry.root_mean_squared_error**2 for entry in assessment.report().values]
        squares[split] = float(np.mean(off)) if splits.images(split) else None
    report = closely.report().model_dump(mode="json") | {"mean_squared_errors": squares}
    measured = [entry["r2"] for entry in report["values"] if entry["r2"] is not None]
    findings: Json = {"report": report, "errors": errors, "diagnosis": None, "mistakes": []}
    return findings, {"r2": float(np.mean(measured)) if measured else None}
