"""Answers about the pictures of data sets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.api.common import Body, Time
from app.api.datasets import IngestionProgress, SkippedCounts, SkippedFile
from app.api.jobs import JobError


class AdditionReportEntry(Body):
    """What became of the pictures, in numbers."""

    added: int
    """How many are in the data set now; of a dry run, how many would be."""
    skipped: int
    """How many were left out."""
    counts: SkippedCounts
    """How many of each kind."""
    notes: tuple[str, ...] = ()
    """What the upload did not say itself and was taken for something, such as the columns of its manifest."""
    warnings: tuple[str, ...] = ()
    """What makes the pictures worth less, such as the same picture in two classes."""


class AdditionReport(AdditionReportEntry):
    """What became of the pictures."""

    files: tuple[SkippedFile, ...]
    """Which files were left out, and why; of very many the first thousand."""


class AdditionEntry(Body):
    """Pictures on their way into a data set, as lists show them."""

    id: str | None = Field(examples=["job_01jd3k5v0ch2h3z3c4r8n9q7xe"])
    """Null for a dry run, of which nothing stays."""
    dataset_id: str = Field(examples=["digits"])
    status: Literal["checked", "queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
    """`checked` for a dry run."""
    progress: IngestionProgress | None
    report: AdditionReportEntry | None
    """What was added and what left out; null until it is done."""
    error: JobError | None
    created_at: Time | None
    finished_at: Time | None

    @property
    def finished(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.status not in ("queued", "running", "cancelling")


class Addition(AdditionEntry):
    """Pictures on their way into a data set."""

    report: AdditionReport | None
    """What was added and what left out; null until it is done."""


class DatasetPicture(Body):
    """A picture of a data set."""

    number: int
    """Its number in the whole data set: `/v1/datasets/{id}/images/{number}` shows it."""
    name: str | None
    """The name of the file that it came in, with its folders in the archive; null where there was none."""
    image_url: str = Field(examples=["/v1/datasets/digits/images/17"])
    """Where it is on this server; with `?size=64` a small one."""
    split: Literal["train", "dev", "test"]
    label: str | None = None
    """The name of its class; null in data sets of labels or values."""
    class_index: int | None = None
    labels: tuple[str, ...] = ()
    """The names of its labels, in a data set of these."""
    values: tuple[float, ...] = ()
    """Its values, in the order of the data set's `classes`."""
    excluded: bool
    """Whether it is left out."""
    uploaded_label: str | None = None
    """The class that it came with, where it was given another."""
    uploaded_labels: tuple[str, ...] | None = None
    """The labels that it came with, where it was given others."""
    uploaded_values: tuple[float, ...] | None = None
    """The values that it came with, where it was given others."""


class Samples(Body):
    """Some pictures of a class, or with a label; or for a value those from its least to its greatest."""

    name: str
    """Of the class, label or value."""
    images: int
    """How many there are, of a split if it was asked for."""
    pictures: list[DatasetPicture]


class CorrectedPicture(Body):
    """What was corrected of a picture; null for what stayed as it was."""

    number: int
    name: str | None
    """The name of the file that it came in."""
    label: str | None = None
    """The class that it shows."""
    label_before: str | None = None
    labels: tuple[str, ...] | None = None
    """All labels that it has."""
    labels_before: tuple[str, ...] | None = None
    values: dict[str, float] | None = None
    """Those of its values that are others now."""
    values_before: dict[str, float] | None = None
    excluded: bool | None = None
    """True where it was left out, false where it was put back."""


class DatasetCorrection(Body):
    """A revision of a data set: what was corrected at once."""

    dataset_id: str
    revision: int
    """The revision that has the corrections."""
    pictures: list[CorrectedPicture]
    """Empty where everything was so already, and no new revision was made."""
    created_at: Time | None
    """Null where no new revision was made."""


class ChannelStatistics(Body):
    """The values of one channel, 0 to 255."""

    mean: float
    std: float
    """Standard deviation."""
    min: int
    max: int


class PartStatistics(Body):
    """Some of the pictures."""

    images: int
    channels: tuple[ChannelStatistics, ...]
    """One entry per channel; none without a picture."""


class ClassStatistics(PartStatistics):
    """The pictures of a class."""

    name: str
    splits: dict[str, int]
    """How many of them are in each split."""


class NumberStatistics(Body):
    """Some numbers."""

    mean: float
    std: float
    """Standard deviation."""
    min: float
    max: float


class ExtremePicture(Body):
    """A picture at one end."""

    number: int
    name: str | None
    """The name of the file that it came in."""
    image_url: str
    """Where it is on this server."""
    value: float
    """The number that is least or greatest in it: how light it is, 0 to 255, or its value."""


class ValueStatistics(Body):
    """A value of the pictures."""

    name: str
    all: NumberStatistics
    splits: dict[str, NumberStatistics | None]
    """Null for a split without pictures."""
    least: tuple[ExtremePicture, ...]
    """Up to five pictures in which it is least, the least first."""
    greatest: tuple[ExtremePicture, ...]
    """And greatest, the greatest first."""


class DatasetStatistics(Body):
    """What the pictures of a data set are like."""

    images: int
    image_shape: tuple[int, int, int]
    """[height, width, channels]."""
    all: PartStatistics
    splits: dict[str, PartStatistics]
    classes: tuple[ClassStatistics, ...]
    """In the order of the class indices; or labels, of which a picture can have several; none for values."""
    values: tuple[ValueStatistics, ...] = ()
    """In the order of the data set; none for classes and labels."""
    darkest: tuple[ExtremePicture, ...]
    """Up to five pictures whose pixels are least in the mean, the least first."""
    lightest: tuple[ExtremePicture, ...]
    """And greatest, the greatest first."""
