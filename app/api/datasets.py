"""Answers about data sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from app.api.choices import Choice
from app.api.common import Body, Time
from app.api.jobs import JobError
from app.api.pictures import PictureSpec
from engine.recipe.targets import Target
from engine.spec import Spec

Duplicates = Literal["skip", "keep"]
Fault = Literal["misplaced", "unreadable", "duplicate", "contradiction"]
"""Why a file of an upload is left out."""
Share = Annotated[float, Field(ge=0, le=1)]


class SplitShares(Spec):
    """The share of each class's pictures that goes to each split."""

    train: Share = 0.8
    dev: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitShares:
        if abs(self.train + self.dev + self.test - 1) > 1e-6:
            raise ValueError(f"the shares add up to {self.train + self.dev + self.test:g} instead of 1")
        if self.train == 0 or self.dev == 0 or self.test == 0:
            raise ValueError("every share must be above 0: training needs train, dev and test pictures")
        return self

    @property
    def values(self) -> tuple[float, float, float]:
        """The shares of train, dev and test."""
        return (self.train, self.dev, self.test)


class DatasetClass(Body):
    """A class, a label or a value."""

    name: str
    images: int
    """How many of the pictures show it; all have each value."""


class SplitCounts(Body):
    """Numbers of pictures."""

    train: int = 0
    """Pictures that are trained on."""
    dev: int = 0
    """Pictures that choose the epoch to keep."""
    test: int = 0
    """Pictures that the finished model is measured on."""


class SkippedFile(Body):
    """A file that was left out."""

    name: str
    reason: str
    kind: Fault = "unreadable"
    """`misplaced`: nothing says what it shows; `unreadable`: it is no readable picture; `duplicate`: the same picture
    is there already; `contradiction`: it is there already, and is said to show something else."""


class SkippedCounts(Body):
    """How many files were left out, by kind."""

    misplaced: int = 0
    unreadable: int = 0
    duplicate: int = 0
    contradiction: int = 0


class DatasetSource(Body):
    """The file that was uploaded."""

    filename: str
    bytes: int
    sha256: str
    format: str | None = None
    """What it was read as: zip, npz or idx."""


class DatasetReportEntry(Body):
    """What was uploaded, and how much of it was left out."""

    source: DatasetSource | None = None
    """The archive; null for what is built in."""
    skipped: int = 0
    """How many files."""
    counts: SkippedCounts | None = None
    """How many of each kind; null for what was uploaded to an earlier version."""
    notes: tuple[str, ...] = ()
    """What the upload did not say itself and was taken for something: the range of its numbers, the encoding and the
    columns of its manifest."""
    warnings: tuple[str, ...] = ()
    """What makes the data set worth less: classes without pictures in a split, the same picture in two classes,
    pictures that are nearly black or white."""


class DatasetReport(DatasetReportEntry):
    """What was uploaded, and what of it was left out."""

    files: tuple[SkippedFile, ...] = ()
    """Which files were left out, and why; of very many the first thousand."""


class IngestionProgress(Body):
    """How far a job is that reads or downloads the pictures of a data set."""

    stage: str = Field("queued", examples=["reading"])
    """queued, starting, downloading, comparing (with what is there already) or reading."""
    fraction: float = 0.0
    images: int | None = None
    """Pictures that have been read."""
    of: int | None = None
    """Of how many."""
    bytes: int | None = None
    """Bytes that have been downloaded."""
    of_bytes: int | None = None
    """Of how many; null when the server that sends them does not say."""
    file: str | None = None
    """The file that is being downloaded."""


class DatasetEntry(Body):
    """A data set as lists show it."""

    id: str = Field(examples=["digits"])
    name: str
    tags: list[str] = Field(default_factory=list)
    """Words to find it by."""
    status: Literal["ingesting", "ready", "failed"]
    """`ingesting` while its pictures are read; it can be trained on once it is `ready`."""
    target: Target
    """What each picture is labelled with: its `class`, any number of `labels`, or `values`."""
    classes: list[DatasetClass]
    """In the order of the class indices, or the labels or values; empty until the pictures are read."""
    images: int
    """All pictures, those that are left out too: they are counted through from 0 to one less."""
    excluded: int = 0
    """How many pictures are left out; they are in none of the other numbers."""
    revision: int = 0
    """How often its pictures were corrected; see `corrections`. Jobs go by the revision at which they were accepted."""
    splits: SplitCounts
    image_shape: tuple[int, int, int]
    """[height, width, channels] of every picture."""
    preprocessing: PictureSpec
    """How a picture of any size and mode becomes an array; models trained on it treat pictures the same way."""
    split: SplitShares
    """Shares of the splits."""
    seed: int
    duplicates: Duplicates
    """Whether pictures that are there already are left out."""
    chosen: list[Choice] = Field(default_factory=list)
    """What the upload left open and was chosen to fit the pictures, and why."""
    report: DatasetReportEntry
    progress: IngestionProgress | None = None
    """How far the job is that reads its pictures; null when there is none."""
    adding: int = 0
    """How many requests to add pictures are not done yet; see `additions`."""
    error: JobError | None
    bytes: int
    """Size on disk."""
    fingerprint: str | None
    """Checksum of pictures, labels and splits; equal for equal uploads with equal options."""
    builtin: bool
    """Whether it came with the program; then it cannot be deleted."""
    created_at: Time

    @property
    def finished(self) -> bool:
        """Whether its pictures have been read, or could not be."""
        return self.status != "ingesting"


class Dataset(DatasetEntry):
    """A data set."""

    report: DatasetReport
