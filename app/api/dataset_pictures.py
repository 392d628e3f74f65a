"""Bodies of the calls on the pictures of data sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from app.api.common import Body, Time
from app.api.datasets import DatasetFailure, FillingProgress, SkippedCounts, SkippedFile, read_fields
from app.store.records import JobRecord
from engine.augmentations import AnyAugmentation
from engine.spec import Seed, Spec

MOST_VARIANTS = 16
MOST_PICTURES = 32
EXAMPLE_PICTURE = (
    "UDIgOCA4IDkKOSA5IDkgOSA5IDkgOSA5IDkgOSAwIDAgMCAwIDkgOSA5IDkgOSA5IDkgMCA5IDkgOSA5IDkgMCAwIDAgOSA5IDkgOSA5IDkg"
    "OSAwIDkgOSA5IDkgOSA5IDkgMCA5IDkgOSA5IDAgMCAwIDAgOSA5IDkgOSA5IDkgOSA5IDkgOQo="
)
"""A 3 of 8 x 8 pixels in PGM format, in base64."""


class AdditionDocument(Spec):
    """Labelled pictures to add: `images` of one `label`, or an archive of class folders as `file`."""

    label: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """The class of the pictures; one that the data set has."""
    images: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] | None = None
    """Pictures in base64."""
    file: Annotated[str, Field(min_length=1)] | None = None
    """A zip archive in base64: a folder for each class, or a manifest."""
    dry_run: bool = False
    """Only tell what would be added, and add nothing."""


class AdditionForm(Spec):
    """The text fields of the same as a form."""

    label: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    """The class of the pictures in `files`; one that the data set has."""
    dry_run: bool = False
    """Only tell what would be added, and add nothing."""

    @field_validator("dry_run", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class AdditionReport(Body):
    """What became of the pictures."""

    added: int
    """How many are in the data set now; of a dry run, how many would be."""
    skipped: int
    """How many were left out."""
    counts: SkippedCounts
    """How many of each kind."""
    files: tuple[SkippedFile, ...]
    """Which and why; of very many the first thousand."""


class Addition(Body):
    """Pictures on their way into a data set."""

    id: str | None = Field(examples=["job_01jd3k5v0ch2h3z3c4r8n9q7xe"])
    """Null for a dry run, of which nothing stays."""
    dataset_id: str = Field(examples=["digits"])
    status: Literal["checked", "queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
    """`checked` for a dry run."""
    progress: FillingProgress | None
    report: AdditionReport | None
    """What was added and what left out; null until it is done."""
    error: DatasetFailure | None
    created_at: Time | None
    finished_at: Time | None

    @classmethod
    def of(cls, job: JobRecord) -> Addition:
        """Return the body for a job."""
        return cls(
            id=job.id,
            dataset_id=str(job.dataset_id),
            status=job.status.value,
            progress=FillingProgress.of_job(job),
            report=AdditionReport(**job.metrics) if job.metrics else None,
            error=DatasetFailure(**job.error) if job.error else None,
            created_at=job.created_at,
            finished_at=job.finished_at,
        )


class ChannelFigures(Body):
    """The values of one channel, 0 to 255."""

    mean: float
    std: float
    """Standard deviation."""
    min: int
    max: int


class PartFigures(Body):
    """Some of the pictures."""

    images: int
    channels: tuple[ChannelFigures, ...]
    """One entry per channel; none without a picture."""


class ClassFigures(PartFigures):
    """The pictures of a class."""

    name: str
    splits: dict[str, int]
    """How many of them are in each split."""


class NumberFigures(Body):
    """Some numbers."""

    mean: float
    std: float
    """Standard deviation."""
    min: float
    max: float


class ValueFigures(Body):
    """A value of the pictures."""

    name: str
    all: NumberFigures
    splits: dict[str, NumberFigures | None]
    """Null for a split without pictures."""


class DatasetStatistics(Body):
    """What the pictures of a data set are like."""

    images: int
    image_shape: tuple[int, int, int]
    """[height, width, channels]."""
    all: PartFigures
    splits: dict[str, PartFigures]
    classes: tuple[ClassFigures, ...]
    """In the order of the class indices; or labels, of which a picture can have several; none for values."""
    values: tuple[ValueFigures, ...] = ()
    """In the order of the data set; none for classes and labels."""


class PreviewRequest(Spec):
    """Which augmentations to look at, on which pictures."""

    augmentations: Annotated[tuple[AnyAugmentation, ...], Field(min_length=1, max_length=32)]
    """In the order in which they are applied, as for a training job."""
    images: Annotated[int, Field(strict=True, ge=1, le=MOST_PICTURES)] = 4
    """How many pictures, from the beginning of the split."""
    variants: Annotated[int, Field(strict=True, ge=1, le=MOST_VARIANTS)] = 6
    """How many times each is augmented: as in the epochs 1, 2, ... of a training job."""
    split: Literal["train", "dev", "test"] = "train"
    seed: Seed = 0
    """As that of the training job."""


def read_addition_form(fields: dict[str, str]) -> AdditionForm:
    """Make sense of the text fields of a form.

    Raises:
        Invalid: with the name of each bad field.
    """
    return read_fields(AdditionForm, dict(fields))
