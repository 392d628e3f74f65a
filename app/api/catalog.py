"""Bodies of the catalog."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Body, JsonObject


class Part(Body):
    """Something to build or train with: a layer, an optimizer, a schedule or a loss."""

    name: str = Field(examples=["conv2d"])
    """What to write as `type`."""
    title: str
    """What it is, in a line."""
    description: str | None
    """The details."""
    formula: str | None
    """What it computes."""
    source: str | None
    """Where it was published."""
    hyperparameters: JsonObject
    """What can be set, as a JSON schema."""
    example: JsonObject
    """How it is written in a request."""


class LayerPart(Part):
    """A layer or a block of layers."""

    example_input_shapes: list[list[int]]
    """Shapes that the example accepts, one for each input."""


class PresetEntry(Body):
    """An architecture from the literature."""

    name: str = Field(examples=["lenet-5"])
    """What to write as `preset`."""
    title: str
    """What it is, in a line."""
    source: str
    """Where it was published."""
    input_shape: list[int]
    """[height, width, channels] of its pictures; those of a data set take precedence in training."""
    classes: int
    """The number of its outputs; in training that of the data set's classes takes precedence."""
    smallest_size: list[int]
    """[height, width] of the smallest pictures it takes; smaller ones have shrunk to nothing before its last layer."""
    architecture: JsonObject
    """The architecture, as it can be posted."""


class NamedFilter(Body):
    """A kernel with a name, to be applied to a picture."""

    name: str = Field(examples=["vertical_edge"])
    """What to write as `kernel`."""
    kernel: list[list[float]] = Field(examples=[[[1, 0, -1], [1, 0, -1], [1, 0, -1]]])
    """Its numbers, row by row."""
    title: str
    """What it shows or does."""
    source: str
    """Where it comes from."""
