"""From what a caller asks to evaluate to a complete job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.api.requests.evaluations import EvaluationCreate
from app.errors import Invalid
from app.files.artifacts import Artifacts
from app.jobs.accept.announcing import webhook_url
from app.jobs.accept.growth import growth_warnings
from app.jobs.accept.references import PUT_BACK, being_filled, find_dataset, find_model
from app.jobs.evaluated import looked_at
from app.jobs.kinds import EVALUATION
from app.jobs.requests import EvaluationRequest, read_request
from app.models.matching import check_match, check_pictures, differences
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, ModelRecord


def new_evaluation(request: EvaluationCreate, store: Store, settings: Settings) -> JobRecord:
    """Make the job for a request; one that waits if its data set is still being filled.

    Raises:
        Invalid: there is no such model or data set, or they do not match.
        Conflict: the data set has failed.
    """
    model = find_model(request.model, store, "model")
    dataset = find_dataset(request.dataset, store, filling=True)
    job_id = EVALUATION.new_id()
    url = webhook_url(request.webhook, settings)
    if not being_filled(dataset):
        return replace(_complete(request, job_id, model, dataset, store, settings), webhook_url=url)
    _check(check_pictures, model, dataset)
    asked = request.model_copy(update={"model": model.id, "dataset": dataset.id})
    return JobRecord(
        job_id,
        EVALUATION.name,
        asked.model_dump(mode="json", exclude={"webhook"}),
        dataset_id=dataset.id,
        model_id=model.id,
        webhook_url=url,
        waits_for=dataset.id,
    )


def decide(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings) -> JobRecord:
    """Return a job that has waited for its data set, complete.

    Raises:
        Invalid, Conflict: as `new_evaluation` does.
    """
    request = read_request(EvaluationCreate, job)
    model = find_model(request.model, store, "model")
    return _complete(request, job.id, model, find_dataset(request.dataset, store), store, settings)


def _complete(
    request: EvaluationCreate,
    job_id: str,
    model: ModelRecord,
    dataset: DatasetRecord,
    store: Store,
    settings: Settings,
) -> JobRecord:
    _check(check_match, model, dataset)
    if not dataset.splits[request.split]:
        detail = f"the {request.split} split of data set {dataset.id!r} has no pictures to judge by"
        others = [name for name, count in dataset.splits.items() if count]
        hint = f"take another one: {', '.join(others)}" if others else PUT_BACK
        raise Invalid.at("split", detail, hint)
    looks_at = sum(
        looked_at(count, is_chosen=name == request.split) for name, count in dataset.splits.items()
    )
    accepted = EvaluationRequest(
        model=model.id,
        dataset=dataset.id,
        dataset_images=dataset.images,
        dataset_revision=dataset.revision,
        split=request.split,
        part_images=settings.evaluation_parts_of(looks_at),
        warnings=(
            *differences(model, dataset),
            *growth_warnings(dataset, dataset.images, dataset.revision, store),
        ),
    )
    return EVALUATION.job(accepted, job_id, dataset_id=dataset.id, model_id=model.id)


def _check(
    check: Callable[[ModelRecord, DatasetRecord], None], model: ModelRecord, dataset: DatasetRecord
) -> None:
    """Run a check of a model against a data set, and say of a fault that it is in the data set."""
    try:
        check(model, dataset)
    except Invalid as error:
        hint = "take a data set like the one that it was trained on"
        raise Invalid.at("dataset", error.detail, hint) from None
