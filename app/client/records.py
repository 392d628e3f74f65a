"""What the service answers, as typed records; fields that this version does not know are left out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JobStatus = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
Target = Literal["class", "labels", "values"]

FINISHED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class Record(BaseModel):
    """An answer, or a part of one."""

    # `model_id` is a word of the API.
    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


class Fault(Record):
    """One bad field of a request.

    Attributes:
        detail: what is wrong with it.
        pointer: where it is in the JSON body (RFC 6901), or else
        parameter: the query parameter, header or file part that is at fault.
        hint: what would fix it.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    hint: str | None = None


class Failure(Record):
    """Why a job or a data set failed."""

    code: str
    message: str


class CatalogEntry(Record):
    """Something that the service knows by name: a layer, an optimizer, a schedule, a loss or a preset."""

    name: str
    title: str | None = None
    description: str | None = None
    formula: str | None = None
    source: str | None = None
    hyperparameters: dict[str, Any] | None = None
    example: dict[str, Any] | None = None
    architecture: dict[str, Any] | None = None


class LayerSummary(Record):
    """One row of the shape table; `docs/glossary.md` explains the words."""

    name: str
    type: str
    inputs: tuple[str, ...]
    output_shape: tuple[int, ...]
    formula: dict[str, str] | None = None
    parameters: int
    multiply_adds: int
    receptive_field: tuple[int, ...] | None = None
    jump: tuple[int | float, ...] | None = None
    dense_equivalent_parameters: int | None = None
    connection_density: float | None = None


class Totals(Record):
    """What a network costs: numbers, multiply-adds for one picture, and bytes."""

    parameters: int
    trainable_parameters: int
    multiply_adds: int
    weight_bytes: int
    activation_bytes: int
    training_bytes: int


class Summary(Record):
    """The shapes and costs of an architecture."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    totals: Totals
    layers: tuple[LayerSummary, ...]


class Architecture(Record):
    """A stored architecture."""

    id: str
    name: str
    input_shape: tuple[int, ...]
    layers: tuple[dict[str, Any], ...]
    created_at: datetime
    summary: Summary | None = None

    def specification(self) -> dict[str, Any]:
        """Return it as it would be posted: `input_shape` and `layers`."""
        return self.model_dump(mode="json", include={"input_shape", "layers"})


class DatasetClass(Record):
    """A class of a data set and how many pictures it has."""

    name: str
    images: int


class Dataset(Record):
    """A data set: labelled pictures of one shape, each in one of three splits."""

    id: str
    name: str
    status: Literal["ingesting", "ready", "failed"]
    target: Target = "class"
    classes: tuple[DatasetClass, ...]
    images: int
    splits: dict[str, int]
    image_shape: tuple[int, ...]
    error: Failure | None = None
    report: dict[str, Any] = Field(default_factory=dict)
    progress: dict[str, Any] | None = None
    adding: int = 0
    created_at: datetime

    @property
    def finished(self) -> bool:
        """Whether its ingestion has ended, one way or the other."""
        return self.status != "ingesting"


class Addition(Record):
    """Pictures that were added to a data set, or are on their way.

    Attributes:
        report: how many were `added` and `skipped`, and why; None until it is over.
    """

    id: str | None
    dataset_id: str
    status: str
    report: dict[str, Any] | None = None
    error: Failure | None = None

    @property
    def finished(self) -> bool:
        """Whether it is over, one way or the other."""
        return self.status not in ("queued", "running", "cancelling")


class Downloadable(Record):
    """A well-known data set that the service can fetch by name."""

    name: str
    title: str
    bytes: int
    images: int
    address: str


class LabelledPicture(Record):
    """One picture of a data set.

    Attributes:
        number: its place in the whole data set.
        label: the name of its class, None in data sets of labels or values.
        labels: the names of its labels, in a data set of these.
        values: its numbers, in the order of the data set's `classes`.
        content: the bytes of a PNG file.
    """

    number: int
    split: str
    label: str | None
    class_index: int | None
    labels: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    content: bytes


class Progress(Record):
    """How far a training job is; the figures are those of the epoch under way."""

    stage: str | None = None
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    fraction: float = 0.0
    images_per_second: float | None = None
    eta_seconds: float | None = None
    train_loss: float | None = None
    train_accuracy: float | None = None


class Metrics(Record):
    """Figures of one epoch; a finished job adds those of the test split and the epoch that was kept."""

    epoch: int | None = None
    train_loss: float | None = None
    train_accuracy: float | None = None
    dev_loss: float | None = None
    dev_accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None
    kept_epoch: int | None = None
    learning_rate: float | None = None
    seconds: float | None = None


class TrainingJob(Record):
    """A training job."""

    id: str
    name: str
    status: JobStatus
    attempt: int
    progress: Progress | None = None
    metrics: Metrics | None = None
    model_id: str | None = None
    error: Failure | None = None
    queue_position: int | None = None
    starts_in_seconds: float | None = None
    memory_bytes: int | None = None
    webhook: dict[str, Any] | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether it has ended; a finished job never changes again."""
        return self.status in FINISHED


class Model(Record):
    """A trained model."""

    id: str
    name: str
    version: int | None = None
    target: Target = "class"
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    training_job_id: str | None = None
    metrics: Metrics
    description: str | None = None
    tags: tuple[str, ...] = ()
    provenance: dict[str, Any] | None = None
    created_at: datetime


class Alias(Record):
    """A word that stands for one model of a name."""

    name: str
    alias: str
    model_id: str
    updated_at: datetime


class BatchProgress(Record):
    """How far a batch prediction is: files looked at, those without a picture, and all there are."""

    images: int = 0
    failed: int = 0
    of: int
    fraction: float = 0.0


class BatchPrediction(Record):
    """What a model sees in each picture of an archive, or will."""

    id: str
    status: JobStatus
    attempt: int
    model_id: str
    top_k: int
    filename: str
    progress: BatchProgress
    error: Failure | None = None
    created_at: datetime

    @property
    def finished(self) -> bool:
        """Whether it has ended; a finished batch prediction never changes again."""
        return self.status in FINISHED


class Event(Record):
    """Something that happened to a training job.

    Attributes:
        kind: `status`, `epoch`, `progress`, and at last `end`.
        id: its number; `progress` has none.
    """

    kind: str
    id: int | None = None
    data: dict[str, Any]


class Candidate(Record):
    """One class or label and how probable the model finds it, from 0 to 1."""

    label: str
    class_index: int
    probability: float | None


class PredictedValue(Record):
    """A number that the model tells; None where it is not finite."""

    name: str
    value: float | None


class Prediction(Record):
    """What the model sees in one picture.

    Attributes:
        label: the most probable class; None for models of labels or values, as are the next two.
        class_index: the index of that class.
        probability: how probable the model finds it, from 0 to 1.
        top: the most probable classes or labels, the best first.
        labels: the labels that are probable enough; None for other models.
        values: the values; None for other models.
    """

    label: str | None
    class_index: int | None
    probability: float | None
    filename: str | None = None
    top: tuple[Candidate, ...] = ()
    labels: tuple[Candidate, ...] | None = None
    values: tuple[PredictedValue, ...] | None = None
