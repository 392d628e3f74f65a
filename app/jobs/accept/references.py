"""Models and data sets that requests name, looked up; what is wrong with them is said where they are named."""

from __future__ import annotations

from app.errors import Conflict, Invalid, NotFound
from app.jobs.kinds import TRAINING
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, ModelRecord

PUT_BACK = "put some of the pictures back that are left out of it (`excluded`)"
"""What to do with a data set that has no pictures any more."""


def find_model(reference: str, store: Store, *place: str) -> ModelRecord:
    """Return the model that a field of a request names by id, name, `name@version` or `name@alias`.

    Raises:
        Invalid: there is none.
    """
    try:
        return store.models.find(reference)
    except NotFound as error:
        raise Invalid.at(place, error.detail, "list the models with GET /v1/models") from None


def find_job(reference: str, store: Store) -> JobRecord:
    """Return the training job that a request names in `continue_from`.

    Args:
        reference: its id; its name, which of several stands for the newest; or the model that it has made, by name and
            version or alias.
        store: where jobs and models are.

    Raises:
        Invalid: there is none.
    """
    hint = "list the jobs with GET /v1/training-jobs"
    try:
        job = store.jobs.find(reference)
    except NotFound as error:
        if "@" not in reference:
            raise Invalid.at("continue_from", error.detail, hint) from None
        model = find_model(reference, store, "continue_from")
        try:
            job = store.jobs.get(str(model.training_job_id))
        except NotFound:
            detail = f"there is no job (any more) that has made model {model.id!r}"
            hint = f'start a new one from the model: "initial_weights": "{model.id}"'
            raise Invalid.at("continue_from", detail, hint) from None
    if job.kind != TRAINING.name:
        raise Invalid.at("continue_from", f"{reference!r} is no training job", hint)
    return job


def find_dataset(reference: str, store: Store, *, filling: bool = False) -> DatasetRecord:
    """Return the data set that a request names in `dataset` by id or name.

    Args:
        reference: its id or name.
        store: where the data sets are.
        filling: whether one will do that is still being filled.

    Raises:
        Invalid: there is none.
        Conflict: it is not ready.
    """
    try:
        dataset = store.datasets.find(reference)
    except NotFound as error:
        raise Invalid.at("dataset", error.detail, "list the data sets with GET /v1/datasets") from None
    if dataset.status == "failed":
        reason = f": {dataset.error['message']}" if dataset.error else ""
        detail = f"data set {dataset.id!r} has failed{reason}"
        raise Conflict.at("dataset", detail, "upload it again", code="dataset-not-ready")
    if being_filled(dataset) and not filling:
        detail = f"the data set is {dataset.status}"
        hint = f"wait until GET /v1/datasets/{dataset.id} says ready"
        raise Conflict.at("dataset", detail, hint, code="dataset-not-ready")
    return dataset


def being_filled(dataset: DatasetRecord) -> bool:
    """Tell whether the pictures of a data set are still to come."""
    return dataset.status == "ingesting"


def shape_of(dataset: DatasetRecord) -> tuple[int, int, int]:
    """Return [height, width, channels] of a data set's pictures."""
    height, width, channels = dataset.image_shape
    return height, width, channels
