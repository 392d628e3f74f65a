"""Answers about training jobs."""

from __future__ import annotations

from pydantic import Field

from app.api.choices import Choice
from app.api.common import Body, JsonObject, Number, Time
from app.api.jobs import JobBody


class Progress(Body):
    """How far a job is."""

    stage: str | None = None
    """What it does at the moment: waiting (for its data set), queued, nodes (waiting for
    the others), features, training, evaluation, test, report."""
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


class StageFeatures(Body):
    """Whether a stage of a job learns from what the frozen layers make of each picture, computed once."""

    until_epoch: int = Field(examples=[40])
    """The last epoch of the stage."""
    cached: bool
    """Whether it is computed once, and kept for later jobs; if not, every epoch computes it again."""
    node: str | None = Field(examples=["inverted_residual_14/body/batch_norm_3"])
    """Where the network is cut: the last node whose output is the same in every epoch. Null where none is."""
    bytes: int | None = Field(examples=[2508800])
    """The size of these outputs of all pictures, with their variants. Null without a node."""
    reason: str | None
    """Why it is not computed once, if it is not."""


class TrainingJobEntry(JobBody):
    """A training job as lists show it: what was asked for, and what became of it.

    Of a job that waits for its data set (`waiting_for`), what is not decided yet is null.
    """

    id: str = Field(examples=["job_example"])
    progress: Progress
    metrics: EpochFigures | None
    """The figures of the last epoch; those of the test split are with the model."""
    model_id: str | None
    """The model, once it has succeeded."""
    builtin: bool
    """Whether it came with the server; then it cannot be deleted."""
    name: str
    description: str | None = None
    tags: list[str] = Field(default_factory=list)
    continue_from: str | None = None
    """The job that this one continues, from its last checkpoint; its epochs are counted in `epochs`."""
    initial_weights: str | None = None
    """The model whose weights were the first ones."""
    initial_model: str | None = None
    """That model's name and version."""
    origin: JsonObject | None = None
    """Where its weights are another library's: whose they are, and under which licence."""
    train: str | dict[str, str] | None = None
    """What is trained of that model's network, which has got a new head: `head`, `all` or `{"from": node}`. Null where
    the network is another one."""
    head_epochs: int = 0
    """In how many of its epochs, the first ones, the new head learns alone."""
    head_freeze: list[str] = Field(default_factory=list)
    """Names of nodes whose weights stay as they are in those."""
    variants: int = 0
    """Of pictures that are augmented, how many variants of each have features that are kept."""
    features_cached: bool = False
    """Whether what the frozen layers make of each picture is computed once, and kept for later jobs; where the head
    learns first, while it does."""
    features: list[StageFeatures] = Field(default_factory=list)
    """The same of each stage of a transfer: of the head alone, and of what is trained with it afterwards."""
    queue_position: int | None = None
    """Its place among the jobs that wait, from 1; null once it has started."""
    starts_in_seconds: Number = None
    """When its turn will probably come: from what runs, and how long jobs like those before it took. Null once it has
    started, and when it cannot be estimated."""
    memory_bytes: int | None = None
    """How much memory it was expected to need when it was accepted; null for jobs of earlier versions."""
    warnings: list[str] = Field(default_factory=list)
    """What should be known about it: that its data set has more pictures than it trains on, or is about to."""
    chosen: list[Choice] = Field(default_factory=list)
    """What the request left open and was chosen to fit the data, and why."""
    checkpoint_until: Time | None = None
    """How long its last checkpoint is kept, so that another job can continue from it. Null before its end, and when
    there is none (any more)."""
    architecture_source: JsonObject | None
    """The preset, the stored architecture or the model that was named."""
    dataset: str
    dataset_images: int | None = None
    """How many pictures the data set had; what arrives later is not trained on."""
    dataset_revision: int = 0
    """The revision of the data set; what is corrected later is not seen."""
    nodes: int = 1
    """On how many nodes each batch is computed."""
    epochs: int | None = None
    batch_size: int | None = None
    accumulate: int = 1
    """Batches whose gradients are added up for one step."""
    seed: int = 0
    optimizer: JsonObject | None = None
    schedule: JsonObject | None = None
    loss: JsonObject | None = None
    augmentations: list[JsonObject] = Field(default_factory=list)
    """How training pictures are varied, one after another."""
    clip: JsonObject | None = None
    """How large gradients may be."""
    weight_average: JsonObject | None = None
    """The running average of the weights that becomes the model."""
    freeze: list[str] = Field(default_factory=list)
    """Names of nodes whose weights stay as they are."""
    learning_rate_factors: dict[str, float] = Field(default_factory=dict)
    """What the learning rate is multiplied by, by names of nodes."""
    early_stopping: JsonObject | None = None
    """When to end before the last epoch."""
    select: str | None = None
    """Which epoch becomes the model: the `best` by dev loss, that of the highest dev `accuracy`, or the `last`."""


class TrainingJob(TrainingJobEntry):
    """A training job: what was asked for, with every default written out, and what became of it."""

    architecture: JsonObject | None = None
    """The network; a copy, also where a preset or a stored one was named."""
