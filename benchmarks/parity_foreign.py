"""Networks of torchvision and timm beside our presets with the same weights, read from safetensors."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks.foreign_arrays import draw, picture
from benchmarks.parity_rows import Arrays
from benchmarks.torchvision_networks import get_model
from engine import presets
from engine.graph.network import Network
from engine.layers import Context
from engine.model.foreign.mapping import read_foreign
from engine.model.foreign.names import TABLES

CLASSES = 10
TOLERANCE = 1e-4
_TIMM = {"mobilenet-v2": "mobilenetv2_100", "vgg-11": "vgg11", "vgg-16": "vgg16"}


def torchvision_module(preset: str, classes: int = CLASSES) -> nn.Module:
    """Return torchvision's network of a preset, with weights as they are drawn there."""
    names = {
        "squeezenet-1.0": "squeezenet1_0",
        "squeezenet-1.1": "squeezenet1_1",
        "mobilenet-v2": "mobilenet_v2",
    }
    name = names.get(preset, preset.replace("-", ""))
    return get_model(name, num_classes=classes)


def _timm(preset: str) -> nn.Module:
    import timm  # noqa: PLC0415 - imports torchvision

    module: nn.Module = timm.create_model(_TIMM[preset], pretrained=False, num_classes=CLASSES)
    return module


_MAKERS: dict[str, Callable[[str], nn.Module]] = {"torchvision": torchvision_module, "timm": _timm}


def foreign_rows(golden: Arrays) -> dict[tuple[str, str], float]:
    """Return the largest difference of each preset and library as a share of the largest output.

    What the library answers is put into `golden`; the weights are drawn anew where it is read.
    """
    rows = {}
    for preset_name, libraries in TABLES.items():
        preset = next(preset for preset in presets.PRESETS if preset.name == preset_name)
        # those with dense layers behind a flatten take one size
        size = 224 if any(layer["type"] == "flatten" for layer in preset.layers(CLASSES)) else 64
        for library in libraries:
            module = _MAKERS[library](preset_name).eval()
            shapes = {name: tuple(array.shape) for name, array in module.state_dict().items()}
            module.load_state_dict({name: torch.from_numpy(array) for name, array in draw(shapes).items()})
            x = picture((size, size, 3))
            with torch.no_grad():
                theirs = module(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "weights.safetensors"
                save_file(module.state_dict(), path)
                read = read_foreign(path, preset, (size, size, 3))
            ours = Network.build(read.architecture).forward(read.weights, x, Context()).output
            rows[preset_name, library] = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
            golden[f"{preset_name} {library}/shapes"] = np.frombuffer(_written(shapes), np.uint8)
            golden[f"{preset_name} {library}/size"] = np.array(size)
            golden[f"{preset_name} {library}/output"] = theirs
    return rows


def _written(shapes: dict[str, tuple[int, ...]]) -> bytes:
    return json.dumps(shapes, separators=(",", ":")).encode()
