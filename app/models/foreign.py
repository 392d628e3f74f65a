"""Weights of other libraries as models: what their files do not say is said by the caller, or is as for ImageNet."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from app.api.pictures import MAX_SIDE, PictureSpec
from app.api.requests.model_files import ModelImport
from app.errors import Invalid
from app.settings import Settings
from app.text import MAX_NAME, is_name, nearest
from engine import presets
from engine.inputs.preprocessing import Preprocessing
from engine.model.foreign.mapping import read_foreign
from engine.model.foreign.names import TABLES
from engine.model.model_file import Model
from engine.presets.base import Preset
from engine.recipe.losses import SoftmaxCrossEntropy

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Of the channels of ImageNet's pictures, scaled to 0..1: what torchvision and timm subtract and divide by."""


def read_foreign_model(path: Path, said: ModelImport, settings: Settings) -> tuple[Model, tuple[str, ...]]:
    """Read a file with the names of torchvision or timm; return the model, and the arrays that it does not use.

    Raises:
        Invalid: a field of the call is wrong, or does not fit the file.
        EngineError: the file is damaged, not of the preset, or too large.
    """
    preset = _preset(said.preset or "")
    read = read_foreign(path, preset, said.input_shape, settings.max_parameters, settings.max_upload_bytes)
    shape = read.architecture.input_shape
    preprocessing = _preprocessing(said, shape[2])
    picture = _picture(said, shape)
    count = len(read.weights[next(reversed(read.weights))])
    if said.classes is not None and len(said.classes) != count:
        detail = f"there are {len(said.classes)} names, and the network has {count} outputs"
        raise Invalid.at("classes", detail, f"name {count} classes, in the order of the outputs")
    bad = next((place for place, name in enumerate(said.classes or ()) if not is_name(name)), None)
    if bad is not None:
        detail = "the name of a class is some printable characters"
        raise Invalid.at(("classes", bad), detail, f"use 1 to {MAX_NAME} of them")
    metadata = {
        "name": preset.name,
        "picture": picture.model_dump(mode="json"),
        "origin": {"preset": preset.name, "format": read.format},
    }
    classes = said.classes or tuple(map(str, range(count)))
    model = Model(
        read.architecture, classes, preprocessing, SoftmaxCrossEntropy(), read.weights, metadata=metadata
    )
    return model, read.unused


def _preset(name: str) -> Preset:
    preset = presets.find(name) if name in TABLES else None
    if preset is None:
        what = "has no counterpart in torchvision or timm" if presets.find(name) else "is no preset"
        raise Invalid.at(
            "preset", f"{name[:100]!r} {what}", f"choose one of {', '.join(nearest(name, list(TABLES)))}"
        )
    return preset


def _preprocessing(said: ModelImport, channels: int) -> Preprocessing:
    wanted = said.preprocessing
    if wanted is None and channels != len(IMAGENET_MEAN):
        detail = f"it is needed for pictures of {channels} channels"
        raise Invalid.at("preprocessing", detail, "say mean and deviation of each channel")
    if wanted is None:
        return Preprocessing(mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION)
    for name in ("mean", "deviation"):
        if len(getattr(wanted, name)) != channels:
            detail = f"it has {len(getattr(wanted, name))} numbers, and the pictures have {channels} channels"
            raise Invalid.at(("preprocessing", name), detail, "say one number for each channel")
    return Preprocessing(mean=wanted.mean, deviation=wanted.deviation)


def _picture(said: ModelImport, shape: tuple[int, ...]) -> PictureSpec:
    """Return how pictures are fitted; by default as for ImageNet: scaled to 256 for the middle of 224."""
    wanted = None if said.preprocessing is None else said.preprocessing.picture
    if wanted is None:
        resize = min(max(shape[:2]) * 256 // 224, MAX_SIDE)
        wanted = {"fit": "cover", "resize": resize}
    try:
        picture = PictureSpec.model_validate({"image_shape": shape} | wanted)
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid.at(("preprocessing", "picture", *first["loc"]), first["msg"]) from None
    if picture.image_shape != tuple(shape):
        place = ("preprocessing", "picture", "image_shape")
        raise Invalid.at(
            place, f"the network takes {list(shape)}", "leave it out, or say input_shape as well"
        )
    return picture
