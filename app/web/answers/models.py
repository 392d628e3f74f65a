"""Answers about models and predictions, from what is stored and computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic_core import to_json

from app.api.common import JsonObject
from app.api.models import Alias, Model, ModelEntry, Prediction
from app.errors import DomainError, FieldError
from app.models.prediction import Picture, best, picture_spec
from app.serving.asked import Outcome
from app.store.records import AliasRecord, ModelRecord
from engine.arrays import Array
from engine.recipe.targets import THRESHOLD

if TYPE_CHECKING:
    from engine.model.computation import Library


def model_entry(record: ModelRecord) -> ModelEntry:
    """Show a record in a list."""
    return ModelEntry(**_entry(record))


def model(record: ModelRecord, provenance: JsonObject | None, library: Library | None = None) -> Model:
    """Show a record, what its file says about its making, and what computes it if it is in memory."""
    return Model(
        **_entry(record), architecture=record.architecture, computed_by=library, provenance=provenance
    )


def _entry(record: ModelRecord) -> dict[str, Any]:
    # a record of an earlier version may leave out what has a default since
    picture = picture_spec(record).model_dump(mode="json")
    preprocessing = record.preprocessing | {"picture": picture}
    computed = {"tags": record.tags or [], "preprocessing": preprocessing}
    stored = {name: getattr(record, name) for name in ModelEntry.model_fields if name not in computed}
    return stored | computed


def alias(record: AliasRecord) -> Alias:
    """Show a record."""
    return Alias(**{name: getattr(record, name) for name in Alias.model_fields})


def predictions(
    record: ModelRecord,
    pictures: Sequence[Picture],
    outcomes: Sequence[Outcome],
    top_k: int,
    threshold: float | None,
    *,
    report: bool,
) -> bytes:
    """Write what a model sees in pictures as JSON: the answer of `predict`.

    Raises:
        DomainError: one of them could not be looked at, and is not to be reported in its place.
    """
    data = []
    for picture, row in zip(pictures, outcomes, strict=True):
        if not isinstance(row, DomainError):
            data.append(_seen(record, row, picture.filename, top_k, threshold))
        elif report:
            data.append(_ENTRY | {"filename": picture.filename, "error": _fault(row)})
        else:
            raise row
    # what is written here is no model made of models, which would take longer than the network: a test compares them
    return to_json({"model_id": record.id, "data": data}, inf_nan_mode="null")


_ENTRY: dict[str, Any] = dict.fromkeys(Prediction.model_fields) | {"top": []}


def _seen(
    record: ModelRecord, row: Array, filename: str | None, top_k: int, threshold: float | None
) -> dict[str, Any]:
    """Write a `Prediction` of what the predictions (K,) of a model for a picture mean."""
    entry = _ENTRY | {"filename": filename}
    if record.target == "values":
        named = zip(record.classes, row.tolist(), strict=True)
        entry["values"] = [{"name": name, "value": value} for name, value in named]
        return entry
    enough = THRESHOLD if threshold is None else threshold
    count = top_k
    if record.target == "labels":
        count = max(count, int(np.count_nonzero(row.astype(np.float64) >= enough)))
    ranked: list[dict[str, Any]] = [
        {"label": record.classes[index], "class_index": index, "probability": float(row[index])}
        for index in best(row, count)
    ]
    entry["top"] = ranked[:top_k]
    if record.target == "labels":
        entry["labels"] = [found for found in ranked if found["probability"] >= enough]
        return entry
    return entry | ranked[0]


def _fault(error: DomainError) -> dict[str, Any]:
    """Write a `FieldProblem`."""
    return asdict(error.errors[0] if error.errors else FieldError(error.detail))
