"""What is timed on PyTorch's side: the same graphs, in modules as its users write them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.sides import MNIST, mnist, network, resident, stack
from engine.graph.network import INPUT, Network, Node


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


class Joined(nn.Module):
    """Puts maps beside each other, channel by channel."""

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Return all channels."""
        return torch.cat(maps, 1)


def _key(name: str) -> str:
    return name.replace("/", "__")


def _module(node: Node) -> nn.Module:  # noqa: PLR0911, PLR0912
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
        case "depthwise_conv2d":
            window = layer.window(shape)
            padding = (window.height.before, window.width.before)
            return nn.Conv2d(
                shape[2], shape[2], layer.kernel_size, layer.stride, padding, groups=shape[2], bias=layer.bias
            )
        case "max_pool2d":
            window = layer.window(shape)
            padding = (window.height.before, window.width.before)
            return nn.MaxPool2d(layer.pool_size, layer.stride, padding, ceil_mode=layer.ceil_mode)
        case "concatenate":
            return Joined()
        case "dropout":
            return nn.Dropout(layer.rate)
        case "relu6":
            return nn.ReLU6()
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


def training_step(
    batch: int,
    mode: str,
    preset: str = "",
    size: int | None = None,
    grid: tuple[int, int, int] | None = None,
) -> Callable[[], None]:
    """Return a step in mode `eager`, `channels_last` or `compile`."""
    torch.manual_seed(0)
    built = network(preset, size) if grid is None else stack(*grid)
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


def inference(preset: str, batch: int, size: int | None = None) -> Callable[[], Any]:
    """Return the scores of a batch, channels last."""
    built = network(preset, size)
    model = Graph(built).eval().to(memory_format=torch.channels_last)
    height, width, channels = built.input_shape
    x = torch.randn(batch, channels, height, width).to(memory_format=torch.channels_last)

    def run() -> Any:
        with torch.inference_mode():
            return model(x)

    return run


def layer(case: list[int], mode: str, *, backward: bool) -> Callable[[], object]:
    """Return one convolution, forward or forward and backward."""
    pictures, size, channels, filters, kernel, stride, padding = case
    model: Any = nn.Conv2d(channels, filters, kernel, stride, padding)
    x = torch.randn(pictures, channels, size, size)
    if mode == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    dy = torch.randn_like(model(x))
    x.requires_grad_(backward)

    def run() -> object:
        if not backward:
            with torch.inference_mode():
                return model(x)
        x.grad = model.weight.grad = model.bias.grad = None
        return model(x).backward(dy)

    return run


def epoch(data: str, steps: int, *, together: bool) -> Callable[[], None]:
    """Return so many steps of an epoch of LeNet-5 on MNIST, fed by a DataLoader with two workers."""
    torch.manual_seed(0)
    found = mnist(Path(data))
    pictures = torch.from_numpy(found.images.copy()).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(found.labels)
    kind = _Together if together else _Augmented
    batches = torch.utils.data.DataLoader(
        kind(pictures, labels), MNIST["batch_size"], shuffle=True, num_workers=2, persistent_workers=True
    )
    model = Graph(network("lenet-5")).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    endless = itertools.chain.from_iterable(itertools.repeat(batches))

    def run() -> None:
        for x, targets in itertools.islice(endless, steps):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(model(x.to(memory_format=torch.channels_last)), targets).backward()
            optimizer.step()

    return run


class _Augmented(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """MNIST, each picture shifted, rotated and normalised when it is asked for."""

    def __init__(self, pictures: torch.Tensor, labels: torch.Tensor) -> None:
        self._pictures, self._labels = pictures, labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return _augment(self._pictures[index : index + 1])[0], self._labels[index]


class _Together(_Augmented):
    """The same, all pictures of a batch by one resampling: what a careful user can make of it."""

    def __getitems__(self, indices: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(zip(_augment(self._pictures[indices]), self._labels[indices], strict=True))


def _augment(pictures: torch.Tensor) -> torch.Tensor:
    x = pictures.float().div_(255)
    count = len(x)
    angle = (torch.rand(count) * 2 - 1) * math.radians(10)
    shift = torch.randint(-2, 3, (count, 2)) * (2 / 28)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rows = torch.stack([cosine, -sine, shift[:, 0]], 1), torch.stack([sine, cosine, shift[:, 1]], 1)
    grid = functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return (functional.grid_sample(x, grid, align_corners=False) - 0.1307) / 0.3081


def step_memory(
    batch: int, mode: str, preset: str = "", size: int | None = None, grid: tuple[int, int, int] | None = None
) -> Callable[[], int]:
    """Return what tells the bytes that training steps have taken from the system."""
    before = resident()
    step = training_step(batch, mode, preset, size, grid)
    for _ in range(3):
        step()
    return lambda: resident() - before
