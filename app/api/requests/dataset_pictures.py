"""Bodies of requests about the pictures of data sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from app.api.common import Line
from app.api.requests.webhooks import Announced
from engine.augmentations import AnyAugmentation
from engine.spec import Flag, Seed, Spec

MOST_VARIANTS = 16
MOST_PICTURES = 32
LARGEST = 3.4e38
"""Of a value: what 32-bit floating point holds."""
EXAMPLE_PICTURE = (
    "UDIgOCA4IDkKOSA5IDkgOSA5IDkgOSA5IDkgOSAwIDAgMCAwIDkgOSA5IDkgOSA5IDkgMCA5IDkgOSA5IDkgMCAwIDAgOSA5IDkgOSA5IDkg"
    "OSAwIDkgOSA5IDkgOSA5IDkgMCA5IDkgOSA5IDAgMCAwIDAgOSA5IDkgOSA5IDkgOSA5IDkgOQo="
)
"""A 3 of 8 x 8 pixels in PGM format, in base64."""


_Label = Annotated[str, Field(min_length=1, max_length=255), Line]
_Float32 = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]


class AdditionDocument(Spec):
    """Labelled pictures to add: `images` of one `label`, or an archive of class folders as `file`."""

    label: _Label | None = None
    """The class of the pictures; one that the data set has."""
    images: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] | None = None
    """Pictures in base64."""
    file: Annotated[str, Field(min_length=1)] | None = None
    """A zip archive in base64: a folder for each class, or a manifest."""
    dry_run: Flag = False
    """Report what would be added, and add nothing."""
    webhook: Announced = None
    """Where its end is announced: {"url": ...}, or the address alone."""


class AdditionForm(Spec):
    """The text fields of the same as a form."""

    label: _Label | None = None
    """The class of the pictures in `files`; one that the data set has."""
    dry_run: Flag = False
    """Report what would be added, and add nothing."""
    webhook: Announced = None
    """Where its end is announced: {"url": ...}, or the address alone."""

    @field_validator("dry_run", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class PictureFault(Spec):
    """What is wrong about a picture: what it is said to show, that it is in the data set, or that it is left out."""

    label: _Label | None = None
    """In a data set of classes: the name of the class that it shows; one that the data set has."""
    labels: Annotated[tuple[_Label, ...], Field(max_length=10_000)] | None = None
    """In a data set of labels: the names of all labels that it has, perhaps none; of those of the data set."""
    values: Annotated[dict[str, _Float32], Field(min_length=1, max_length=10_000)] | None = None
    """In a data set of values: by their names, those that are others; the rest stays."""
    excluded: Flag | None = None
    """Whether it is left out from now on: true to leave it out, false to put it back."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.excluded is None and self.label is None and self.labels is None and self.values is None:
            raise ValueError("it says nothing to correct; give `label`, `labels`, `values` or `excluded`")
        return self


class PictureChange(PictureFault):
    """What is wrong about one picture."""

    dry_run: Flag = False
    """Report what would change, and change nothing."""


class Correction(PictureFault):
    """What is wrong about one of several pictures."""

    number: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]
    """The number of the picture in the whole data set."""


class CorrectionsCreate(Spec):
    """What is wrong about pictures; all of it becomes one revision."""

    corrections: Annotated[tuple[Correction, ...], Field(min_length=1, max_length=1000)]
    """One for each picture."""
    dry_run: Flag = False
    """Report what would change, and change nothing."""


class PreviewRequest(Spec):
    """Which augmentations to show, on which pictures."""

    augmentations: Annotated[tuple[AnyAugmentation, ...], Field(min_length=1, max_length=32)]
    """In the order in which they are applied, as for a training job."""
    images: Annotated[int, Field(strict=True, ge=1, le=MOST_PICTURES)] = 4
    """How many pictures: the first ones of the split."""
    variants: Annotated[int, Field(strict=True, ge=1, le=MOST_VARIANTS)] = 6
    """How many times each is augmented: as in the epochs 1, 2, ... of a training job."""
    split: Literal["train", "dev", "test"] = "train"
    seed: Seed = 0
    """As that of the training job."""
