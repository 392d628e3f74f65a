"""What is timed on PyTorch's side: the same graphs, in modules as its users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.sides import network
from engine.network import INPUT, Network, Node


class Graph(nn.Module):
    """A network of ours with PyTorch's modules for nodes."""

    def __init__(self, built: Network) -> None:
        super().__init__()
        self.nodes = [(node.name, node.inputs) for node in built.nodes]
        self.parts = nn.ModuleDict({_key(node.name): _module(node) for node in built.nodes})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run a batch (N, C, H, W)."""
        values = {INPUT: x}
        for name, inputs in self.nodes:
            x = values[name] = self.parts[_key(name)](*(values[source] for source in inputs))
        return x


class Sum(nn.Module):
    """Adds two maps."""

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Return the sum."""
        return one + other


def _key(name: str) -> str:
    return name.replace("/", "__")


def _module(node: Node) -> nn.Module:  # noqa: PLR0911
    layer: Any = node.layer
    shape = node.input_shapes[0]
    match layer.type:
        case "conv2d":
            window = layer.window(shape)
            if any(axis.before != axis.after and axis.stride == 1 for axis in window):
                raise ValueError(f"{node.name}: uneven padding")
            made = nn.Conv2d(
                shape[2],
                layer.filters,
                layer.kernel_size,
                layer.stride,
                (window.height.before, window.width.before),
                bias=layer.bias,
            )
            return made.requires_grad_(layer.trainable)
        case "max_pool2d":
            return nn.MaxPool2d(layer.pool_size, layer.stride)
        case "global_average_pool2d":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "batch_norm":
            return nn.BatchNorm2d(shape[2])
        case "relu":
            return nn.ReLU()
        case "flatten":
            return nn.Flatten()
        case "dense":
            return nn.Linear(shape[0], layer.units)
        case "add":
            return Sum()
    raise ValueError(f"{node.name}: no module for {layer.type}")


def training_step(preset: str, batch: int, mode: str) -> Callable[[], None]:
    """Return a step in mode `eager`, `channels_last` or `compile`."""
    torch.manual_seed(0)
    built = network(preset)
    model: Any = Graph(built)
    height, width, channels = built.input_shape
    x = torch.randn(batch, channels, height, width)
    targets = torch.randint(0, 10, (batch,))
    if mode == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    if mode == "compile":
        model = torch.compile(model)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(x), targets).backward()
        optimizer.step()

    return step
