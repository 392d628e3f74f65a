"""Bodies of training jobs."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag

from app.api.common import Body, JsonObject, Name, Number, Time
from app.api.webhooks import Webhook, WebhookRequest
from app.jobs.forecast import Place
from app.states import JobStatus
from app.store.records import DeliveryRecord, JobRecord
from engine.graph.architecture import Architecture
from engine.spec import ImageShape, PositiveInt, Spec
from engine.training.loop import TrainingConfig


class PresetChoice(Spec):
    """A preset, fitted to the data set."""

    preset: str = Field(examples=["lenet-5"])
    """Its name; `/v1/catalog/presets` lists them."""
    input_shape: ImageShape | None = None
    """[height, width, channels]; that of the data set if not given."""
    classes: PositiveInt | None = None
    """The number of outputs; one for each class of the data set if not given."""


def _form(value: Any) -> str | None:
    """Tell in which of its forms an architecture is given; in words that cannot be keys of it."""
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
        custom_error_message='give {"preset": "lenet-5"}, the id of a stored architecture, '
        'or {"input_shape": [...], "layers": [...]}',
    ),
]


class TrainingJobRequest(TrainingConfig):
    """What to train, on what, and how."""

    name: Name | None = None
    """What the model will be called; if not given, like the preset or the stored architecture."""
    description: Annotated[str, Field(max_length=2000)] | None = None
    """What people want to know about it."""
    tags: Annotated[tuple[Name, ...], Field(max_length=32)] = ()
    """Words to find it by."""
    architecture: ArchitectureChoice | None = None
    """The network: `{"preset": name}`, the id of a stored architecture, or one written out."""
    dataset: Annotated[str, Field(max_length=64, examples=["digits"])] | None = None
    """The id of a data set that is ready."""
    continue_from: Annotated[str, Field(max_length=64)] | None = None
    """The id of a finished job, to go on from its last checkpoint for `epochs` more. Architecture, data set and all
    that is not given are that job's; weights, optimizer and the count of epochs go on."""
    initial_weights: Annotated[str, Field(max_length=64)] | None = None
    """The id of a model whose weights are the first ones, wherever names and shapes agree: fine-tuning."""

    webhook: WebhookRequest | None = None
    """Whom to tell when it has ended."""

    def config(self) -> dict[str, Any]:
        """Return the fields that the engine knows."""
        return {name: getattr(self, name) for name in TrainingConfig.model_fields}


class Progress(Body):
    """How far a job is."""

    stage: str | None = None
    """What it does at the moment: training, evaluation, test."""
    epoch: int = 0
    """The epoch under way, from 1; 0 before the first."""
    epochs: int = 0
    step: int = 0
    """Steps done, over all epochs."""
    steps: int = 0
    """Steps of the whole run."""
    fraction: Number = 0.0
    """How much of the run is done, from 0 to 1."""
    images_per_second: Number = None
    eta_seconds: Number = None
    """How long it will probably go on."""
    train_loss: Number = None
    """Mean over the epoch under way."""
    train_accuracy: Number = None
    """Over the epoch under way, from 0 to 1."""
    exact_resume: bool = True
    """Whether the result will be, byte for byte, that of a run that was never interrupted."""


class EpochFigures(Body):
    """How an epoch went: mean loss and share of right answers, on the train and the dev split."""

    epoch: int
    train_loss: Number
    train_accuracy: Number
    dev_loss: Number
    dev_accuracy: Number
    learning_rate: Number
    """Of the epoch's last step."""
    seconds: Number

    @classmethod
    def of(cls, figures: dict[str, Any]) -> Self:
        """Show what a worker wrote."""
        return cls(**_known(cls, figures))


class JobError(Body):
    """Why a job failed."""

    code: str = Field(examples=["non_finite"])
    message: str


class TrainingJob(Body):
    """A training job: what was asked for, with every default written out, and what became of it."""

    id: str = Field(examples=["job_example"])
    status: JobStatus
    attempt: int
    """How often it was started; a job whose worker dies goes on as the next attempt, three times at most."""
    progress: Progress
    metrics: EpochFigures | None
    """The figures of the last epoch; those of the test split are with the model."""
    model_id: str | None
    """The model, once it has succeeded."""
    error: JobError | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    builtin: bool
    """Whether it came with the server; then it cannot be deleted."""
    name: str
    description: str | None = None
    tags: list[str] = Field(default_factory=list)
    continue_from: str | None = None
    """The job whose last checkpoint was the beginning of this one; its epochs are counted in `epochs`."""
    initial_weights: str | None = None
    """The model whose weights were the first ones."""
    queue_position: int | None = None
    """Its place among the jobs that wait, from 1; null once it has started."""
    starts_in_seconds: Number = None
    """When its turn will probably come: from what runs, and how long jobs like those before it took. Null once it has
    started, and when that cannot be told."""
    memory_bytes: int | None = None
    """How much memory it was expected to need when it was accepted; null for jobs of earlier versions."""
    webhook: Webhook | None = None
    """Whom its end is told."""
    architecture: JsonObject
    """The network; a copy, also where a preset or a stored one was named."""
    architecture_source: JsonObject | None
    """The preset or the stored architecture that was named."""
    dataset: str
    dataset_images: int
    """How many pictures the data set had; what arrives later is not trained on."""
    epochs: int
    batch_size: int
    accumulate: int = 1
    """Batches whose gradients are added up for one step."""
    seed: int
    optimizer: JsonObject
    schedule: JsonObject
    loss: JsonObject
    augmentations: list[JsonObject] = Field(default_factory=list)
    """How training pictures are varied, one after another."""
    clip: JsonObject | None = None
    """How large gradients may be."""
    weight_average: JsonObject | None = None
    """The running average of the weights that becomes the model."""
    freeze: list[str] = Field(default_factory=list)
    """Names of nodes whose weights stay as they are."""
    early_stopping: JsonObject | None = None
    """When to end before the last epoch."""
    select: str
    """Which epoch becomes the model: `best` on the dev split, or `last`."""

    @classmethod
    def of(
        cls, record: JobRecord, place: Place | None = None, delivery: DeliveryRecord | None = None
    ) -> Self:
        """Show a record, with its place in the line if it waits, and the message of its end if there is one."""
        request = {key: value for key, value in record.request.items() if key in cls.model_fields}
        return cls(
            id=record.id,
            status=record.status,
            attempt=record.attempt,
            progress=Progress(**_known(Progress, record.progress)),
            metrics=EpochFigures.of(record.metrics) if record.metrics else None,
            model_id=record.model_id,
            error=JobError(**record.error) if record.error else None,
            created_at=record.created_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
            builtin=record.builtin,
            queue_position=None if place is None else place.position,
            starts_in_seconds=None if place is None else place.starts_in_seconds,
            memory_bytes=record.memory_bytes,
            webhook=Webhook.of(record, delivery),
            **request,
        )


def _known(kind: type[Body], values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a schema has a field for: a worker may be of another version than we are."""
    return {key: value for key, value in values.items() if key in kind.model_fields}
