"""Training jobs on a data set that is still being filled: what can be known is checked at once, the rest waits.

Of such a data set it is known how its pictures are shaped and what is said of them, but neither which classes there are
nor how many pictures.
"""

from __future__ import annotations

from app.api.requests.training_jobs import TrainingJobRequest
from app.datasets.records import options
from app.jobs.accept import rules
from app.jobs.accept.announcing import webhook_url
from app.jobs.accept.architecture import resolve
from app.jobs.accept.references import find_model, shape_of
from app.jobs.accept.transfer import check_transfer
from app.jobs.kinds import TRAINING
from app.settings import Settings
from app.store import Store
from app.store.records import DatasetRecord, JobRecord, Json
from engine.errors import EngineError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.training.loop import TrainingConfig, check_config, check_shape
from engine.training.normalised import check_layers


def waiting_job(
    request: TrainingJobRequest, dataset: DatasetRecord, store: Store, settings: Settings
) -> JobRecord:
    """Make the job for a request that waits until its data set is ready.

    Raises:
        Invalid: there is no such model, preset or stored architecture, or the pictures do not fit the model.
        EngineError: the network cannot be built, is too large, or does not take the pictures.
    """
    changes: Json = {"dataset": dataset.id, "name": request.name or dataset.name}
    if request.initial_weights is not None:
        model = find_model(request.initial_weights, store, "initial_weights")
        changes["initial_weights"] = model.id
        if request.architecture is None:
            check_transfer(request, model, shape_of(dataset))
    if request.architecture is not None:
        source = _check_network(request, dataset, store, settings)
        if isinstance(request.architecture, str):
            changes["architecture"] = (source or {})["id"]
    return JobRecord(
        TRAINING.new_id(),
        TRAINING.name,
        _document(request.model_copy(update=changes)),
        progress={"stage": "waiting"},
        dataset_id=dataset.id,
        webhook_url=webhook_url(request.webhook, settings),
        waits_for=dataset.id,
    )


def _check_network(
    request: TrainingJobRequest, dataset: DatasetRecord, store: Store, settings: Settings
) -> Json | None:
    """Check an architecture that is given, and what is said about its layers; return where it comes from."""
    shape, target = shape_of(dataset), options(dataset).target
    choice = request.architecture
    if choice is None:
        raise AssertionError("no architecture is given")
    # One class is the least that there can be: no network is refused that would be small enough.
    resolved = resolve(choice, ("architecture",), store, input_shape=shape, classes=1)
    config = request.config()
    if request.defaults == "auto" and "loss" not in request.model_fields_set:
        config["loss"], _ = rules.loss(target, [0])
    try:
        network = Network.build(resolved.architecture, settings.max_parameters)
        check_shape(network, shape)
        check_layers(network)
    except EngineError as error:
        raise resolved.fault(error) from None
    check_config(network, TrainingConfig(**config), shape, None, target)
    return resolved.source


def _document(request: TrainingJobRequest) -> Json:
    """Return what is kept of a request until its job is decided: what is given, and what cannot be chosen otherwise."""
    kept = request.model_fields_set - {"webhook"}
    if request.architecture is not None and request.defaults == "fixed":
        kept |= set(TrainingConfig.model_fields)
    document = request.model_dump(mode="json", include=kept, serialize_as_any=True)
    if isinstance(request.architecture, Architecture):
        document["architecture"] = request.architecture.document()
    return document
