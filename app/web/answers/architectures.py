"""Answers about architectures, from what is stored."""

from __future__ import annotations

from typing import Any

from app.api.architectures import ArchitectureAnswer, ArchitectureEntry
from app.store.records import ArchitectureRecord
from engine.graph.costs import Summary


def architecture_entry(record: ArchitectureRecord) -> ArchitectureEntry:
    """Show a record in a list."""
    return ArchitectureEntry(**_entry(record))


def architecture(record: ArchitectureRecord, summary: Summary) -> ArchitectureAnswer:
    """Show a record and the summary of its network."""
    return ArchitectureAnswer(**_entry(record), layers=record.architecture["layers"], summary=summary)


def _entry(record: ArchitectureRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "format_version": record.architecture["format_version"],
        "input_shape": record.architecture["input_shape"],
        "created_at": record.created_at,
        "builtin": record.builtin,
    }
