"""From what a caller asks to train to a complete job: everything looked up, fitted and checked."""

from __future__ import annotations

from typing import Any

from app.api.requests.training_jobs import TrainingJobRequest
from app.datasets.records import options
from app.errors import Invalid
from app.files.artifacts import Artifacts
from app.jobs.accept import rules
from app.jobs.accept.announcing import webhook_url
from app.jobs.accept.architecture import resolve
from app.jobs.accept.choices import TRANSFER_FIELDS, with_choices
from app.jobs.accept.early import waiting_job
from app.jobs.accept.growth import growth_warnings
from app.jobs.accept.memory_limit import check_stages
from app.jobs.accept.nodes import check_most, check_nodes
from app.jobs.accept.references import PUT_BACK, being_filled, find_dataset, find_model, shape_of
from app.jobs.accept.transfer import Wish, transferred
from app.jobs.accept.warm_start import continued_job, copy_model
from app.jobs.kinds import TRAINING
from app.jobs.requests import TrainingRequest, read_request
from app.models.provenance import provenance
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, ModelRecord
from engine.errors import EngineError
from engine.graph.network import Network
from engine.training.loop import TrainingConfig, check_config, check_fit, steps_per_epoch
from engine.training.normalised import check_batches, check_layers

_KEY = "architecture"


def new_job(request: TrainingJobRequest, store: Store, artifacts: Artifacts, settings: Settings) -> JobRecord:
    """Make the job for a request; one that waits if its data set is still being filled.

    Raises:
        Invalid: there is no such data set, preset or stored architecture; the memory does not suffice; or there is a
            webhook and no secret.
        Conflict: the data set has failed.
        EngineError: the network cannot be built, is too large, or does not fit the data set.
    """
    webhook_url(request.webhook, settings)
    if request.continue_from is not None:
        return continued_job(request, request.continue_from, store, artifacts, settings)
    if request.dataset is None:
        raise Invalid.at(
            "dataset", "this key is required", 'add "dataset", or "continue_from" with the id of a job'
        )
    _check_transfer_fields(request)
    check_most(request.nodes, settings)
    dataset = find_dataset(request.dataset, store, filling=True)
    if being_filled(dataset):
        return waiting_job(request, dataset, store, settings)
    return _complete(request, TRAINING.new_id(), dataset, store, artifacts, settings)


def decide(job: JobRecord, store: Store, artifacts: Artifacts, settings: Settings) -> JobRecord:
    """Return a job that has waited for its data set, complete.

    Raises:
        Invalid, Conflict, EngineError: as `new_job` does.
    """
    request = read_request(TrainingJobRequest, job)
    dataset = find_dataset(str(request.dataset), store)
    return _complete(request, job.id, dataset, store, artifacts, settings)


def _complete(
    request: TrainingJobRequest,
    job_id: str,
    dataset: DatasetRecord,
    store: Store,
    artifacts: Artifacts,
    settings: Settings,
) -> JobRecord:
    """Return the job for a request and a data set that is ready: everything chosen and checked."""
    if not dataset.splits["train"]:
        detail = "the data set has no pictures to train on"
        excluded = dataset.images > sum(dataset.splits.values())
        hint = PUT_BACK if excluded else "give its train split a larger share"
        raise Invalid.at("dataset", detail, hint)
    request, chosen = with_choices(request, dataset, store)
    reference = request.initial_weights
    model = None if reference is None else find_model(reference, store, "initial_weights")
    wish = _wish(request, model, dataset, store)
    resolved, config, shape = wish.resolved, wish.config, shape_of(dataset)
    fitting = (shape, len(dataset.classes), options(dataset).target)
    try:
        network = Network.build(resolved.architecture, settings.max_parameters)
        check_fit(network, config, *fitting)
        check_layers(network)
    except EngineError as error:
        raise resolved.fault(error) from None
    steps = steps_per_epoch(config, dataset.splits["train"]) * config.epochs
    warning = rules.few_steps(steps)
    few_steps = () if warning is None else (warning,)
    accepted = TrainingRequest(
        **dict(config),
        name=request.name or dataset.name,
        description=request.description,
        tags=request.tags,
        **_initial(model, artifacts),
        train=wish.train,
        head_epochs=wish.head_epochs,
        head_freeze=wish.head_freeze,
        variants=wish.variants,
        architecture=resolved.architecture,
        architecture_source=resolved.source,
        dataset=dataset.id,
        dataset_images=dataset.images,
        dataset_revision=dataset.revision,
        nodes=request.nodes,
        warnings=(
            *growth_warnings(dataset, dataset.images, dataset.revision, store),
            *wish.warnings,
            *few_steps,
        ),
        chosen=(*chosen, *wish.chosen),
    )
    for stage in accepted.stages:
        check_config(network, stage, *fitting)
        check_batches(network, stage, dataset.splits["train"])
    transfer = wish.train is not None
    variants = accepted.variants if transfer else None
    memory, features = check_stages(network, accepted.stages, dataset, settings, variants, accepted.nodes)
    cached = bool(features) and features[0].cached
    accepted = accepted.model_copy(update={"features_cached": cached, "features": features})
    check_nodes(accepted, dataset, settings)
    if model is not None:
        copy_model(model, network, job_id, artifacts)
    return TRAINING.job(
        accepted,
        job_id,
        progress={
            "stage": "queued",
            "epochs": config.epochs,
            "steps": steps,
        },
        dataset_id=dataset.id,
        memory_bytes=memory,
        webhook_url=webhook_url(request.webhook, settings),
    )


def _wish(
    request: TrainingJobRequest, model: ModelRecord | None, dataset: DatasetRecord, store: Store
) -> Wish:
    """Return which network is trained, and how.

    Raises:
        Invalid: it cannot be had.
    """
    if request.architecture is not None:
        shape, classes = shape_of(dataset), len(dataset.classes)
        resolved = resolve(request.architecture, (_KEY,), store, input_shape=shape, classes=classes)
        return Wish(resolved, TrainingConfig(**request.config()))
    if model is None:
        raise AssertionError("a request without an architecture is given one, or a model")
    return transferred(request, model, dataset)


def _check_transfer_fields(request: TrainingJobRequest) -> None:
    """Refuse what is said about the network of a model where it is not one that is trained.

    Raises:
        Invalid: there is an architecture, or no model.
    """
    given = next((name for name in TRANSFER_FIELDS if getattr(request, name) is not None), None)
    if given is None:
        return
    if request.architecture is not None:
        hint = "leave `architecture` out, or say what is not trained with `freeze`"
        raise Invalid.at(given, "it is about the network of a model, and an architecture is given", hint)
    if request.initial_weights is None:
        raise Invalid.at("initial_weights", f"this key is required with `{given}`", "name a model")


def _initial(model: ModelRecord | None, artifacts: Artifacts) -> dict[str, Any]:
    """Return what a job notes of the model that it begins with; the model may be gone when it runs."""
    if model is None:
        return {}
    made = provenance(artifacts, model) or {}
    return {
        "initial_weights": model.id,
        "initial_model": f"{model.name}@{model.version}",
        "origin": made.get("origin"),
    }
