"""Whether a model can be judged by the pictures of a data set."""

from __future__ import annotations

import unicodedata

from app.api.pictures import PictureSpec
from app.datasets.records import class_names, options
from app.errors import Invalid
from app.models.prediction import picture_spec
from app.store.records import DatasetRecord, ModelRecord
from engine.recipe.targets import NOUNS


def check_match(model: ModelRecord, dataset: DatasetRecord) -> None:
    """Refuse to judge a model by pictures that it cannot see or classes that it does not know.

    Raises:
        Invalid: the shapes differ, the data set has a class that the model has not, or one of the two has no classes.
    """
    check_pictures(model, dataset)
    class_places(model, dataset)


def check_pictures(model: ModelRecord, dataset: DatasetRecord) -> None:
    """Check what is known of a data set before its pictures are there: their shape, and what is told of them.

    Raises:
        Invalid: the model takes pictures of another shape, or tells something else of them.
    """
    target = options(dataset).target
    if model.target != target:
        raise Invalid(
            f"the model tells {NOUNS[model.target]}, and the pictures of data set {dataset.id!r} have "
            f"{NOUNS[target]}",
            code="other-target",
        )
    if list(model.input_shape) != list(dataset.image_shape):
        raise Invalid(
            f"the model takes pictures of {model.input_shape}, those of data set {dataset.id!r} are "
            f"{dataset.image_shape}",
            code="other-shape",
        )


def class_places(model: ModelRecord, dataset: DatasetRecord) -> list[int]:
    """Return where each class of a data set is among those of a model.

    Raises:
        Invalid: the model has not all of them.
    """
    # What earlier versions stored may have letters and accents taken apart.
    places = {unicodedata.normalize("NFC", name): place for place, name in enumerate(model.classes)}
    names = [unicodedata.normalize("NFC", name) for name in class_names(dataset)]
    unknown = [name for name in names if name not in places]
    if unknown:
        listed = ", ".join(map(repr, unknown[:5]))
        raise Invalid(
            f"the model knows no class {listed}, which data set {dataset.id!r} has", code="other-classes"
        )
    return [places[name] for name in names]


def differences(model: ModelRecord, dataset: DatasetRecord) -> tuple[str, ...]:
    """Say in what the pictures of a data set were treated otherwise than the model treats what it is shown."""
    own, other = picture_spec(model), options(dataset).picture
    return tuple(
        f"the pictures of data set {dataset.id!r} were made with {name} {getattr(other, name)!r}, and the model "
        f"treats pictures with {getattr(own, name)!r}: it may be wrong more often here than elsewhere"
        for name in PictureSpec.model_fields
        if getattr(own, name) != getattr(other, name)
    )
