"""Bodies of architectures."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from app.api.common import Body, JsonObject, Name, Time
from app.store.records import ArchitectureRecord
from engine.graph.architecture import Architecture
from engine.graph.summary import Summary


class ArchitectureRequest(Architecture):
    """An architecture to keep, under a name."""

    name: Name = Field(examples=["my-lenet"])
    """A name for people; it need not be unique."""

    def architecture(self) -> Architecture:
        """Return it without its name."""
        return Architecture(
            format_version=self.format_version, input_shape=self.input_shape, layers=self.layers
        )


class ArchitectureEntry(Body):
    """A stored architecture."""

    id: str = Field(examples=["arch_example"])
    name: str
    format_version: int
    input_shape: list[int]
    """[height, width, channels] of the pictures."""
    layers: list[JsonObject]
    """The layers, with every default written out."""
    created_at: Time
    builtin: bool
    """Whether it came with the server; then it cannot be deleted."""

    @classmethod
    def of(cls, record: ArchitectureRecord) -> Self:
        """Show a record."""
        return cls(
            id=record.id,
            name=record.name,
            **{key: record.architecture[key] for key in ("format_version", "input_shape", "layers")},
            created_at=record.created_at,
            builtin=record.builtin,
        )


class ArchitectureAnswer(ArchitectureEntry):
    """A stored architecture with its shapes and costs."""

    summary: Summary

    @classmethod
    def with_summary(cls, record: ArchitectureRecord, summary: Summary) -> Self:
        """Show a record and the summary of its network."""
        return cls(**dict(ArchitectureEntry.of(record)), summary=summary)
