"""One safetensors file that holds all of a model: weights, architecture, classes, preprocessing.

The metadata is one key of canonical JSON, so that equal models are equal files. A reader checks the
description and every shape against it before it allocates anything. No pickle is involved anywhere.
Format: Hugging Face, safetensors (header length, JSON header, then the arrays).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from engine.arrays import Array, Shape
from engine.errors import EngineError, ModelFileError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.layers import WeightSpec
from engine.recipe.losses import AnyLoss, Loss
from engine.recipe.targets import Target

FORMAT_VERSION = 1
_KEY = "convserve"
_BEFORE_VALUES = ",[{"
"""What stands before each value of JSON, and elsewhere only within texts."""
_TYPES = ("F32", "F16")
"""Types of arrays that are read; all of them become float32."""


class ArrayHeader(NamedTuple):
    """What the header of a file says about an array."""

    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Model:
    """A trained network and all that is needed to use it."""

    architecture: Architecture
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    loss: Loss
    weights: dict[str, Array] = field(repr=False)
    metadata: dict[str, Any] = field(default_factory=dict)
    """What is good to know but changes no prediction: data set, configuration, versions, metrics."""
    target: Target = "class"
    """What it says of a picture: one of the classes, any of the labels or numbers that `classes` names."""


def model_bytes(model: Model) -> bytes:
    """Return the model as the bytes of a safetensors file; equal models give equal bytes."""
    description = {
        "format_version": FORMAT_VERSION,
        "kind": "model",
        "architecture": model.architecture.document(),
        "target": model.target,
        "classes": list(model.classes),
        "preprocessing": model.preprocessing.model_dump(mode="json"),
        "loss": model.loss.model_dump(mode="json"),
        "metadata": model.metadata,
    }
    return pack(model.weights, description)


def read_model(path: Path, max_bytes: int | None = None, max_parameters: int | None = None) -> Model:
    """Read a model file.

    Raises:
        ModelFileError: no model file, damaged, of a later version, or not fitting its own description.
        ShapeError, GraphError, LimitError: the architecture in it cannot be built here.
    """
    description = read_description(path, "model", max_bytes)
    try:
        architecture = Architecture.model_validate(description["architecture"])
        preprocessing = Preprocessing.model_validate(description["preprocessing"])
        loss: Loss = TypeAdapter(AnyLoss).validate_python(description["loss"])
        classes = TypeAdapter(tuple[str, ...]).validate_python(description["classes"])
        # Files of before there were labels and values do not say.
        target: Target = TypeAdapter(Target).validate_python(description.get("target", "class"))
    except KeyError as error:
        raise ModelFileError(f"the model file's description has no {error.args[0]!r}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(map(str, first["loc"]))
        raise ModelFileError(f"the model file's description is not valid: {where}: {first['msg']}") from None
    network = Network.build(architecture, max_parameters)
    try:
        loss.check_target(target)
        loss.check(network.without_final(loss.link).output_shape, len(classes), target)
    except EngineError as error:
        raise ModelFileError(f"the model file contradicts itself: {error.detail}") from None
    if (
        len(preprocessing.mean) != network.input_shape[2]
        or len(preprocessing.deviation) != network.input_shape[2]
    ):
        raise ModelFileError("the model file's preprocessing does not fit the channels of its input")
    weights = unpack(path, network.weight_specs)
    metadata = dict(description.get("metadata", {}))
    return Model(architecture, classes, preprocessing, loss, weights, metadata, target)


def pack(arrays: dict[str, Array], description: dict[str, Any]) -> bytes:
    """Return arrays and a description as the bytes of a safetensors file."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(contiguous, {_KEY: text})


def read_description(
    path: Path, kind: str, max_bytes: int | None = None, max_values: int | None = None
) -> dict[str, Any]:
    """Return the description in a safetensors file that `pack` made, without reading any array.

    Args:
        path: of the file.
        kind: what it must be.
        max_bytes: the most that the file may have.
        max_values: the most values that its description may have, counted roughly before any is parsed.

    Raises:
        ModelFileError: too large, damaged, foreign, of another kind or of a later version.
    """
    _check_size(path, max_bytes)
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
        if max_values is not None and text is not None and sum(map(text.count, _BEFORE_VALUES)) > max_values:
            raise ModelFileError(f"its description holds more than {max_values} values")
        description = json.loads(text) if text is not None else None
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"the file is no readable safetensors file: {error}") from None
    if not isinstance(description, dict):
        raise ModelFileError(
            f"the file's metadata has no {_KEY!r} description",
            hint="only files written by convserve have one; say the preset of weights of torchvision or timm",
        )
    version = description.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ModelFileError(
            f"the file has format version {version!r}; this release reads up to {FORMAT_VERSION}",
            hint="read it with the release that wrote it, or a later one",
        )
    if description.get("kind") != kind:
        raise ModelFileError(f"the file is a {description.get('kind')!r}, not a {kind!r}")
    return description


def unpack(path: Path, expected: dict[str, WeightSpec], prefix: str = "") -> dict[str, Array]:
    """Read the arrays `prefix + name`, each checked against its spec before it is allocated.

    Raises:
        ModelFileError: an array is missing, superfluous (without a prefix), of another shape, or neither float32 nor
            float16.
    """
    headers = array_headers(path)
    surplus = set(headers) - set(expected) if not prefix else set()
    if surplus:
        raise ModelFileError(f"the file holds arrays that its architecture has no place for: {few(surplus)}")
    missing = {prefix + name for name in expected} - set(headers)
    if missing:
        raise ModelFileError(f"the file lacks arrays that its architecture needs: {few(missing)}")
    for name, spec in expected.items():
        found = headers[prefix + name]
        if found.shape != spec.shape or found.dtype not in _TYPES:
            raise ModelFileError(
                f"the array {prefix + name!r} is {found.dtype} {list(found.shape)}; "
                f"its architecture needs F32 or F16 {list(spec.shape)}"
            )
    return {
        name.removeprefix(prefix): array
        for name, array in read_arrays(path, [prefix + name for name in expected])
    }


def array_headers(path: Path, max_bytes: int | None = None) -> dict[str, ArrayHeader]:
    """Return the type and the shape of each array in a safetensors file, without reading any.

    Raises:
        ModelFileError: too large or damaged.
    """
    _check_size(path, max_bytes)
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return {
                name: ArrayHeader(each.get_dtype(), tuple(each.get_shape())) for name, each in found.items()
            }
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"the file is no readable safetensors file: {error}") from None


def read_arrays(path: Path, names: Iterable[str]) -> Iterator[tuple[str, Array]]:
    """Yield arrays of a safetensors file as float32, one after another; their shapes are to be checked before.

    Raises:
        ModelFileError: damaged, or an array is neither float32 nor float16.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            for name in names:
                dtype = file.get_slice(name).get_dtype()
                if dtype not in _TYPES:
                    raise ModelFileError(f"the array {name!r} is {dtype}; {' and '.join(_TYPES)} are read")
                yield name, file.get_tensor(name).astype(np.float32, copy=False)
    except SafetensorError as error:
        raise ModelFileError(f"the file is damaged: {error}") from None


def _check_size(path: Path, max_bytes: int | None) -> None:
    size = path.stat().st_size
    if max_bytes is not None and size > max_bytes:
        raise ModelFileError(f"the file has {size:,} bytes; at most {max_bytes:,} are read")


def few(names: set[str]) -> str:
    """Name the first of many names, and say how many more there are."""
    listed = sorted(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
