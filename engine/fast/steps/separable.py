"""Depthwise separable convolutions and inverted residuals, in predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.arrays import elements
from engine.fast.kernels.rectifier import rectifier_of
from engine.fast.kernels.separable import Channels, Part, Rectifiers, Separable
from engine.fast.layout.arena import Arena
from engine.fast.layout.places import Call, Place
from engine.fast.steps.base import FLOAT, Claim, Current, Given, Memory, Task, placed, rectified
from engine.fast.steps.margins import OwnMargins, halo_of
from engine.graph.network import Node
from engine.ops.windows import Window

_POINT = {(1, 1, 0, 0)}


class SeparableStep(OwnMargins):
    """[1x1 convolution and ReLU or ReLU6,] depthwise convolution and the same, 1x1 convolution and the same.

        y = act(act(filter act(x E + e) + d) P + p)

    The maps in between are computed some rows at a time and never stored. Training stores them for the way back: there
    each convolution is a step of its own.
    """

    types = frozenset({"conv2d", "depthwise_conv2d"})

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        super().__init__(nodes, task)
        self._parts = _parts(nodes)
        *_, self._depthwise, self._project = (part[0] for part in self._parts)
        layer: Any = self._depthwise.layer
        self._window: Window = layer.window(self._depthwise.input_shapes[0])
        self.halo = halo_of(self._window.height)

    @classmethod
    def claim(cls, chain: Sequence[Node], *, training: bool) -> Claim:
        parts = _parts(chain)
        depthwise = next((number for number, part in enumerate(parts) if _is_depthwise(part[0])), -1)
        parts = parts[: depthwise + 2]
        others = [part[0] for part in parts if part is not parts[depthwise]]
        fits = depthwise in (0, 1) and len(parts) == depthwise + 2 and all(map(_is_pointwise, others))
        return sum(map(len, parts)) if fits and not training else 0

    def lay_out(self, arena: Arena) -> None:
        inputs, wide = self.nodes[0].input_shapes[0][2], self._depthwise.output_shape[2]
        found = [None] * (3 - len(self._parts)) + [rectifier_of(part) for part in self._parts]
        self._kernel = Separable(
            self.task.batch,
            self._window,
            Channels(inputs, wide, self.shape[2]),
            Rectifiers(*found),
            self.task.tuning,
            arena,
            expands=len(self._parts) == 3,
        )

    @property
    def memory(self) -> Memory:
        # rows of the output lie apart where a neighbour wants them to: a copy
        return Memory(super().memory.held + elements(self.shape) * FLOAT * self.task.batch)

    @property
    def choice(self) -> str:
        return f"{self._kernel.name}/{self._kernel.tile}"

    def prepare(self, current: Current) -> list[Call]:
        super().prepare(current)
        parts = [self._weights_of(part[0]) for part in self._parts]
        return self._kernel.prepare(parts[0] if len(parts) == 3 else None, parts[-2], parts[-1])

    def _weights_of(self, node: Node) -> Part:
        has_bias = "bias" in node.weights
        return Part(
            self._weights[f"{node.name}/weight"], self._weights[f"{node.name}/bias"] if has_bias else None
        )

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        before, x = self.between_margins(placed(xs[0]).maps)
        return [*before, *self._kernel.bind(x, y, current.zeros, self.beyond)], y


def _parts(chain: Sequence[Node]) -> list[tuple[Node, ...]]:
    """Return up to three convolutions from the start of a chain, each with the ReLU behind it."""
    parts: list[tuple[Node, ...]] = []
    first = 0
    while first < len(chain) and len(parts) < 3 and chain[first].layer.type in SeparableStep.types:
        last = rectified(chain, first + 1)
        parts.append(tuple(chain[first:last]))
        first = last
    return parts


def _is_depthwise(node: Node) -> bool:
    layer: Any = node.layer
    shape = node.input_shapes[0]
    return Separable.fits(layer.window(shape), shape[2], node.weights["weight"].shape) and shape[2] > 1


def _is_pointwise(node: Node) -> bool:
    layer: Any = node.layer
    shape = node.input_shapes[0]
    sides = {(axis.kernel, axis.stride, axis.before, axis.after) for axis in layer.window(shape)}
    return sides == _POINT and node.weights["weight"].shape[2] == shape[2]
