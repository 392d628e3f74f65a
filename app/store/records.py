"""What the store keeps, as immutable records; times are aware and in UTC, JSON columns are dicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from app.files.artifacts import Written
from app.log import request_origin
from app.states import JobStatus
from engine.recipe.targets import Target

Json = dict[str, Any]
T = TypeVar("T")


def now() -> datetime:
    """Return the time, aware and in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A slice of a list, newest first; `next` is the `after` of the slice that follows, None at the end."""

    data: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class ArchitectureRecord:
    """A stored architecture.

    Attributes:
        architecture: the specification with all defaults written out and its `format_version`.
    """

    id: str
    name: str
    architecture: Json
    created_at: datetime = field(default_factory=now)
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """One immutable piece of a data set, a directory of arrays under the data directory.

    Attributes:
        number: its place in the data set, from 1.
        path: the directory, relative to the data directory.
        sha256: the checksum of its contents.
    """

    dataset_id: str
    number: int
    images: int
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CorrectionRecord:
    """A revision of a data set, from 1 without gaps: what was corrected at once.

    Attributes:
        changes: `{"number", "label", "label_before", "excluded"}` a picture, without what stays; labels are indices.
    """

    dataset_id: str
    revision: int
    changes: list[Json]
    created_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class DatasetContents:
    """What ingestion found, written to the data set when it becomes ready.

    Attributes:
        classes: `{"name", "images"}` in the order of the labels.
        splits: the number of pictures in `train`, `dev` and `test`.
        image_shape: [height, width, channels].
        report: which files were left out, and why.
        images: the number of pictures.
        bytes: the size on disk.
        fingerprint: a checksum of pictures, labels and splits.
        segments: the pieces, in order.
        files: what these consist of.
    """

    classes: list[Json]
    splits: dict[str, int]
    image_shape: list[int]
    images: int
    bytes: int
    report: Json = field(default_factory=dict)
    fingerprint: str | None = None
    segments: tuple[SegmentRecord, ...] = ()
    files: tuple[Written, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """A data set; `DatasetContents` says what the fields that it shares mean.

    Attributes:
        status: `ingesting`, then `ready` or `failed`.
        options: how pictures are fitted and split (fit, split, seed, ...).
        error: `{"code", "message"}` once failed.
        tags: words to find it by.
        revision: how often its pictures were corrected.
    """

    id: str
    name: str
    status: str = "ingesting"
    classes: list[Json] = field(default_factory=list)
    splits: dict[str, int] = field(default_factory=dict)
    image_shape: list[int] = field(default_factory=list)
    options: Json = field(default_factory=dict)
    report: Json = field(default_factory=dict)
    error: Json | None = None
    images: int = 0
    bytes: int = 0
    fingerprint: str | None = None
    created_at: datetime = field(default_factory=now)
    builtin: bool = False
    tags: list[str] | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job.

    Attributes:
        kind: which work it is, one of `app.jobs.kinds`.
        status: where it is; see `app.states`.
        attempt: how often it was started; a drain does not count. 0 until the first start.
        heartbeat: a counter that its worker moves; how long it stood still is for the observer to time.
        request: what to do, complete: no later change elsewhere changes it; but see `waits_for`.
        progress: how far it is, in the words of its kind.
        metrics: the values of the last epoch (training), or what the job found.
        checkpoint: where to go on: `{"name", "sha256", "bytes", "epoch", "step", ...}`; with `deleted_at` once its
            file is gone.
        error: `{"code", "message"}` once failed.
        dataset_id: what it reads, or writes (ingestion).
        model_id: what it made (training), or uses.
        memory_bytes: what it was expected to need of memory when it was accepted.
        webhook_url: where its end is announced.
        checkpoint_kept_since: from when on it is counted how long the last checkpoint is kept.
        origin: of which request it comes; by default of the one in which it is made.
        waits_for: the data set that is still being filled, and has to be ready before it is decided what the job does;
            until then `request` is what its caller has asked for.
        part_of: the job that it does a part of: it has no events, and is in no list.
    """

    id: str
    kind: str
    request: Json
    status: JobStatus = JobStatus.QUEUED
    attempt: int = 0
    heartbeat: int = 0
    progress: Json = field(default_factory=dict)
    metrics: Json | None = None
    checkpoint: Json | None = None
    error: Json | None = None
    dataset_id: str | None = None
    model_id: str | None = None
    created_at: datetime = field(default_factory=now)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    builtin: bool = False
    memory_bytes: int | None = None
    webhook_url: str | None = None
    checkpoint_kept_since: datetime | None = None
    waits_for: str | None = None
    origin: Json | None = field(default_factory=request_origin)
    part_of: str | None = None

    @property
    def waits_for_storage(self) -> str | None:
        """What keeps a queued job from being written, in a word of `app.errors.StorageFault`; None of others."""
        return self.progress.get(STORAGE) if self.status is JobStatus.QUEUED else None


