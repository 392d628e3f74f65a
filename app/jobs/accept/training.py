"""From what a caller asks to train to a complete job: everything looked up, fitted and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.api.requests.training_jobs import ArchitectureChoice, PresetChoice, TrainingJobRequest
from app.datasets.options import DatasetOptions
from app.errors import Conflict, Invalid, NotFound, readable
from app.files.artifacts import Artifacts
from app.jobs.accept.growth import growth_warnings
from app.jobs.accept.memory_limit import check_memory
from app.jobs.accept.warm_start import continued_job, copy_model, find_model
from app.jobs.kinds import TRAINING
from app.jobs.requests import TrainingRequest
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, JobRecord
from engine.errors import EngineError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.presets import PRESETS, find
from engine.training.loop import TrainingConfig, check_config, check_fit, steps_per_epoch
from engine.training.normalised import check_batches, check_layers

_KEY = "architecture"


@dataclass(frozen=True)
class _Resolved:
    """An architecture, and where it came from."""

    architecture: Architecture
    name: str
    source: dict[str, Any] | None = None

    def fault(self, error: EngineError) -> EngineError:
        """Return a fault of the architecture, seen from the caller's document."""
        if self.source is None:
            return error.within(_KEY)
        # The layer is in a document that the caller did not write: the place can only be given in words.
        place = f"{readable(error.path)}: " if error.path else ""
        return type(error)(f"{self.name}: {place}{error.detail}", path=(_KEY,), hint=error.hint)


def new_job(request: TrainingJobRequest, store: Store, artifacts: Artifacts, settings: Settings) -> JobRecord:
    """Make the job for a request.

    Raises:
        Invalid: there is no such data set, preset or stored architecture; the memory does not suffice; or there is a
            webhook and no secret.
        Conflict: the data set is not ready.
        EngineError: the network cannot be built, is too large, or does not fit the data set.
    """
    check_webhook(request, settings)
    if request.continue_from is not None:
        return continued_job(request, request.continue_from, store, artifacts, settings)
    if request.architecture is None or request.dataset is None:
        name = "architecture" if request.architecture is None else "dataset"
        hint = f'add "{name}", or "continue_from" with the id of a job'
        raise Invalid.at(name, "this key is required", hint)
    dataset = _dataset(request.dataset, store)
    resolved = _resolve(request.architecture, dataset, store)
    config = TrainingConfig(**request.config())
    fitting = (_shape(dataset), len(dataset.classes), DatasetOptions.model_validate(dataset.options).target)
    try:
        network = Network.build(resolved.architecture, settings.max_parameters)
        check_fit(network, config, *fitting)
        check_layers(network)
    except EngineError as error:
        raise resolved.fault(error) from None
    check_config(network, config, *fitting)
    check_batches(network, config, dataset.splits["train"])
    memory = check_memory(network, config, dataset, settings)
    model = None if request.initial_weights is None else find_model(request.initial_weights, store)
    accepted = TrainingRequest(
        **request.config(),
        name=request.name or resolved.name,
        description=request.description,
        tags=request.tags,
        initial_weights=None if model is None else model.id,
        architecture=resolved.architecture,
        architecture_source=resolved.source,
        dataset=dataset.id,
        dataset_images=dataset.images,
        warnings=growth_warnings(dataset, dataset.images, store),
    )
    job_id = TRAINING.new_id()
    if model is not None:
        copy_model(model, network, job_id, artifacts)
    return TRAINING.job(
        accepted,
        job_id,
        progress={
            "stage": "queued",
            "epochs": config.epochs,
            "steps": steps_per_epoch(config, dataset.splits["train"]) * config.epochs,
        },
        dataset_id=dataset.id,
        memory_bytes=memory,
        webhook_url=None if request.webhook is None else request.webhook.url,
    )


def check_webhook(request: TrainingJobRequest, settings: Settings) -> None:
    """Refuse a webhook that could not be signed.

    Raises:
        Invalid: there is one, and no secret.
    """
    if request.webhook is not None and settings.webhook_key is None:
        detail = "this server has no secret to sign webhooks with"
        hint = "the operator sets one in CONVSERVE_WEBHOOK_SECRET; or leave the webhook out and follow the events"
        raise Invalid.at("webhook", detail, hint, code="no-webhook-secret")


def _dataset(identifier: str, store: Store) -> DatasetRecord:
    try:
        dataset = store.datasets.get(identifier)
    except NotFound as error:
        raise Invalid.at("dataset", error.detail, "list the data sets with GET /v1/datasets") from None
    if dataset.status != "ready":
        detail = f"the data set is {dataset.status}"
        hint = f"wait until GET /v1/datasets/{dataset.id} says ready"
        if dataset.status == "failed":
            hint = f"GET /v1/datasets/{dataset.id} says why; upload it again"
        raise Conflict.at("dataset", detail, hint, code="dataset-not-ready")
    if not dataset.splits["train"]:
        raise Invalid.at(
            "dataset", "the data set has no pictures to train on", "give its train split a larger share"
        )
    return dataset


def _resolve(choice: ArchitectureChoice, dataset: DatasetRecord, store: Store) -> _Resolved:
    if isinstance(choice, PresetChoice):
        preset = find(choice.preset)
        if preset is None:
            hint = f"the presets are {', '.join(preset.name for preset in PRESETS)}"
            raise Invalid.at((_KEY, "preset"), f"there is no preset {choice.preset!r}", hint)
        architecture = preset.architecture(
            choice.input_shape or _shape(dataset), choice.classes or len(dataset.classes)
        )
        return _Resolved(architecture, preset.name, {"preset": preset.name})
    if isinstance(choice, str):
        try:
            record = store.architectures.get(choice)
        except NotFound as error:
            hint = "list the stored ones with GET /v1/architectures"
            if find(choice) is not None:
                hint = f'to use a preset write {{"preset": "{choice}"}}'
            raise Invalid.at(_KEY, error.detail, hint) from None
        stored = Architecture.model_validate(record.architecture)
        return _Resolved(stored, record.name, {"id": record.id})
    return _Resolved(choice, "network")


def _shape(dataset: DatasetRecord) -> tuple[int, int, int]:
    height, width, channels = dataset.image_shape
    return height, width, channels
