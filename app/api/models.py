"""Answers about models and predictions."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from app.api.common import Body, FieldProblem, JsonObject, Number, Time
from engine.recipe.targets import Target


class ModelEntry(Body):
    """A trained network as lists show it; what it computes never changes."""

    id: str = Field(examples=["model_example"])
    name: str
    version: int
    """1, 2, ... among the models of the same name."""
    target: Target
    """What it says of a picture: its `class`, any number of `labels`, or `values`."""
    classes: list[str]
    """The names of the classes, labels or values, in the order of the outputs."""
    input_shape: list[int]
    """[height, width, channels] to which every picture is fitted."""
    preprocessing: JsonObject
    """What is done to a picture before the network sees it."""
    training_job_id: str | None
    """The job that made it; it may have been deleted since."""
    metrics: dict[str, Number]
    """`test_accuracy`, `test_loss` and others, and `kept_epoch`: the epoch that the weights are from."""
    bytes: int
    """The size of its file."""
    sha256: str
    """The checksum of its file."""
    description: str | None
    """A text for people."""
    tags: list[str]
    """Words to find it by."""
    created_at: Time
    builtin: bool
    """Whether it came with the server; then it cannot be deleted."""


class Model(ModelEntry):
    """A trained network with its architecture, and how it was made."""

    architecture: JsonObject
    computed_by: Literal["numpy", "onnxruntime"] | None = None
    """What computes its predictions in the process that answers; null while it is not in memory there."""
    provenance: JsonObject | None
    """How it was made: `dataset` (its `fingerprint` is that of the pictures), `initial_weights` (name and version of
    the model that it began with, and what of it was trained), `training` (the configuration), `loss`, `environment`
    (the versions of NumPy and BLAS) and `origin` (of weights of another library: whose they are, and under which
    licence; also where training began with them); null when its file cannot be read."""


class ImportReport(Body):
    """What became of the arrays of a file."""

    format: str
    """`convserve` for files of a server like this one, `onnx`, or `torchvision` or `timm` after the names of arrays."""
    mapped: int
    """How many arrays became weights of the model."""
    folded: list[str]
    """Nodes of an ONNX graph that were computed while it was read: they depend on no picture."""
    assumed: list[str]
    """Fields that neither an ONNX file nor the call says, so that they are as by default: the model shows them."""
    unused: list[str]
    """Names of arrays of the file that the network has no place for."""
    missing: list[str]
    """Names of arrays that the file lacks; none, for such a file is refused."""


class ImportedModel(Model):
    """A model that was just imported."""

    model_config = ConfigDict(serialize_by_alias=True)

    import_: ImportReport = Field(alias="import")


class Alias(Body):
    """A word that stands for one model of a name; write `name@alias` in place of the model's id."""

    name: str
    alias: str
    model_id: str
    updated_at: Time


class Candidate(Body):
    """A class or label, and how probable the model finds it."""

    label: str
    class_index: int
    probability: Number
    """From 0 to 1."""


class PredictedValue(Body):
    """A number that the model predicts."""

    name: str
    value: Number


class Prediction(Body):
    """What the model sees in one picture."""

    label: str | None
    """The most probable class; null for models of labels or values and where there is an `error`, as are `class_index`
    and `probability`."""
    class_index: int | None
    probability: Number
    """From 0 to 1."""
    filename: str | None
    """The name under which it was uploaded."""
    top: list[Candidate]
    """The most probable classes or labels, the best first; none for models of values."""
    labels: list[Candidate] | None = None
    """All labels at least as probable as `threshold`, the most probable first; null for other models."""
    values: list[PredictedValue] | None = None
    """The values; null for other models."""
    error: FieldProblem | None = None
    """Why nothing is predicted for this picture: with `errors=report`; else null."""


class Predictions(Body):
    """What a model sees in each picture, in the order in which they were sent."""

    model_id: str
    data: list[Prediction]


class PreprocessedPicture(Body):
    """A picture as a model sees it."""

    model_id: str
    image_shape: list[int]
    """[height, width, channels]"""
    pixels: list[list[list[int]]]
    """The picture fitted to the model's input, 0 to 255."""
    input: list[list[list[float]]]
    """The numbers that the first layer receives: the pixels less the mean, divided by the deviation."""
