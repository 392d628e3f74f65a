"""Answers about models and predictions, from what is stored and computed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.api.common import JsonObject
from app.api.models import Alias, Candidate, Model, ModelEntry, Prediction
from app.models.prediction import Seen, picture_spec
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


def prediction(filename: str | None, seen: Seen) -> Prediction:
    """Show what was found in a picture."""
    found = asdict(seen)
    of_class = seen.labels is None and seen.values is None
    best = found["top"][0] if of_class else dict.fromkeys(Candidate.model_fields)
    return Prediction(**best, filename=filename, **found)
