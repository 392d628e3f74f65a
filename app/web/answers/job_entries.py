"""Jobs of each kind that has a list, as that list shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel

from app.api.training_jobs import TrainingJob, TrainingJobEntry
from app.jobs.forecast import Place, places
from app.jobs.kinds import BATCH_PREDICTION, EVALUATION, TRAINING
from app.services import Services
from app.states import JobStatus
from app.store.records import DeliveryRecord, JobRecord
from app.web.answers.evaluations import evaluation
from app.web.answers.jobs import batch_prediction, training_job, training_job_entry

Show = Callable[[JobRecord], BaseModel]
Entries = Callable[[Services, Sequence[JobRecord]], Show]
"""Returns what shows jobs of a kind, given those that are shown together; it reads what else is needed for them."""


def _training_entries(
    services: Services, records: Sequence[JobRecord]
) -> Callable[[JobRecord], TrainingJobEntry]:
    """Return what shows jobs with their places if they wait, and what became of their webhooks."""
    places, found = _around(services, records)
    retention = services.settings.checkpoint_retention
    return lambda record: training_job_entry(record, retention, places.get(record.id), found.get(record.id))


def whole_training_job(services: Services, record: JobRecord) -> TrainingJob:
    """Show one job with all that belongs to it."""
    places, found = _around(services, [record])
    retention = services.settings.checkpoint_retention
    return training_job(record, retention, places.get(record.id), found.get(record.id))


def training_places(
    services: Services, shown: Sequence[JobRecord], new: JobRecord | None = None
) -> dict[str, Place]:
    """Return the places of the training jobs that are shown, if they wait; one that is new comes last."""
    line = services.store.queues.state(TRAINING.name, shown, new)
    return places(line, services.settings.max_jobs)


def _around(
    services: Services, records: Sequence[JobRecord]
) -> tuple[dict[str, Place], dict[str, DeliveryRecord]]:
    """Return by their ids the places of the jobs that wait, and the messages of those that have a webhook."""
    waiting = any(record.status is JobStatus.QUEUED for record in records)
    return training_places(services, records) if waiting else {}, messages(services, records)


def messages(services: Services, records: Sequence[JobRecord]) -> dict[str, DeliveryRecord]:
    """Return by the ids of jobs the messages of those that have a webhook."""
    hooked = [record.id for record in records if record.webhook_url is not None]
    return services.store.deliveries.of(hooked) if hooked else {}


def _entries(show: Callable[[JobRecord, DeliveryRecord | None], BaseModel]) -> Entries:
    """Return what shows jobs of which no more is to be read than the messages of their ends."""

    def entries(services: Services, records: Sequence[JobRecord]) -> Show:
        found = messages(services, records)
        return lambda record: show(record, found.get(record.id))

    return entries


ENTRIES: Mapping[str, Entries] = {
    TRAINING.name: _training_entries,
    EVALUATION.name: _entries(evaluation),
    BATCH_PREDICTION.name: _entries(batch_prediction),
}
"""By the names of kinds; the jobs that fill data sets have no list."""
