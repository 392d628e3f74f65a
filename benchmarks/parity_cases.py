"""What is compared with PyTorch: the examples of every layer, and as many again drawn at random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter

from engine.arrays import Shape
from engine.errors import ShapeError
from engine.layers import LAYERS, AnyLayer, Block, Layer, LayerRecord

PARSE: TypeAdapter[Any] = TypeAdapter(AnyLayer)
_WINDOWED = {"conv2d", "depthwise_conv2d", "transposed_conv2d", "max_pool2d", "average_pool2d"}
_DRAWN_WINDOWS = 40
_DRAWN_SHAPES = 4


class Case(NamedTuple):
    """A layer and the shapes of its inputs."""

    name: str
    layer: Layer
    inputs: tuple[Shape, ...]


def examples() -> Iterator[Case]:
    """Yield the examples of every layer; these are what the golden files hold."""
    for kind in _layers():
        for number, example in enumerate(kind.examples):
            yield Case(f"{kind.tag()}-{number}", PARSE.validate_python(example.layer), example.inputs)


def drawn(generator: np.random.Generator) -> Iterator[Case]:
    """Yield layers on random shapes, and those with a window with random windows."""
    for kind in _layers():
        if kind.tag() in _WINDOWED:
            found = 0
            while found < _DRAWN_WINDOWS:
                layer, shape = _window(kind.tag(), generator)
                if _fits(layer, shape):
                    yield Case(f"{kind.tag()}-drawn-{found}", layer, (shape,))
                    found += 1
            continue
        for number, example in enumerate(kind.examples):
            layer = PARSE.validate_python(example.layer)
            for draw in range(_DRAWN_SHAPES):
                down, right, channels = (int(factor) for factor in generator.integers(1, 5, 3))
                inputs = tuple(
                    (shape[0] * down, shape[1] * right, shape[2] * channels)
                    if len(shape) == 3
                    else (shape[0] * channels,)
                    for shape in example.inputs
                )
                if _fits(layer, *inputs):
                    yield Case(f"{kind.tag()}-{number}-drawn-{draw}", layer, inputs)


def _layers() -> list[type[LayerRecord]]:
    return [kind for kind in LAYERS if not issubclass(kind, Block)]


def _fits(layer: Layer, *inputs: Shape) -> bool:
    try:
        return min(layer.output_shape(*inputs)) > 0
    except ShapeError:
        return False


def _window(tag: str, generator: np.random.Generator) -> tuple[Layer, Shape]:
    def pair(low: int, high: int) -> list[int]:
        return [int(number) for number in generator.integers(low, high, 2)]

    height, width = pair(3, 13)
    sides = int(generator.integers(0, 3))
    padding: Any = ["valid", "same", sides, pair(0, 3), [pair(0, 3), pair(0, 3)]][generator.integers(5)]
    record: dict[str, Any] = {"type": tag, "stride": pair(1, 4), "padding": padding}
    groups = 1
    if tag.endswith("pool2d"):
        record |= {
            "pool_size": pair(1, 5),
            "ceil_mode": bool(generator.integers(2)),
            "dilation": pair(1, 3),
        }
    else:
        record |= {"kernel_size": pair(1, 5), "dilation": pair(1, 3), "bias": bool(generator.integers(2))}
    if tag in {"conv2d", "transposed_conv2d"}:
        groups = int(generator.integers(1, 4))
        record |= {"filters": groups * int(generator.integers(1, 4)), "groups": groups}
    if tag == "transposed_conv2d":
        record["output_padding"] = pair(0, 3)
    if tag == "average_pool2d":
        record["count_padding"] = bool(generator.integers(2))
    return PARSE.validate_python(record), (height, width, groups * int(generator.integers(1, 4)))
