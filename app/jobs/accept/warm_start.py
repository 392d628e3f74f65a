"""Jobs that start from existing weights: another job's last checkpoint, or a model.

What a job starts from is copied when it is accepted: the original may be deleted before it runs.
"""

from __future__ import annotations

import shutil

from app.api.requests.training_jobs import TrainingJobRequest
from app.datasets.records import options
from app.errors import Conflict, FieldError, Invalid, NotFound
from app.files import paths
from app.files.artifacts import Artifacts
from app.jobs.accept.announcing import webhook_url
from app.jobs.accept.architecture import read_architecture
from app.jobs.accept.growth import growth_warnings
from app.jobs.accept.memory_limit import check_stages
from app.jobs.accept.nodes import check_most, check_nodes
from app.jobs.accept.references import find_job
from app.jobs.kinds import TRAINING
from app.jobs.requests import TrainingRequest
from app.settings import Settings
from app.store import Store
from app.store.records import JobRecord, ModelRecord
from engine.errors import ShapeError
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
    "learning_rate_factors",
    "early_stopping",
    "select",
    "nodes",
)
"""What can be new in a job that goes on; the rest decides what its checkpoint means."""


def continued_job(
    request: TrainingJobRequest, reference: str, store: Store, artifacts: Artifacts, settings: Settings
) -> JobRecord:
    """Make the job that goes on from the last checkpoint of another one.

    Raises:
        Invalid: there is no such job, something is asked for that cannot change any more, or the memory does not
            suffice.
        Conflict: it is not finished, or there is no checkpoint of it.
    """
    source = _source(reference, store)
    checkpoint = source.checkpoint or {}
    given = request.model_fields_set - {"continue_from", "webhook"}
    fixed = sorted(given - set(CHANGEABLE))
    if fixed:
        hint = f"leave it out; these can be new: {', '.join(CHANGEABLE)}"
        raise Invalid.listing([FieldError.at(name, f"it is that of {source.id}", hint) for name in fixed])
    before = TrainingRequest.of(source)
    dataset = store.datasets.get(before.dataset)
    changes = {name: getattr(request, name) for name in given if getattr(request, name) is not None}
    changes |= {
        "epochs": checkpoint["epoch"] + request.epochs,
        "continue_from": source.id,
        "initial_weights": None,
        "chosen": (),
        "warnings": growth_warnings(
            dataset, before.dataset_images, before.dataset_revision, store, continued=source.id
        ),
    }
    accepted = before.model_copy(update=changes)
    (rules, slots), (old_rules, old_slots) = (
        (optimizer.rules(), set(optimizer.slots())) for optimizer in (accepted.optimizer, before.optimizer)
    )
    if rules != old_rules or slots != old_slots:
        detail = "another optimizer cannot go on with what this one has gathered"
        raise Invalid.at("optimizer", detail, "change its numbers, not its kind")
    network = Network.build(accepted.architecture, settings.max_parameters)
    height, width, channels = dataset.image_shape
    target = options(dataset).target
    check_config(network, accepted.config, (height, width, channels), len(dataset.classes), target)
    variants = accepted.variants if accepted.train is not None else None
    check_most(accepted.nodes, settings)
    memory, features = check_stages(network, accepted.stages, dataset, settings, variants, accepted.nodes)
    cached = bool(features) and features[0].cached
    accepted = accepted.model_copy(update={"features_cached": cached, "features": features})
    check_nodes(accepted, dataset, settings)
    job_id = TRAINING.new_id()
    try:
        _copy(checkpoint["name"], job_id, artifacts)
    except FileNotFoundError:
        raise _no_checkpoint(source, "its file is gone", store) from None
    # Pictures that came later do not change what an epoch is.
    per_epoch = source.progress.get("steps", 0) // before.epochs
    return TRAINING.job(
        accepted,
        job_id,
        progress={
            "stage": "queued",
            "epochs": accepted.epochs,
            "steps": per_epoch * accepted.epochs,
            "exact_resume": checkpoint.get("exact_resume", True),
        },
        dataset_id=dataset.id,
        memory_bytes=memory,
        webhook_url=webhook_url(request.webhook, settings),
    )


def copy_model(model: ModelRecord, network: Network, job_id: str, artifacts: Artifacts) -> None:
    """Give a job the file of the model that it starts from.

    Raises:
        Invalid: the file is gone.
        ShapeError: none of its weights fits.
    """
    existing = Network.build(read_architecture(model)).weight_specs
    specs = network.weight_specs
    if not any(name in existing and existing[name].shape == spec.shape for name, spec in specs.items()):
        raise ShapeError(
            "none of the model's weights has the name and shape of one of this network's",
            path=("initial_weights",),
            hint="begin with a model of a similar architecture",
        )
    try:
        _copy(model.path, job_id, artifacts)
    except FileNotFoundError:
        raise Invalid.at("initial_weights", "its file is gone", "choose another model") from None


def _source(reference: str, store: Store) -> JobRecord:
    source = find_job(reference, store)
    if not source.status.finished:
        detail = f"job {source.id!r} is {source.status}"
        raise Conflict.at("continue_from", detail, "wait for its end, or cancel it")
    if source.checkpoint is None:
        raise _no_checkpoint(source, f"job {source.id!r} has ended without a checkpoint", store)
    if "deleted_at" in source.checkpoint:
        day = str(source.checkpoint["deleted_at"])[:10]
        detail = (
            f"the checkpoint of job {source.id!r} was deleted on {day}, as it had been kept for long enough"
        )
        raise _no_checkpoint(source, detail, store)
    return source


def _no_checkpoint(source: JobRecord, detail: str, store: Store) -> Conflict:
    """Make the error for a job that cannot be continued, with advice that can be followed."""
    hint = "start a new job"
    if source.error is not None and source.error["code"] == "non_finite":
        hint = "start a new job with a smaller learning rate, or with `clip`"
    if source.model_id is not None:
        try:
            model = store.models.get(source.model_id)
        except NotFound:
            hint = "start a new job: its model is deleted, too"
        else:
            hint = f'start a new job from its model: "initial_weights": "{model.id}"'
    return Conflict.at("continue_from", detail, hint, code="no-checkpoint")


def _copy(name: str, job_id: str, artifacts: Artifacts) -> None:
    with artifacts.local_path(name).open("rb") as source:
        artifacts.write(paths.initial(job_id), lambda file: shutil.copyfileobj(source, file))