STORAGE = "waits_for_storage"
"""Where in the progress of a job it stands that it waits until files can be written."""


def without_storage(progress: Json) -> Json:
    """Return the progress of a job that waits for that no more."""
    return {name: value for name, value in progress.items() if name != STORAGE}


@dataclass(frozen=True, slots=True)
class JobPace:
    """What shows how long a job takes; the fields are those of its record."""

    id: str
    request: Json
    progress: Json
    metrics: Json | None = None


@dataclass(frozen=True, slots=True)
class QueueState:
    """The jobs of a kind, as far as they matter to those that wait.

    Attributes:
        waiting: the one that starts next first.
        running: those that have a worker.
        past: the last ones that have started, the newest first.
        further: the places, from 1, of those that were asked for: some may be far behind `waiting`.
    """

    waiting: tuple[JobPace, ...] = ()
    running: tuple[JobPace, ...] = ()
    past: tuple[JobPace, ...] = ()
    further: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A message that tells the end of a job.

    Attributes:
        url: where it goes.
        body: what it says, as it is signed.
        status: `pending`, then `delivered` or `failed`.
        attempts: how often it was sent.
        due_at: when it is sent next.
        error: what went wrong the last time.
        origin: that of the job.
    """

    id: str
    job_id: str
    url: str
    body: str
    status: str = "pending"
    attempts: int = 0
    due_at: datetime = field(default_factory=now)
    error: str | None = None
    created_at: datetime = field(default_factory=now)
    origin: Json | None = None


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """How a creating call with an idempotency key was answered.

    Attributes:
        route: the call, such as `POST /v1/training-jobs`.
        key: what the caller named it by.
        fingerprint: a checksum of what was asked; another one under the same key is a mistake.
        status: of the answer.
        headers: of the answer, those that matter.
        body: of the answer.
    """

    route: str
    key: str
    fingerprint: str
    status: int
    headers: dict[str, str]
    body: Json
    created_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The values of an epoch of a training job."""

    epoch: int
    figures: Json


@dataclass(frozen=True, slots=True)
class NormsRecord:
    """The lengths of gradients and weights of an epoch of a training job, by the names of nodes."""

    epoch: int
    norms: Json


@dataclass(frozen=True, slots=True)
class JobState:
    """Where a job is, without what it is to do; the fields are those of its record. One that cannot be read is None."""

    id: str
    kind: str
    status: JobStatus | None
    attempt: int
    checkpoint: Json | None
    error: Json | None
    dataset_id: str | None
    model_id: str | None
    created_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    builtin: bool
    webhook_url: str | None
    waits_for: str | None
    origin: Json | None
    part_of: str | None


@dataclass(frozen=True, slots=True)
class JobCheckpoint:
    """The last checkpoint of a job."""

    id: str
    checkpoint: Json | None


@dataclass(frozen=True, slots=True)
class JobPulse:
    """The little that a runner reads of each active job at every look."""

    id: str
    kind: str
    status: JobStatus
    attempt: int
    heartbeat: int


@dataclass(frozen=True, slots=True)
class JobEnd(JobCheckpoint):
    """How a job has ended; the fields are those of its record, and the position is that of its event."""

    position: int
    kind: str
    status: JobStatus
    attempt: int
    error: Json | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """A trained model; what it computes never changes, what it is called can.

    Attributes:
        version: 1, 2, ... among the models of the same name; 0 lets the store give the next one.
        path: its file, relative to the data directory.
        sha256: the checksum of that file.
        bytes: the size of that file.
        classes: the names of the classes, in the order of the outputs.
        input_shape: [height, width, channels].
        preprocessing: what is done to a picture before the network sees it.
        architecture: the specification with all defaults written out.
        training_job_id: the job that made it; the job may be gone.
        metrics: test and dev figures, and which epoch was kept.
        description: what people want to know about it.
        tags: words to find it by.
        target: what it says of a picture: `class`, `labels` or `values`; `classes` are the names of these.
    """

    id: str
    name: str
    path: str
    sha256: str
    bytes: int
    classes: list[str]
    input_shape: list[int]
    preprocessing: Json
    architecture: Json
    version: int = 0
    training_job_id: str | None = None
    metrics: Json = field(default_factory=dict)
    description: str | None = None
    tags: list[str] | None = None
    target: Target = "class"
    created_at: datetime = field(default_factory=now)
    builtin: bool = False


@dataclass(frozen=True, slots=True)
class AliasRecord:
    """A word that stands for one model of a name, until it is made to stand for another."""

    name: str
    alias: str
    model_id: str
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """Bytes in the data directory when it was last measured, and what the records of data sets and models said then."""

    found: int
    recorded: int
