"""Models whose weights are written by hand: each output is how much of one colour is in a picture."""

from typing import Any

import httpx
import numpy as np

from engine.graph.architecture import Architecture
from engine.inputs.preprocessing import Preprocessing
from engine.model.model_file import Model, model_bytes
from engine.recipe.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from engine.recipe.targets import Target

LOSSES: dict[Target, Loss] = {
    "class": SoftmaxCrossEntropy(),
    "labels": BinaryCrossEntropy(),
    "values": MeanSquaredError(),
}
COLOURS = ("red", "green", "blue")


def colour_model(
    shape: tuple[int, int] = (16, 16),
    target: Target = "class",
    classes: tuple[str, ...] = COLOURS,
    convolution: bool = True,
    **fit: Any,
) -> bytes:
    """Return a model file: `colours` is a map of how much of each colour there is, which is averaged."""
    colours = {"type": "conv2d", "filters": 3, "kernel_size": 1, "activation": "relu", "name": "colours"}
    layers = [
        *([colours] if convolution else []),
        {"type": "global_average_pool2d", "name": "means"},
        {"type": "dense", "units": len(classes), "name": "scores"},
    ]
    architecture = Architecture.model_validate({"input_shape": (*shape, 3), "layers": layers})
    weights = {
        "colours/weight": (1.5 * np.eye(3, dtype=np.float32) - 0.5).reshape(1, 1, 3, 3),
        "colours/bias": np.full(3, -0.5, np.float32),
        "scores/weight": 4 * np.eye(3, dtype=np.float32)[:, : len(classes)],
        "scores/bias": np.zeros(len(classes), np.float32),
    }
    if not convolution:
        del weights["colours/weight"], weights["colours/bias"]
    preprocessing = Preprocessing(mean=(0.5,) * 3, deviation=(0.25,) * 3)
    metadata = {"name": "colours", "picture": {"image_shape": [*shape, 3], **fit}}
    return model_bytes(Model(architecture, classes, preprocessing, LOSSES[target], weights, metadata, target))


def imported(http: httpx.Client, file: bytes) -> str:
    """Import a model file and return the id of the model."""
    answer = http.post(
        "/v1/models/import", content=file, headers={"Content-Type": "application/octet-stream"}
    )
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    return identifier
