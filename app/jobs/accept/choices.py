"""What a request for training leaves open, filled in by the rules, with the reasons."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

from app.api.choices import Choice
from app.api.requests.architectures import PresetChoice
from app.api.requests.training_jobs import TrainingJobRequest
from app.datasets.records import options
from app.errors import NotFound
from app.ids import PRETRAINED
from app.jobs.accept import rules
from app.jobs.accept.references import shape_of
from app.store import Store
from app.store.records import DatasetRecord
from engine.recipe.losses import Loss
from engine.recipe.schedules import Cosine

T = TypeVar("T")

TRANSFER_FIELDS = ("train", "head_epochs", "variants")
"""What a request says about the network of a model, and of no other."""
COSINE = "large steps find the way, and small ones at the end settle"


class Open:
    """What a request leaves open, and what is chosen for it."""

    def __init__(self, request: BaseModel) -> None:
        self._request = request
        self._chosen: list[Choice] = []

    @property
    def chosen(self) -> tuple[Choice, ...]:
        """The choices so far."""
        return tuple(self._chosen)

    def choose(self, field: str, value: T, reason: str) -> T:
        """Return a value for a field of the request, or what the request says of it."""
        if field in self._request.model_fields_set:
            given: T = getattr(self._request, field)
            return given
        return self.note(field, value, reason)

    def note(self, field: str, value: T, reason: str) -> T:
        """Note a choice, and return it."""
        self._chosen.append(Choice(field=field, value=_document(value), reason=reason))
        return value


def with_choices(
    request: TrainingJobRequest, dataset: DatasetRecord, store: Store
) -> tuple[TrainingJobRequest, tuple[Choice, ...]]:
    """Return a request in which what follows from the data is filled in, and what that is.

    A request that names neither architecture nor model is given one of them; one that has an architecture and asks
    for it is given what fits the data. What the head of a model's network needs is left to `transferred`.
    """
    left = Open(request)
    transfer = request.initial_weights is not None
    changes: dict[str, Any] = {}
    if request.architecture is None and not transfer:
        transfer = _start(left, changes, dataset, store)
    elif request.defaults != "auto":
        return request, ()
    target, shape, pictures = options(dataset).target, shape_of(dataset), dataset.splits["train"]
    if target != "values":
        reason = "means over three epochs, so that no lucky one of a small dev set is taken; of equals the lower loss"
        changes["select"] = left.choose("select", "accuracy", reason)
    if request.architecture is not None or not transfer:
        size = left.choose(
            "batch_size", *rules.batch_size(pictures, rules.NETWORK_BATCHES_PER_EPOCH, rules.NETWORK_BATCHES)
        )
        changes["batch_size"] = size
        number = rules.epochs(pictures, size, rules.NETWORK_STEPS, rules.NETWORK_EPOCHS)
        changes["epochs"] = left.choose("epochs", *number)
        changes["schedule"] = left.choose("schedule", Cosine(), COSINE)
        changes["loss"] = left.choose("loss", *dataset_loss(dataset))
        changes["augmentations"] = left.choose("augmentations", *rules.augmentations(shape, target))
    return request.model_copy(update=changes), left.chosen


def _start(left: Open, changes: dict[str, Any], dataset: DatasetRecord, store: Store) -> bool:
    """Choose what network learns, and tell whether it is one that is trained already."""
    shape = shape_of(dataset)
    reason = rules.transfer_reason(shape, dataset.splits["train"])
    if reason is not None and _pretrained(store):
        changes["initial_weights"] = left.note("initial_weights", PRETRAINED, reason)
        return True
    name, reason = rules.preset(shape)
    changes["architecture"] = left.note("architecture", PresetChoice(preset=name), reason)
    return False


def _pretrained(store: Store) -> bool:
    try:
        store.models.find(PRETRAINED)
    except NotFound:  # CONVSERVE_BUILTIN_MODELS is false
        return False
    return True


def dataset_loss(dataset: DatasetRecord) -> tuple[Loss, str]:
    """Return the loss for what a data set says of its pictures, and why."""
    counts = [int(entry["images"]) for entry in dataset.classes]
    return rules.loss(options(dataset).target, counts)


def _document(value: object) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return [_document(each) for each in value] if isinstance(value, tuple) else value
