"""The JSON-facing description of a network: an input shape and a list of layers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from engine.layers import AnyLayer
from engine.spec import ImageShape, Spec


class Architecture(Spec):
    """A network as its author writes it: layers in order, each fed by the one before unless it names `inputs`."""

    format_version: Literal[1] = 1
    """Version of this description; old ones stay readable."""
    input_shape: ImageShape
    """[height, width, channels] of the pictures."""
    layers: Annotated[tuple[AnyLayer, ...], Field(min_length=1, max_length=10_000)]
    """The layers, the last of which is the output."""

    def document(self) -> dict[str, Any]:
        """Return the description as JSON-ready data with every default written out."""
        return self.model_dump(mode="json")
