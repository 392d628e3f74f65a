"""PyTorch's side of transfer: torchvision's MobileNetV2 with our weights, its features once, then a head with Adam."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from app.builtin.pretrained import PRETRAINED_FILE
from benchmarks.parity_foreign import torchvision_module
from benchmarks.transfer import CLASSES, DEV, PICTURES, TEST, pictures
from benchmarks.transfer_head import features as feature_arrays
from engine.graph.network import Network
from engine.model.foreign.names import TABLES
from engine.model.model_file import read_model

_ORDER = ("out", "in", "height", "width", "channels")
_AT_ONCE = 32
_SMOOTHING = 0.1
_DEV_VECTORS = 100


def job(
    size: int, seed: int, epochs: int, batch: int, learning_rate: float, mode: str
) -> Callable[[], dict[str, float]]:
    """Return what learns the pictures of a seed, and tells the seconds of its parts."""

    def learn() -> dict[str, float]:
        images, labels = (torch.from_numpy(array) for array in pictures(size, seed))
        began = time.perf_counter()
        trunk, width = _trunk(mode)
        built = time.perf_counter()
        x = _features(trunk, images, mode).clone()  # a tensor that autograd takes
        computed = time.perf_counter()
        y = labels.long()
        train = PICTURES - DEV - TEST
        layer = nn.Linear(width, CLASSES)
        optimizer = torch.optim.Adam(layer.parameters(), lr=learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-train // batch))
        for _ in range(epochs):
            _epoch(layer, optimizer, x[:train], y[:train], batch, schedule.step)
            _right(layer, x[train : train + DEV], y[train : train + DEV])
        _right(layer, x[train + DEV :], y[train + DEV :])
        return {
            "network": built - began,
            "features": computed - built,
            "head and test": time.perf_counter() - computed,
        }

    return learn


def head(vectors: int, batch: int) -> Callable[[], None]:
    """Return what takes an epoch of a head on features, and judges a few others."""
    x, y = (torch.from_numpy(array) for array in feature_arrays(vectors + _DEV_VECTORS, 1280))
    layer = nn.Linear(x.shape[1], 10)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.0003)

    def epoch() -> None:
        _epoch(layer, optimizer, x[:vectors], y[:vectors], batch)
        _right(layer, x[vectors:], y[vectors:])

    return epoch


def _trunk(mode: str) -> tuple[nn.Module, int]:
    model = read_model(PRETRAINED_FILE)
    module = torchvision_module("mobilenet-v2", len(model.classes)).eval()
    modules = dict(TABLES["mobilenet-v2"]["torchvision"]())
    for node in Network.build(model.architecture).nodes:
        if not node.weights:
            continue
        # both have a layer's arrays in the same order, and PyTorch a counter beside them
        theirs = module.get_submodule(modules[node.name]).state_dict()
        arrays = [array for name, array in theirs.items() if name != "num_batches_tracked"]
        for (name, spec), array in zip(node.weights.items(), arrays, strict=True):
            ours = torch.from_numpy(model.weights[f"{node.name}/{name}"])
            axes = spec.order([axis for axis in _ORDER if axis in spec.axes])
            array.copy_(ours.permute(axes).reshape(array.shape))
    width = module.classifier[1].in_features
    module.classifier = nn.Identity()
    return module.to(memory_format=torch.channels_last) if mode == "channels_last" else module, width


@torch.inference_mode()
def _features(trunk: nn.Module, images: torch.Tensor, mode: str) -> torch.Tensor:
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    rows = []
    for some in images.split(_AT_ONCE):
        x = ((some.float() / 255 - mean) / deviation).permute(0, 3, 1, 2)
        rows.append(trunk(x if mode == "channels_last" else x.contiguous()))
    return torch.cat(rows)


def _epoch(
    layer: nn.Linear,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    batch: int,
    after: Callable[[], None] = lambda: None,
) -> None:
    for chosen in torch.randperm(len(x)).split(batch):
        loss = functional.cross_entropy(layer(x[chosen]), y[chosen], label_smoothing=_SMOOTHING)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        after()


@torch.no_grad()
def _right(layer: nn.Linear, x: torch.Tensor, y: torch.Tensor) -> int:
    return int((layer(x).argmax(1) == y).sum())
