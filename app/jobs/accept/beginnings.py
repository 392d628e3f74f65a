"""Jobs that begin with what there is: another job's last checkpoint, or the weights of a model.

What a job begins with is copied when it is accepted: the original may be deleted before it starts.
"""

from __future__ import annotations

import shutil

from app.api.requests.training_jobs import TrainingJobRequest
from app.datasets.options import DatasetOptions
from app.errors import Conflict, FieldError, Invalid, NotFound
from app.files import paths
from app.jobs.accept.memory_limit import check_memory
from app.jobs.kinds import TRAINING
from app.jobs.requests import TrainingRequest
from app.services import Services
from app.store.records import JobRecord
from engine.errors import ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.training.loop import check_config

CHANGEABLE = (
    "name",
    "description",
    "tags",
    "epochs",
    "optimizer",
    "schedule",
    "augmentations",
    "clip",
    "early_stopping",
    "select",
)
"""What can be new in a job that goes on; the rest decides what its checkpoint means."""


def continued_job(request: TrainingJobRequest, source_id: str, services: Services) -> JobRecord:
    """Make the job that goes on from the last checkpoint of another one.

    Raises:
        Invalid: there is no such job, something is asked for that cannot change any more, or the memory does not
            suffice.
        Conflict: it is not finished, or has left no checkpoint.
    """
    source = _source(source_id, services)
    checkpoint = source.checkpoint or {}
    given = request.model_fields_set - {"continue_from", "webhook"}
    fixed = sorted(given - set(CHANGEABLE))
    if fixed:
        hint = f"leave it out; these can be new: {', '.join(CHANGEABLE)}"
        raise Invalid.listing([FieldError.at(name, f"it is that of {source.id}", hint) for name in fixed])
    before = TrainingRequest.model_validate(source.request)
    changes = {name: getattr(request, name) for name in given if getattr(request, name) is not None}
    changes |= {"epochs": checkpoint["epoch"] + request.epochs, "continue_from": source.id}
    accepted = before.model_copy(update=changes | {"initial_weights": None})
    if accepted.optimizer.type != before.optimizer.type or set(accepted.optimizer.slots()) != set(
        before.optimizer.slots()
    ):
        detail = "another optimizer cannot go on with what this one has gathered"
        raise Invalid.at("optimizer", detail, "change its numbers, not its kind")
    dataset = services.store.datasets.get(accepted.dataset)
    network = Network.build(accepted.architecture, services.settings.max_parameters)
    height, width, channels = dataset.image_shape
    target = DatasetOptions.model_validate(dataset.options).target
    check_config(network, accepted.config, (height, width, channels), len(dataset.classes), target)
    memory = check_memory(network, accepted.config, dataset, services.settings)
    job_id = TRAINING.new_id()
    _copy(checkpoint["name"], job_id, services, "continue_from")
    # Pictures that came later do not change what an epoch is.
    per_epoch = source.progress.get("steps", 0) // before.epochs
    return TRAINING.job(
        accepted,
        job_id,
        progress={"stage": "queued", "epochs": accepted.epochs, "steps": per_epoch * accepted.epochs},
        dataset_id=dataset.id,
        memory_bytes=memory,
        webhook_url=None if request.webhook is None else request.webhook.url,
    )


def copy_model(model_id: str, network: Network, job_id: str, services: Services) -> None:
    """Give a job the model whose weights it begins with.

    Raises:
        Invalid: there is no such model.
        ShapeError: none of its weights fits.
    """
    try:
        record = services.store.models.get(model_id)
    except NotFound as error:
        raise Invalid.at("initial_weights", error.detail, "list the models with GET /v1/models") from None
    known = Network.build(Architecture.model_validate(record.architecture)).weight_specs
    specs = network.weight_specs
    if not any(name in known and known[name].shape == spec.shape for name, spec in specs.items()):
        raise ShapeError(
            "none of the model's weights has the name and shape of one of this network's",
            path=("initial_weights",),
            hint="begin with a model of a similar architecture",
        )
    _copy(record.path, job_id, services, "initial_weights")


def _source(source_id: str, services: Services) -> JobRecord:
    hint = "list the jobs with GET /v1/training-jobs"
    try:
        source = services.store.jobs.get(source_id)
    except NotFound as error:
        raise Invalid.at("continue_from", error.detail, hint) from None
    if source.kind != TRAINING.name:
        raise Invalid.at("continue_from", f"{source_id!r} is no training job", hint)
    if not source.status.finished:
        raise Conflict.at(
            "continue_from", f"job {source_id!r} is {source.status}", "wait for its end, or cancel it"
        )
    if source.checkpoint is None:
        raise Conflict.at(
            "continue_from", f"job {source_id!r} has no checkpoint", "begin with its model: `initial_weights`"
        )
    return source


def _copy(name: str, job_id: str, services: Services, field: str) -> None:
    try:
        with services.artifacts.local_path(name).open("rb") as source:
            services.artifacts.write(paths.initial(job_id), lambda file: shutil.copyfileobj(source, file))
    except FileNotFoundError:
        raise Invalid.at(field, "its file is gone", "choose another one") from None
