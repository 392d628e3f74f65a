"""Answers about jobs of all kinds, from what is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from app.api.batch_predictions import BatchPrediction, BatchProgress
from app.api.common import Body
from app.api.jobs import JobError, WaitingFor
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
    request = record.request if record.waits_for is None else _asked(record.request)
    return {
        **shared(record, delivery),
        "progress": Progress(**fields(Progress, record.progress)),
        "metrics": epoch_figures(record.metrics) if record.metrics else None,
        "model_id": record.model_id,
        "builtin": record.builtin,
        "queue_position": None if place is None else place.position,
        "starts_in_seconds": None if place is None else place.starts_in_seconds,
        "memory_bytes": record.memory_bytes,
        "checkpoint_until": None if kept_since is None else kept_since + checkpoint_retention,
        **fields(kind, request),
    }


def _asked(request: Json) -> Json:
    """Return what is known of a job that waits, of which there is what its caller has sent, in the fields of others."""
    choice, model = request.get("architecture"), request.get("initial_weights")
    written, source = None, None
    if isinstance(choice, str):
        source = {"id": choice}
    elif choice is not None and "preset" in choice:
        source = {"preset": choice["preset"]}
    elif choice is not None:
        written = choice
    elif model is not None:
        source = {"model": model}
    return request | {"architecture": written, "architecture_source": source}


def epoch_figures(figures: Json) -> EpochFigures:
    """Show the figures of an epoch as a worker wrote them."""
    return EpochFigures(**fields(EpochFigures, figures))


def batch_prediction(record: JobRecord, delivery: DeliveryRecord | None = None) -> BatchPrediction:
    """Show a record, and the message of its end."""
    request = record.request
    progress = {"of": request["images"]} | fields(BatchProgress, record.progress)
    return BatchPrediction(
        **shared(record, delivery),
        model_id=request["model"],
        top_k=request["top_k"],
        filename=request["filename"],
        progress=BatchProgress(**progress),
    )


def _waiting_for(record: JobRecord) -> WaitingFor | None:
    """Return what a job waits for, None where that is only its turn."""
    if record.status.finished or (record.waits_for is None and record.waits_for_storage is None):
        return None
    return WaitingFor(dataset=record.waits_for, storage=record.waits_for_storage)


def shared(record: JobRecord, delivery: DeliveryRecord | None = None) -> dict[str, Any]:
    """Return what the answers about all jobs have, given the message of its end if there is one."""
    error = JobError(**record.error) if record.error else None
    return {
        "error": error,
        "waiting_for": _waiting_for(record),
        "webhook": _webhook(record, delivery),
        **{name: getattr(record, name) for name in _SHARED},
    }


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


def fields(kind: type[Body], values: Json) -> Json:
    """Return the values that a type has a field for: a worker may be of another version than this server."""
    fields = kind.model_fields
    return {key: value for key, value in values.items() if key in fields}
