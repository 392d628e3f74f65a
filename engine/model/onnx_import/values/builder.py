"""Collects the layers of a network in the making, and what their weights are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Shape
from engine.errors import EngineError, LimitError, ModelFileError
from engine.graph.architecture import Architecture
from engine.graph.expand import MAX_NODES
from engine.graph.node import INPUT
from engine.layers import Layer
from engine.layers.base import Axis
from engine.layers.reshape import Flatten, Reshape
from engine.layers.slicing import ChannelShuffle
from engine.model.onnx_import.values.fusing import Placed, fused
from engine.model.onnx_import.values.layout import Atoms, size
from engine.model.onnx_import.values.value import Computed, Constant, Unsupported

MAX_NAME = 64
MOST_WORK = 64
"""How often as many numbers may be passed over to make the weights as there may be parameters."""


@dataclass(frozen=True)
class Weight:
    """The numbers of a weight, and what each of their axes runs over."""

    constant: Constant
    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Finished:
    """All layers of a network, in order; the last one's output is the network's."""

    input_shape: Shape
    layers: Sequence[Placed]

    def architecture(self) -> Architecture:
        """Return the network as its author would write it."""
        records: list[Layer] = []
        before = INPUT
        for placed in self.layers:
            inputs = None if placed.inputs == (before,) else placed.inputs
            records.append(placed.layer.model_copy(update={"name": placed.name, "inputs": inputs}))
            before = placed.name
        if not records:  # a network has one layer or more
            records.append(Reshape(shape=self.input_shape))
        return Architecture.model_validate({"input_shape": self.input_shape, "layers": records})

    def weights(self, max_parameters: int | None) -> Iterator[tuple[str, Array]]:
        """Make the weights and yield them by their full names.

        Raises:
            LimitError: they are made of one another in ways that take out of all proportion.
            ModelFileError: numbers that are not finite, or that cannot be computed.
        """
        work = sum(each.work for placed in self.layers for each in placed.weights.values())
        if max_parameters is not None and work > MOST_WORK * max_parameters:
            raise LimitError(
                f"to compute the weights of the file {work:,} numbers would have to be passed over; "
                f"at most {MOST_WORK * max_parameters:,} are here",
                hint="export the model with its weights stored as they are used (constant folding)",
            )
        for placed in self.layers:
            for key, constant in placed.weights.items():
                try:
                    with np.errstate(all="ignore"):
                        array = np.ascontiguousarray(constant.make(), np.float32)
                except (ValueError, TypeError, ArithmeticError) as error:
                    raise ModelFileError(
                        f"the {key} of {placed.name!r} cannot be computed: {error}",
                        hint="export the model with its weights stored as they are used (constant folding)",
                    ) from None
                if not np.isfinite(array).all():
                    raise ModelFileError(f"the {key} of {placed.name!r} holds numbers that are not finite")
                # a small constant is one array for all that read it, and what was stretched has no array of its own
                shared = constant.is_small or not array.flags.writeable
                yield f"{placed.name}/{key}", array.copy() if shared else array


class Builder:
    """Layers so far, in an order in which each comes after its inputs."""

    def __init__(self, input_shape: Shape) -> None:
        self.input_shape = input_shape
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._placed: dict[str, Placed] = {}
        self._counts: Counter[str] = Counter()
        self._arranged: dict[tuple[str, tuple[Atoms, ...], tuple[Atoms, ...]], str] = {}

    def shape(self, node: str) -> Shape:
        """Return the shape of a node's output."""
        return self._shapes[node]

    def layer(self, node: str) -> Layer | None:
        """Return the layer of a node; None for the input."""
        return self._placed[node].layer if node in self._placed else None

    def inputs(self, node: str) -> tuple[str, ...]:
        """Return the nodes that a node reads."""
        return self._placed[node].inputs

    def add(
        self, layer: Layer, *inputs: str, name: str = "", weights: Mapping[str, Weight] | None = None
    ) -> str:
        """Add a layer, called after `name` as far as that is possible, and return its node.

        Raises:
            Unsupported: the inputs do not fit it.
            ModelFileError: a weight has another shape than it needs.
        """
        shapes = [self._shapes[node] for node in inputs]
        try:
            shape = layer.output_shape(*shapes)
            specs = layer.weights(*shapes)
        except EngineError as error:
            raise Unsupported(f"inputs that fit {layer.type}: {error.detail}") from None
        if len(self._placed) == MAX_NODES:
            raise LimitError(
                f"the graph becomes more than {MAX_NODES:,} layers", hint="export a smaller network"
            )
        named = self._name(name, layer)
        ours = {}
        for key, spec in specs.items():
            weight = (weights or {})[key]
            constant = weight.constant
            if len(spec.axes) > 1 and weight.axes != spec.axes:
                constant = constant.transposed(tuple(weight.axes.index(axis) for axis in spec.axes))
            if constant.shape != spec.shape or not constant.is_real:
                raise ModelFileError(
                    f"the {key} of {named!r} is {constant.dtype} {list(constant.shape)}; "
                    f"{layer.type} on {' and '.join(map(str, map(list, shapes)))} needs real numbers {list(spec.shape)}"
                )
            ours[key] = constant
        self._placed[named] = Placed(named, layer, inputs, ours)
        self._shapes[named] = shape
        return named

    def arranged(self, value: Computed, place: tuple[Atoms, ...]) -> str:
        """Return the node whose axes are these atoms, all of the value's; one is added if there is none.

        Raises:
            Unsupported: no layer brings numbers into that order.
        """
        layout, node = value.layout, value.node
        if layout.place == place:
            return node
        key = (node, layout.place, place)
        if key not in self._arranged:
            self._arranged[key] = self._shaped(self._shuffled(value, place), tuple(map(size, place)))
        return self._arranged[key]

    def _shaped(self, node: str, shape: Shape) -> str:
        """Return the node whose output has the same numbers in the same order and this shape."""
        if self._shapes[node] == shape:
            return node
        return self.add(Flatten() if len(shape) == 1 else Reshape(shape=shape), node)

    def _shuffled(self, value: Computed, place: tuple[Atoms, ...]) -> str:
        """Return a node whose numbers come in the order of these atoms.

        Channels are dealt out as often as it takes: each time what comes next is brought to the front of what is left.
        """
        node, order, wanted = value.node, list(value.layout.flat), list(sum(place, ()))
        if set(order) != set(wanted):
            raise Unsupported("all axes of a tensor, and no more than those")
        before = len(sum(value.layout.place[:-1], ()))  # atoms that are not among the node's channels
        for done, following in enumerate(wanted):
            at = order.index(following)
            if at == done:
                continue
            if before != done:
                node = self._shaped(node, (size(tuple(order[:done])), 1, size(tuple(order[done:]))))
                before = done
            node = self.add(ChannelShuffle(groups=size(tuple(order[done:at]))), node)
            order[done:] = order[at:] + order[done:at]
        return node

    def finished(self, output: str) -> Finished:
        """Return what leads to a node's output; nothing is computed yet."""
        leading = self._leading_to(output)
        while True:
            layers, output = fused(leading, output)
            if len(layers) == len(leading):
                return Finished(self.input_shape, layers)
            leading = layers

    def _leading_to(self, output: str) -> list[Placed]:
        wanted = {output}
        found = []
        for placed in reversed(self._placed.values()):
            if placed.name in wanted:
                wanted.update(placed.inputs)
                found.append(placed)
        return found[::-1]

    def _name(self, wanted: str, layer: Layer) -> str:
        legal = re.sub(r"[^a-z0-9-]+", "_", wanted.lower()).strip("_-")
        if not legal or not legal[0].isalpha():
            legal = f"{layer.type}_{legal}" if legal else f"{layer.type}_1"
        legal = legal[: MAX_NAME - 6].rstrip("_-")
        name, stem = legal, layer.type if legal == f"{layer.type}_1" else legal
        while name in self._shapes:
            self._counts[stem] += 1
            name = f"{stem}_{self._counts[stem] + 1}"
        return name
