"""What jobs are asked to do, complete, as it is stored: nothing that changes later elsewhere changes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError

from app.api.choices import Choice
from app.api.downloads import PublishedName
from app.api.training_jobs import StageFeatures
from app.datasets.ingestion import Source
from app.datasets.options import DatasetOptions
from app.errors import Invalid, readable
from app.files.paths import UPLOADS
from app.store.records import JobRecord, Json
from engine.graph.architecture import Architecture
from engine.recipe.config import Pattern, TrainingConfig
from engine.spec import NonNegativeInt, PositiveInt, Spec

UploadName = Annotated[str, Field(pattern=rf"^{UPLOADS}/[0-9a-f]+$")]
"""The name of an uploaded file among the artifacts."""


S = TypeVar("S", bound=Spec)


def read_request(kind: type[S], job: JobRecord) -> S:
    """Return what a job is to do; of one that waits for its data set, what its caller has asked for.

    Raises:
        Invalid: its record holds something else.
    """
    try:
        return kind.model_validate(job.request)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = readable(first["loc"])
        raise Invalid(
            f"what this job is to do is damaged or of another version: {place}: {first['msg']}"
        ) from error


class JobRequest(Spec):
    """The base of all requests."""

    @classmethod
    def of(cls, job: JobRecord) -> Self:
        """Return what a job is to do.

        Raises:
            Invalid: its record holds something else.
        """
        return read_request(cls, job)

    def document(self) -> Json:
        """Return the request as JSON-ready data with every default written out."""
        return self.model_dump(mode="json")


class TrainingRequest(TrainingConfig, JobRequest):
    """Train a network."""

    name: Annotated[str, Field(min_length=1)]
    """What the model will be called."""
    description: str | None = None
    """What people want to know about it."""
    tags: tuple[str, ...] = ()
    """Words to find it by."""
    continue_from: str | None = None
    """Id of the job whose last checkpoint is the beginning of this one."""
    initial_weights: str | None = None
    """Id of the model whose weights are the first ones of this job, where names and shapes agree."""
    initial_model: str | None = None
    """That model's name and version: `digits@2`."""
    origin: dict[str, Any] | None = None
    """Whose weights they were, and under which licence, as the model's file says."""
    train: str | dict[str, str] | None = None
    """What is trained of the network of `initial_weights`, which has a new head: `head`, `all`, `{"from": node}`."""
    head_epochs: NonNegativeInt = 0
    """Epochs in which the head learns alone before what `freeze` leaves learns with it; they count in `epochs`."""
    head_freeze: Annotated[tuple[Pattern, ...], Field(max_length=1000)] = ()
    """What is frozen in those."""
    variants: NonNegativeInt = 0
    """Of pictures that are augmented, how many variants of each have features that are kept."""
    features_cached: bool = False
    """Whether what the frozen layers make of the pictures is computed once and kept, in the first stage."""
    features: tuple[StageFeatures, ...] = ()
    """The same of every stage of a transfer; none in jobs that were accepted by earlier versions."""
    architecture: Architecture
    """The network; a copy, also where the caller named a preset or a stored architecture."""
    architecture_source: dict[str, Any] | None = None
    """Where it came from, for display: `{"preset": "lenet-5"}`, `{"id": "arch_..."}` or `{"model": "model_..."}`."""
    dataset: str
    """Id of the data set."""
    dataset_images: PositiveInt
    """How many pictures the data set had; what arrived since is not trained on."""
    nodes: PositiveInt = 1
    """On how many nodes each batch is computed."""
    dataset_revision: NonNegativeInt = 0
    """Its revision then; what was corrected since is not seen."""
    warnings: tuple[str, ...] = ()
    """What the caller should know about it."""
    chosen: tuple[Choice, ...] = ()
    """What the caller left open and was chosen to fit the data."""

    @property
    def trunk_model(self) -> str:
        """Id of the model whose trunk is used, also where the job goes on from another one's checkpoint."""
        return str((self.architecture_source or {}).get("model"))

    def trains_on_features(self, stage: int) -> bool:
        """Tell whether a stage, from 0, learns from features that are kept."""
        if self.features:
            return self.features[stage].cached
        return self.features_cached and not stage

    @property
    def config(self) -> TrainingConfig:
        """The part that the engine wants to know."""
        return TrainingConfig.model_validate(
            {name: getattr(self, name) for name in TrainingConfig.model_fields}
        )

    @property
    def stages(self) -> tuple[TrainingConfig, ...]:
        """How the network is trained, stage by stage; the `epochs` of each are those of all up to its end."""
        if not self.head_epochs:
            return (self.config,)
        changes = {
            "epochs": min(self.head_epochs, self.epochs),
            "freeze": self.head_freeze,
            "augmentations": (),
            "learning_rate_factors": {},
        }
        return self.config.model_copy(update=changes), self.config

    def document(self) -> Json:
        """Return the request as JSON-ready data with every default written out."""
        return {
            **self.model_dump(mode="json", serialize_as_any=True),
            "architecture": self.architecture.document(),
        }


class IngestionRequest(JobRequest):
    """Make a data set of an upload."""

    dataset_id: str
    upload: UploadName
    labels: UploadName | None = None
    """The file of labels that belongs to one of images."""
    source: Source
    options: DatasetOptions


class DownloadRequest(JobRequest):
    """Make a data set of files that are published elsewhere."""

    dataset_id: str
    download: PublishedName
    options: DatasetOptions


class AddedFile(Spec):
    """A file that was sent."""

    filename: str
    """The name that it had; empty for none."""
    upload: UploadName


class AdditionRequest(JobRequest):
    """Add pictures to a data set: one archive, or files of one label."""

    dataset_id: str
    files: tuple[AddedFile, ...]
    label: str | None = None
    """The class of all files; without one the file is an archive of class folders."""


class EvaluationRequest(JobRequest):
    """Judge a model by the pictures of a data set."""

    model: str
    """Id of the model."""
    dataset: str
    """Id of the data set."""
    dataset_images: PositiveInt
    """How many pictures the data set had; what arrived since is not looked at."""
    dataset_revision: NonNegativeInt = 0
    """Its revision then; what was corrected since is not seen."""
    split: Literal["train", "dev", "test"] = "test"
    """The split that is looked at closely."""
    warnings: tuple[str, ...] = ()
    """What makes its figures worth less."""
    part_images: NonNegativeInt = 0
    """About how many pictures each of its parts looks at, which are jobs of their own; 0: it has none."""


class BatchPredictionRequest(JobRequest):
    """Let a model look at every picture of an archive."""

    model: str
    """Id of the model."""
    top_k: PositiveInt
    """How many classes are named for each picture."""
    upload: UploadName
    """The archive."""
    filename: str
    """The name that it was uploaded under; empty when it had none."""
    images: PositiveInt
    """How many files it holds."""
    part_images: NonNegativeInt = 0
    """How many pictures each of its parts looks at, which are jobs of their own; 0: it has none."""


class PartRequest(JobRequest):
    """Look at some of the pictures of another job: the one that this is a part of."""

    first: NonNegativeInt
    """The place of the first one, from 0, in the order in which the whole looks at them."""
    images: PositiveInt
    """How many."""
