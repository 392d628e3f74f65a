"""Bodies of requests about architectures."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Field, RootModel, Tag

from app.api.common import Name
from engine.graph.architecture import Architecture
from engine.spec import ImageShape, PositiveInt, Spec


class ArchitectureRequest(Architecture):
    """An architecture to keep, under a name."""

    name: Name = Field(examples=["my-lenet"])
    """A name for people; it need not be unique."""

    def architecture(self) -> Architecture:
        """Return it without its name."""
        return Architecture(
            format_version=self.format_version, input_shape=self.input_shape, layers=self.layers
        )


class PresetChoice(Spec):
    """A preset, fitted to pictures and classes."""

    preset: str = Field(examples=["lenet-5"])
    """Its name; `/v1/catalog/presets` lists them."""
    input_shape: ImageShape | None = None
    """[height, width, channels]; by default that of the data set, or of the preset where there is none."""
    classes: PositiveInt | None = None
    """The number of outputs; by default one for each class of the data set, or as in the preset where there is none."""


def _form(value: Any) -> str | None:
    """Return in which of its forms an architecture is given, as a tag that is no key of any of them."""
    if isinstance(value, str):
        return "<stored>"
    if isinstance(value, PresetChoice) or (isinstance(value, dict) and "preset" in value):
        return "<preset>"
    return "<written>" if isinstance(value, Architecture | dict) else None


ArchitectureChoice = Annotated[
    Annotated[PresetChoice, Tag("<preset>")]
    | Annotated[str, Tag("<stored>")]
    | Annotated[Architecture, Tag("<written>")],
    Discriminator(
        _form,
        custom_error_type="architecture_form",
        custom_error_message="an architecture is an object, or the id or name of a stored one",
    ),
]


class DescribedArchitecture(RootModel[ArchitectureChoice]):
    """An architecture to look at."""


class ArchitectureComparisonRequest(Spec):
    """Two architectures to compare."""

    architectures: tuple[ArchitectureChoice, ArchitectureChoice]
    """Each `{"preset": name}`, the id or name of a stored architecture, or one written out."""
