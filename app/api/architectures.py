"""Answers about architectures."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.api.common import Body, JsonObject, Time
from engine.graph.compared import NetworkComparison
from engine.graph.costs import Summary, Totals

__all__ = [
    "ArchitectureAnswer",
    "ArchitectureComparison",
    "ArchitectureEntry",
    "ComparedArchitecture",
    "Summary",
]


class ArchitectureEntry(Body):
    """A stored architecture as lists show it."""

    id: str = Field(examples=["arch_example"])
    name: str
    format_version: int
    input_shape: list[int]
    """[height, width, channels] of the pictures."""
    created_at: Time
    builtin: bool
    """Whether it came with the server; then it cannot be deleted."""


class ArchitectureAnswer(ArchitectureEntry):
    """A stored architecture with its layers, their shapes and costs."""

    layers: list[JsonObject]
    """The layers, with every default written out."""
    summary: Summary

    def specification(self) -> dict[str, Any]:
        """Return it as it would be posted: `format_version`, `input_shape` and `layers`."""
        return self.model_dump(mode="json", include={"format_version", "input_shape", "layers"})


class ComparedArchitecture(Body):
    """One of two architectures that are compared."""

    name: str
    """Of the preset or the stored architecture; `network` where it was written out."""
    input_shape: list[int]
    output_shape: list[int]
    totals: Totals


class ArchitectureComparison(NetworkComparison):
    """Two architectures side by side, and how they differ."""

    architectures: tuple[ComparedArchitecture, ComparedArchitecture]
    """In the order in which they were given."""
