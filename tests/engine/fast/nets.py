"""Small networks for tests of plans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from _pytest.mark import ParameterSet

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.presets import PRESETS

SMALL = ("lenet-5", "resnet-20", "squeezenet-1.1", "tiny-vgg")
"""Presets that take part everywhere, one of each kind; all others are slow."""


def presets(quick: Sequence[str] = SMALL) -> list[ParameterSet]:
    """Return all presets as parameters, those that are not among `quick` marked as slow."""
    return [
        pytest.param(preset, id=preset.name, marks=() if preset.name in quick else pytest.mark.slow)
        for preset in PRESETS
    ]


HEAD = [{"type": "flatten"}, {"type": "dense", "units": 5}]
CONV = {"type": "conv2d", "filters": 16, "padding": "same", "activation": "relu"}
DEPTHWISE = {"type": "depthwise_conv2d", "padding": "same"}
RESIDUAL = {
    "type": "residual",
    "layers": [{**CONV, "stride": 2}, {**CONV, "activation": None}],
    "shortcut": "projection",
}


def build(shape: tuple[int, int, int], layers: list[dict[str, Any]]) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": list(shape), "layers": layers}))


def drawn(network: Network, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return weights without zeros, and a picture."""
    draw = np.random.default_rng(seed)
    weights = {
        name: weight + draw.uniform(0.1, 0.2, weight.shape).astype(np.float32)
        for name, weight in network.initial_weights(seed).items()
    }
    return weights, draw.standard_normal((1, *network.input_shape)).astype(np.float32)
