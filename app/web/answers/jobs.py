"""Answers about jobs of all kinds, from what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import numpy as np

from app.api.batch_predictions import BatchPrediction, BatchProgress
from app.api.common import Body
from app.api.evaluations import (
    CorrectionCall,
    Evaluation,
    EvaluationMetrics,
    EvaluationProgress,
    EvaluationReport,
    FinishedEvaluation,
    Mistake,
    PicturePrediction,
)
from app.api.jobs import JobError
from app.api.training_jobs import EpochFigures, Progress, TrainingJob, TrainingJobEntry
from app.api.webhooks import Webhook
from app.jobs.forecast import Place
from app.store.records import DeliveryRecord, JobRecord, Json

_SHARED = ("id", "status", "attempt", "created_at", "started_at", "finished_at")


def training_job_entry(
    record: JobRecord,
    checkpoint_retention: timedelta,
    place: Place | None = None,
    delivery: DeliveryRecord | None = None,
) -> TrainingJobEntry:
    """Show a record in a list.

    Args:
        record: the job.
        checkpoint_retention: how long the last checkpoint of a finished job is kept.
        place: its place in the queue, if it waits.
        delivery: the message of its end, if there is one.
    """
    return TrainingJobEntry(**_training(TrainingJobEntry, record, checkpoint_retention, place, delivery))


def training_job(
    record: JobRecord,
    checkpoint_retention: timedelta,
    place: Place | None = None,
    delivery: DeliveryRecord | None = None,
) -> TrainingJob:
    """Show a record as in a list, and its architecture."""
    return TrainingJob(**_training(TrainingJob, record, checkpoint_retention, place, delivery))


def _training(
    kind: type[Body],
    record: JobRecord,
    checkpoint_retention: timedelta,
    place: Place | None,
    delivery: DeliveryRecord | None,
) -> dict[str, Any]:
    kept_since = record.checkpoint_kept_since
    return {
        **_shared(record),
        "progress": Progress(**_fields(Progress, record.progress)),
        "metrics": epoch_figures(record.metrics) if record.metrics else None,
        "model_id": record.model_id,
        "builtin": record.builtin,
        "queue_position": None if place is None else place.position,
        "starts_in_seconds": None if place is None else place.starts_in_seconds,
        "memory_bytes": record.memory_bytes,
        "webhook": _webhook(record, delivery),
        "checkpoint_until": None if kept_since is None else kept_since + checkpoint_retention,
        **_fields(kind, record.request),
    }


def epoch_figures(figures: Json) -> EpochFigures:
    """Show the figures of an epoch as a worker wrote them."""
    return EpochFigures(**_fields(EpochFigures, figures))


def evaluation(record: JobRecord) -> Evaluation:
    """Show a record."""
    return Evaluation(**_evaluation(record))


def finished_evaluation(record: JobRecord, document: Json | None) -> FinishedEvaluation:
    """Show a record and what its worker has written; `document` is None until it has succeeded."""
    report = None
    if document is not None:
        rest = {name: document[name] for name in ("errors", "diagnosis")}
        mistakes = evaluation_mistakes(record, document)
        report = EvaluationReport(**document["report"], **rest, mistakes=mistakes)
    return FinishedEvaluation(**_evaluation(record), report=report)


def evaluation_mistakes(record: JobRecord, document: Json) -> list[Mistake]:
    """Show the worst mistakes among what the worker of an evaluation has written."""
    dataset = record.request["dataset"]
    return [
        Mistake(**entry, corrections=_corrections(dataset, entry["number"], entry["predicted"]))
        for entry in document["mistakes"]
    ]


def picture_prediction(
    record: JobRecord, classes: Sequence[str], row: np.void, name: str | None
) -> PicturePrediction:
    """Show what an evaluation found of a picture.

    Args:
        record: the evaluation.
        classes: those of its model.
        row: see `app.jobs.evaluated`.
        name: of the file that the picture came in.
    """
    number, predicted, wrong = int(row["number"]), classes[row["predicted"]], row["label"] != row["predicted"]
    return PicturePrediction(
        number=number,
        name=name,
        label=classes[row["label"]],
        predicted=predicted,
        probability=float(row["probability"]),
        label_probability=float(row["label_probability"]),
        wrong=bool(wrong),
        corrections=_corrections(record.request["dataset"], number, predicted) if wrong else (),
    )


def _corrections(dataset: str, number: int, predicted: str) -> tuple[CorrectionCall, ...]:
    url = f"/v1/datasets/{quote(dataset)}/images/{number}"
    return (
        CorrectionCall(summary=f"label it {predicted!r}", method="PATCH", url=url, body={"label": predicted}),
        CorrectionCall(summary="leave it out", method="PATCH", url=url, body={"excluded": True}),
    )


def _evaluation(record: JobRecord) -> dict[str, Any]:
    return {
        **_shared(record),
        "model_id": record.request["model"],
        "dataset": record.request["dataset"],
        "dataset_images": record.request["dataset_images"],
        "dataset_revision": record.request.get("dataset_revision", 0),
        "split": record.request["split"],
        "warnings": record.request.get("warnings", []),
        "progress": EvaluationProgress(**_fields(EvaluationProgress, record.progress)),
        "metrics": EvaluationMetrics(**record.metrics) if record.metrics else None,
    }


def batch_prediction(record: JobRecord) -> BatchPrediction:
    """Show a record."""
    request = record.request
    progress = {"of": request["images"]} | _fields(BatchProgress, record.progress)
    return BatchPrediction(
        **_shared(record),
        model_id=request["model"],
        top_k=request["top_k"],
        filename=request["filename"],
        progress=BatchProgress(**progress),
    )


def _shared(record: JobRecord) -> dict[str, Any]:
    """Return what the answers about all jobs have."""
    error = JobError(**record.error) if record.error else None
    return {"error": error, **{name: getattr(record, name) for name in _SHARED}}


def _webhook(record: JobRecord, delivery: DeliveryRecord | None) -> Webhook | None:
    if record.webhook_url is None:
        return None
    if delivery is None:
        return Webhook(url=record.webhook_url, status="pending")
    return Webhook.model_validate(
        {
            "url": delivery.url,
            "status": delivery.status,
            "attempts": delivery.attempts,
            "last_error": delivery.error,
        }
    )


def _fields(kind: type[Body], values: Json) -> Json:
    """Return the values that a type has a field for: a worker may be of another version than this server."""
    fields = kind.model_fields
    return {key: value for key, value in values.items() if key in fields}
