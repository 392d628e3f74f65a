"""Answers about architectures."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Body, JsonObject, Time
from engine.graph.costs import Summary


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


class ArchitectureAnswer(ArchitectureEntry):
    """A stored architecture with its shapes and costs."""

    summary: Summary
