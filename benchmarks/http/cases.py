"""What is asked of every server: a picture or a tensor for a network, and the network's files for each of them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.model.model_file import Model, model_bytes
from engine.model.onnx_format.write import export_model
from engine.presets import find
from engine.recipe.config import TrainingConfig


@dataclass(frozen=True)
class Case:
    """A picture of a format and size for a preset of ten classes."""

    preset: str
    format: str
    """Of the file; `FP32` for a tensor of what the first layer receives, for which there is no file."""
    side: int
    """Height and width of the picture that is sent."""
    channels: int

    @property
    def title(self) -> str:
        """What it is called in tables."""
        sent = "tensor" if self.is_tensor else self.format
        return f"{self.side}x{self.side} {sent} to {self.preset}"

    @property
    def is_tensor(self) -> bool:
        """Whether numbers are sent, and asked for, in place of a picture."""
        return self.format == "FP32"

    @property
    def media_type(self) -> str:
        """Of what is sent."""
        return "application/octet-stream" if self.is_tensor else f"image/{self.format.lower()}"

    def tensor(self) -> NDArray[np.float32]:
        """Return numbers by chance, (1, H, W, C)."""
        shape = (1, self.side, self.side, self.channels)
        return np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def picture(self) -> bytes:
        """Return the picture: patches of colour with soft edges and some noise, as a camera makes them."""
        draw = np.random.default_rng(0)
        patches = Image.fromarray(draw.integers(0, 256, (7, 7, 3), np.uint8))
        smooth = patches.resize((self.side, self.side), Image.Resampling.BICUBIC)
        pixels = np.array(smooth.filter(ImageFilter.GaussianBlur(1)), np.float64)
        pixels += draw.normal(0, 4, pixels.shape)
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        file = io.BytesIO()
        (image if self.channels == 3 else image.convert("L")).save(file, self.format)
        return file.getvalue()


CASES: Mapping[str, Case] = {
    "lenet": Case("lenet-5", "PNG", 28, 1),
    "lenet-tensor": Case("lenet-5", "FP32", 28, 1),
    "resnet": Case("resnet-20", "JPEG", 224, 3),
    "mobilenet": Case("mobilenet-v2", "JPEG", 224, 3),
}


def write_files(case: Case, folder: Path) -> tuple[Path, Path]:
    """Write a network with the same weights, drawn by chance, as a model file of ours and as ONNX; return both."""
    preset = find(case.preset)
    if preset is None:
        raise ValueError(f"there is no preset {case.preset!r}")
    architecture = preset.architecture(classes=10)
    network = Network.build(architecture)
    weights = network.initial_weights(0)
    identity = Preprocessing(mean=(0.0,) * case.channels, deviation=(1.0,) * case.channels)
    classes = tuple(str(number) for number in range(10))
    metadata = {"picture": {"image_shape": list(network.input_shape)}, "name": case.preset}
    model = Model(architecture, classes, identity, TrainingConfig().loss, weights, metadata)
    ours, theirs = folder / f"{case.preset}.safetensors", folder / f"{case.preset}.onnx"
    ours.write_bytes(model_bytes(model))
    theirs.write_bytes(b"".join(export_model(model).pieces()))
    return ours, theirs
