"""Bodies of models and predictions."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from app.schemas.common import Body, JsonObject, Number, Time
from app.store.records import ModelRecord
from engine.spec import Spec


class Model(Body):
    """A trained network; it never changes."""

    id: str = Field(examples=["model_example"])
    name: str
    version: int
    """1, 2, ... among the models of the same name."""
    classes: list[str]
    """The names of the classes, in the order of the outputs."""
    input_shape: list[int]
    """[height, width, channels] to which every picture is fitted."""
    preprocessing: JsonObject
    """What is done to a picture before the network sees it."""
    architecture: JsonObject
    training_job_id: str | None
    """The job that made it; it may have been deleted since."""
    metrics: dict[str, Number]
    """`test_accuracy`, `test_loss` and others, and `kept_epoch`: the epoch that the weights are from."""
    bytes: int
    """The size of its file."""
    sha256: str
    """The checksum of its file."""
    provenance: JsonObject | None
    """How it was made: `dataset` (its `fingerprint` is that of the pictures), `training` (the configuration), `loss`,
    and `environment` (the versions of NumPy and BLAS); null when its file cannot be read."""
    created_at: Time
    builtin: bool
    """Whether it came with the server; then it cannot be deleted."""

    @classmethod
    def of(cls, record: ModelRecord, provenance: JsonObject | None) -> Self:
        """Show a record, and what its file says about its making."""
        stored = {name: getattr(record, name) for name in cls.model_fields if name != "provenance"}
        return cls(**stored, provenance=provenance)


class PredictionRequest(Spec):
    """Pictures to look at."""

    images: Annotated[list[str], Field(min_length=1)]
    """Picture files (PNG, JPEG, ...) in base64; a `data:` URL is fine too."""


class Candidate(Body):
    """A class, and how probable the model finds it."""

    label: str
    class_index: int
    probability: Number
    """From 0 to 1."""


class Prediction(Candidate):
    """The most probable class of one picture."""

    filename: str | None
    """The name under which it was uploaded."""
    top: list[Candidate]
    """The most probable classes, the best first."""


class Predictions(Body):
    """What a model sees in each picture, in the order in which they were sent."""

    model_id: str
    data: list[Prediction]
