"""What a caller says of a model file that does not say it itself, held against the network in the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from app.api.pictures import PictureSpec
from app.api.requests.model_files import ModelImport
from app.errors import Invalid
from app.text import MAX_NAME, is_name
from engine.inputs.preprocessing import Preprocessing


def class_names(said: ModelImport, count: int, default: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names of the outputs, of which there are `count`; by default numbers from 0.

    Raises:
        Invalid: there are others, or they cannot be shown.
    """
    if said.classes is None:
        return tuple(map(str, range(count))) if default is None else tuple(default)
    if len(said.classes) != count:
        detail = f"there are {len(said.classes)} names, and the network has {count} outputs"
        raise Invalid.at("classes", detail, f"name {count} classes, in the order of the outputs")
    bad = next((place for place, name in enumerate(said.classes) if not is_name(name)), None)
    if bad is not None:
        detail = "the name of a class is some printable characters"
        raise Invalid.at(("classes", bad), detail, f"use 1 to {MAX_NAME} of them")
    return said.classes


def preprocessing(said: ModelImport, channels: int, default: Preprocessing | None) -> Preprocessing:
    """Return what is subtracted from pictures and what they are divided by; None as default asks the caller for it.

    Raises:
        Invalid: it is missing, or of another number of channels.
    """
    wanted = said.preprocessing
    if wanted is None:
        if default is None:
            detail = f"it is needed for pictures of {channels} channels"
            raise Invalid.at("preprocessing", detail, "say mean and deviation of each channel")
        return default
    for name in ("mean", "deviation"):
        if len(getattr(wanted, name)) != channels:
            detail = f"it has {len(getattr(wanted, name))} numbers, and the pictures have {channels} channels"
            raise Invalid.at(("preprocessing", name), detail, "say one number for each channel")
    return Preprocessing(mean=wanted.mean, deviation=wanted.deviation)


def picture(said: ModelImport, shape: Sequence[int], default: Mapping[str, Any]) -> PictureSpec:
    """Return how pictures are fitted to a network's input (height, width, channels).

    Raises:
        Invalid: what the caller says of it is wrong, or the input is no picture.
    """
    if shape[2] not in (1, 3):
        detail = f"the network takes {list(shape)}, and pictures have 1 or 3 channels"
        raise Invalid.at(
            "file", detail, "only networks that look at grey or coloured pictures are served here"
        )
    wanted = None if said.preprocessing is None else said.preprocessing.picture
    try:
        found = PictureSpec.model_validate(
            {"image_shape": shape} | dict(default if wanted is None else wanted)
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid.at(("preprocessing", "picture", *first["loc"]), first["msg"]) from None
    if found.image_shape != tuple(shape):
        place = ("preprocessing", "picture", "image_shape")
        raise Invalid.at(
            place, f"the network takes {list(shape)}", "leave it out, or say input_shape as well"
        )
    return found
