"""Answers about models and predictions, from what is stored and computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.api.common import FieldProblem, JsonObject
from app.api.models import Alias, Candidate, Model, ModelEntry, PredictedValue, Prediction, Predictions
from app.errors import DomainError, FieldError
from app.models.prediction import Candidate as SeenCandidate
from app.models.prediction import Picture, Seen, picture_spec, seen
from app.serving.asked import Outcome
from app.store.records import AliasRecord, ModelRecord


def model_entry(record: ModelRecord) -> ModelEntry:
    """Show a record in a list."""
    return ModelEntry(**_entry(record))


def model(record: ModelRecord, provenance: JsonObject | None) -> Model:
    """Show a record, and what its file says about its making."""
    return Model(**_entry(record), architecture=record.architecture, provenance=provenance)


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
        if isinstance(row, DomainError):
            if not report:
                raise row
            data.append(_failed(picture.filename, row))
            continue
        data.append(_prediction(picture.filename, seen(record, row, top_k, threshold)))
    return Predictions(model_id=record.id, data=data).model_dump_json().encode()


def _prediction(filename: str | None, found: Seen) -> Prediction:
    top = [_candidate(candidate) for candidate in found.top]
    labels = None if found.labels is None else [_candidate(candidate) for candidate in found.labels]
    values = found.values
    best = top[0] if labels is None and values is None else None
    return Prediction(
        label=best and best.label,
        class_index=best and best.class_index,
        probability=best and best.probability,
        filename=filename,
        top=top,
        labels=labels,
        values=None if values is None else [PredictedValue(name=one.name, value=one.value) for one in values],
    )


def _failed(filename: str | None, error: DomainError) -> Prediction:
    fields = error.errors or (FieldError(error.detail),)
    return Prediction(
        label=None,
        class_index=None,
        probability=None,
        filename=filename,
        top=[],
        error=FieldProblem(**asdict(fields[0])),
    )


def _candidate(found: SeenCandidate) -> Candidate:
    return Candidate(label=found.label, class_index=found.class_index, probability=found.probability)
