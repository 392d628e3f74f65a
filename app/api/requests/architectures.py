"""Bodies of requests about architectures."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Name
from engine.graph.architecture import Architecture


class ArchitectureRequest(Architecture):
    """An architecture to keep, under a name."""

    name: Name = Field(examples=["my-lenet"])
    """A name for people; it need not be unique."""

    def architecture(self) -> Architecture:
        """Return it without its name."""
        return Architecture(
            format_version=self.format_version, input_shape=self.input_shape, layers=self.layers
        )
