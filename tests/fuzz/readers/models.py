"""Model files: ours, weights of other libraries, and ONNX."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from functools import partial

import numpy as np
from onnx import ModelProto

from app.api.requests.model_files import EXAMPLE_MODEL, ModelImport
from app.models.model_files import ModelSource, read_source
from app.settings import Settings
from engine.model.foreign.names import TABLES
from tests.engine.hostile import classifier, integers, model, node, stored, value
from tests.fuzz.readers.scratch import saved
from tests.fuzz.readers.target import SEPARATOR, Target

_PRESET = "squeezenet-1.1"
_SETTINGS = Settings(max_parameters=2_000_000, max_upload_bytes=4 << 20)


def _read(data: bytes, preset: str | None = None) -> None:
    content, found, external = data.partition(SEPARATOR)
    beside = saved(external, "external") if found else None
    said = ModelImport(file="", preset=preset)
    read_source(ModelSource(saved(content, "model"), said, "model.onnx", beside), _SETTINGS)


def _own() -> Iterator[bytes]:
    yield base64.b64decode(EXAMPLE_MODEL)


def _foreign() -> Iterator[bytes]:
    """Yield headers alone: the shapes are looked at before the numbers."""
    modules = [module for _, module in TABLES[_PRESET]["torchvision"]()]
    for shape in ([0], [64, 3, 3, 3]):
        entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        header = json.dumps({f"{module}.{kind}": entry for module in modules for kind in ("weight", "bias")})
        yield struct.pack("<Q", len(header)) + header.encode()


def _onnx() -> Iterator[bytes]:
    x = value("x", "N", 3, 5, 5)
    w, b = stored("w", np.ones((3, 3, 3, 3))), stored("b", np.zeros(3))
    dense = stored("d", np.ones((3, 27)))
    found: tuple[ModelProto, ...] = (
        classifier(),
        model(
            node("Conv", "x w b", "c", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1]),
            node("BatchNormalization", "c b b b v", "n"),
            node("Clip", "n low high", "r"),
            node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
            node("Flatten", "p", "f"),
            node("Gemm", "f d b", "g", transB=1),
            node("Softmax", "g", "y", axis=1),
            weights=(w, b, dense, stored("v", np.ones(3)), stored("low", 0.0), stored("high", 6.0)),
            x=x,
        ),
        model(
            node("Pad", "x pads", "a", mode="reflect"),
            node("Conv", "a w", "c", kernel_shape=[3, 3]),
            node("Sigmoid", "c", "s"),
            node("Mul", "c s", "m"),
            node("Add", "m c", "r"),
            node("ReduceMean", "r", "p", axes=[2, 3], keepdims=0),
            node("Shape", "x", "shape"),
            node("Gather", "shape zero", "n"),
            node("Unsqueeze", "n axis", "n1"),
            node("Concat", "n1 three", "to", axis=0),
            node("Reshape", "p to", "y"),
            weights=(
                w,
                integers("pads", 0, 0, 1, 1, 0, 0, 1, 1),
                stored("zero", 0, np.int64),
                integers("axis", 0),
                integers("three", 3),
            ),
            x=x,
        ),
    )
    for each in found:
        yield each.SerializeToString()


TARGETS = (
    Target("models.own", _read, _own),
    Target("models.foreign", partial(_read, preset=_PRESET), _foreign, takes=False),
    Target("models.onnx", _read, _onnx),
)
