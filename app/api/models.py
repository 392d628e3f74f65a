"""Bodies of models and predictions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Self

from pydantic import Field

from app.api.common import Body, JsonObject, Name, Number, Time
from app.models import prediction
from app.pictures.decode import PictureSpec
from app.store.records import AliasRecord, ModelRecord
from engine.recipe.losses import Target
from engine.spec import Spec


class Model(Body):
    """A trained network; what it computes never changes."""

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
    architecture: JsonObject
    training_job_id: str | None
    """The job that made it; it may have been deleted since."""
    metrics: dict[str, Number]
    """`test_accuracy`, `test_loss` and others, and `kept_epoch`: the epoch that the weights are from."""
    bytes: int
    """The size of its file."""
    sha256: str
    """The checksum of its file."""
    description: str | None
    """What people want to know about it."""
    tags: list[str]
    """Words to find it by."""
    provenance: JsonObject | None
    """How it was made: `dataset` (its `fingerprint` is that of the pictures), `training` (the configuration), `loss`,
    and `environment` (the versions of NumPy and BLAS); null when its file cannot be read."""
    created_at: Time
    builtin: bool
    """Whether it came with the server; then it cannot be deleted."""

    @classmethod
    def of(cls, record: ModelRecord, provenance: JsonObject | None) -> Self:
        """Show a record, and what its file says about its making."""
        # a record of an earlier version may leave out what has a default since
        picture = PictureSpec.model_validate(record.preprocessing["picture"]).model_dump(mode="json")
        preprocessing = record.preprocessing | {"picture": picture}
        computed = {"provenance": provenance, "tags": record.tags or [], "preprocessing": preprocessing}
        stored = {name: getattr(record, name) for name in cls.model_fields if name not in computed}
        return cls(**stored, **computed)


Tag = Annotated[str, Field(min_length=1, max_length=64)]


class ModelChanges(Spec):
    """What can change about a model; what is left out stays as it is."""

    name: Name = Field("", validate_default=False)
    """Under another name it becomes that name's next version."""
    description: Annotated[str | None, Field(max_length=10_000)] = None
    """What people want to know about it; null takes it away."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=64)] = ()
    """Words to find it by; they replace all that it had."""


class AliasTarget(Spec):
    """What an alias is to stand for."""

    model_id: str
    """The id of a model of that name."""


class Alias(Body):
    """A word that stands for one model of a name; write `name@alias` in place of the model's id."""

    name: str
    alias: str
    model_id: str
    updated_at: Time

    @classmethod
    def of(cls, record: AliasRecord) -> Self:
        """Show a record."""
        return cls(**{name: getattr(record, name) for name in cls.model_fields})


class PredictionRequest(Spec):
    """Pictures to look at."""

    images: Annotated[list[str], Field(min_length=1)]
    """Picture files (PNG, JPEG, ...) in base64; a `data:` URL is fine too."""


class Candidate(Body):
    """A class or label, and how probable the model finds it."""

    label: str
    class_index: int
    probability: Number
    """From 0 to 1."""


class PredictedValue(Body):
    """A number that the model tells."""

    name: str
    value: Number


class Prediction(Body):
    """What the model sees in one picture."""

    label: str | None
    """The most probable class; null for models of labels or values, as are `class_index` and `probability`."""
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

    @classmethod
    def of(cls, filename: str | None, seen: prediction.Seen) -> Self:
        """Show what was found in a picture."""
        found = asdict(seen)
        of_class = seen.labels is None and seen.values is None
        best = found["top"][0] if of_class else dict.fromkeys(Candidate.model_fields)
        return cls(**best, filename=filename, **found)


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
