"""Weights of other libraries as models: what their files do not say is said by the caller, or is as for ImageNet."""

from __future__ import annotations

from pathlib import Path

from app.api.pictures import MAX_SIDE
from app.api.requests.model_files import ModelImport
from app.errors import Invalid
from app.models import import_fields
from app.settings import Settings
from app.text import nearest
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
    default = Preprocessing(mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION) if shape[2] == 3 else None
    preprocessing = import_fields.preprocessing(said, shape[2], default)
    # as for ImageNet: scaled to 256 for the middle of 224
    resize = min(max(shape[:2]) * 256 // 224, MAX_SIDE)
    picture = import_fields.picture(said, shape, {"fit": "cover", "resize": resize})
    classes = import_fields.class_names(said, len(read.weights[next(reversed(read.weights))]))
    metadata = {
        "name": preset.name,
        "picture": picture.model_dump(mode="json"),
        "origin": {"preset": preset.name, "format": read.format},
    }
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
