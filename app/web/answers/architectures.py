"""Answers about architectures, from what is stored."""

from __future__ import annotations

from app.api.architectures import ArchitectureAnswer, ArchitectureEntry
from app.store.records import ArchitectureRecord
from engine.graph.costs import Summary


def architecture_entry(record: ArchitectureRecord) -> ArchitectureEntry:
    """Show a record."""
    return ArchitectureEntry(
        id=record.id,
        name=record.name,
        **{key: record.architecture[key] for key in ("format_version", "input_shape", "layers")},
        created_at=record.created_at,
        builtin=record.builtin,
    )


def architecture(record: ArchitectureRecord, summary: Summary) -> ArchitectureAnswer:
    """Show a record and the summary of its network."""
    return ArchitectureAnswer(**dict(architecture_entry(record)), summary=summary)
