"""Explanations of one network beside those of Captum, on the same weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from captum.attr import (
    InputXGradient,
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn

from benchmarks import torch_layers
from benchmarks.parity_rows import DTYPES, Arrays, Row
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.model.explanations import EXPLANATIONS, explain
from engine.model.explanations.gradients import SmoothGrad

SEED = 20
CLASS = 2
SHAPE = (12, 10, 3)
LAYERS: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 6, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "batch_norm"},
    {"type": "max_pool2d", "pool_size": 2},
    {
        "type": "residual",
        "layers": [{"type": "conv2d", "filters": 6, "kernel_size": 3, "padding": "same"}],
        "activation": "relu",
    },
    {"type": "flatten"},
    {"type": "dense", "units": 4},
]
# powers of two: Captum divides by the number of steps in float32
METHODS: list[dict[str, Any]] = [
    {"type": "gradient"},
    {"type": "input_x_gradient"},
    {"type": "integrated_gradients", "steps": 16},
    {"type": "integrated_gradients", "steps": 8, "baseline": "black"},
    {"type": "smooth_grad", "samples": 5},
    {"type": "grad_cam"},
    {"type": "occlusion"},
    {"type": "occlusion", "window": 5, "stride": 3, "baseline": "white"},
]
PREPROCESSING = Preprocessing(mean=(0.5, 0.4, 0.3), deviation=(0.25, 0.2, 0.3))


class _Module(nn.Module):
    """The network as Captum takes it: pictures (N, H, W, C) to scores, and a layer that puts out the node's maps."""

    def __init__(self, network: Network, weights: Arrays, node: str) -> None:
        super().__init__()
        self.network, self.node = network, node
        self.weights = {name: torch.from_numpy(array) for name, array in weights.items()}
        self.maps = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        outputs = {"input": x}
        for node in self.network.nodes:
            local = {name: self.weights[f"{node.name}/{name}"] for name in node.weights}
            inputs = [outputs[name] for name in node.inputs]
            y = torch_layers.FUNCTIONS[node.layer.type](node.layer, local, inputs, Context(node=node.name))
            if node.name == self.node:
                y = torch_layers.last(self.maps(torch_layers.first(y)))
            outputs[node.name] = y
        return outputs[self.network.nodes[-1].name]


def explanation_rows(golden: Arrays) -> dict[str, Row]:
    """Compare every method, and put what Captum says into `golden`."""
    network = Network.build(Architecture.model_validate({"input_shape": SHAPE, "layers": LAYERS}))
    generator = np.random.default_rng(SEED)
    weights = network.initial_weights(SEED)
    for name, array in weights.items():
        if name.endswith(("mean", "variance", "bias", "scale", "shift")):
            array[...] = generator.uniform(0.2, 0.8, array.shape)
    x = generator.standard_normal(SHAPE, np.float32)
    golden["layers"] = np.array(json.dumps(LAYERS))
    golden["preprocessing"] = np.array(PREPROCESSING.model_dump_json())
    golden["class"] = np.array(CLASS)
    golden["x"] = x
    golden |= {f"w {name}": array for name, array in weights.items()}
    rows = {kind.tag(): Row() for kind in EXPLANATIONS}
    kinds = {kind.tag(): kind for kind in EXPLANATIONS}
    for number, record in enumerate(METHODS):
        method = kinds[record["type"]].model_validate(record)
        rows[method.type].cases += 1
        for dtype, kind in DTYPES.items():
            if dtype == "float64" and method.type == "occlusion":
                continue  # Captum divides in float32 at the end, whatever it is given
            local = {name: array.astype(kind) for name, array in weights.items()}
            *_, found = explain(method, network, local, PREPROCESSING, x.astype(kind), CLASS)
            if found is None:
                raise ValueError(f"{method.type} found nothing")
            module = _Module(network, local, found.explained.node or "")
            answer = theirs(module, method, x.astype(kind))
            rows[method.type].add(dtype, {"dx": found.explained.values}, {"dx": answer})
            golden[f"{number}/method"] = np.array(json.dumps(record))
            golden[f"{number}/values"] = answer
    return rows


def theirs(module: _Module, method: Any, x: np.ndarray) -> np.ndarray:
    """Return what Captum finds in a picture (H, W, C): (H, W, C), or (H, W, 1) where channels are not told apart."""
    picture = torch.from_numpy(x[np.newaxis]).requires_grad_()
    levels = {"mean": np.array(PREPROCESSING.mean), "black": np.zeros(3), "white": np.ones(3)}
    plain = levels[getattr(method, "baseline", "mean")] - PREPROCESSING.mean
    empty = torch.from_numpy((plain / PREPROCESSING.deviation).astype(x.dtype)).expand_as(picture)
    answers: dict[str, Callable[[], Tensor]] = {
        "gradient": lambda: Saliency(module).attribute(picture, CLASS, abs=False)[0],
        "input_x_gradient": lambda: InputXGradient(module).attribute(picture, CLASS)[0],
        "integrated_gradients": lambda: IntegratedGradients(module).attribute(
            picture, empty, CLASS, n_steps=method.steps, method="riemann_middle"
        )[0],
        "smooth_grad": lambda: (
            Saliency(module).attribute(_noisy(method, x).requires_grad_(), CLASS, abs=False).mean(0)
        ),
        "grad_cam": lambda: LayerAttribution.interpolate(
            LayerGradCam(module, module.maps).attribute(picture, CLASS, relu_attributions=True),
            x.shape[:2],
            "bilinear",
        )[0, 0, :, :, None],
        "occlusion": lambda: Occlusion(module).attribute(
            picture,
            (*(2 * (method.sizes(x.shape)[0],)), x.shape[2]),
            (*(2 * (method.sizes(x.shape)[1],)), x.shape[2]),
            empty,
            CLASS,
        )[0, :, :, :1],
    }
    return answers[method.type]().detach().numpy()


def _noisy(method: SmoothGrad, x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([method.noisy(x, number) for number in range(method.samples)]))
