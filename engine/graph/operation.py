"""One layer or block by itself: the network that holds nothing else, with its sizes known before anything is allocated.

A network has one input. Where a layer takes several, the network's is a vector that holds all their numbers in
their order, and a `Part` for each takes them out again; gradients of the inputs are those of these nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, ClassVar, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.errors import EngineError, GraphError
from engine.graph.expand import expand_layers
from engine.graph.network import INPUT, Network, Tape
from engine.layers import Block, Context, Example, Layer, LayerRecord, WeightSpec
from engine.layers.base import PASS
from engine.layers.export import Given, Operator, integers, operator, rearranged
from engine.spec import NonNegativeInt, PositiveInt


class Part(Layer):
    """Takes one of several inputs out of the vector that holds them all."""

    type: Literal["part"] = "part"
    first: NonNegativeInt
    """Where in the vector it begins."""
    shape: tuple[PositiveInt, ...]
    """Shape of the input."""

    examples: ClassVar = (Example({"type": "part", "first": 2, "shape": [2, 1, 3]}, ((9,),)),)
    formula: ClassVar = "a'[i] = a[first + i]"
    source: ClassVar = "A copy"

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of the input that is taken out."""
        return self.shape

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        """Return a view of the vector."""
        numbers = xs[0][:, self.first : self.first + elements(self.shape)]
        return numbers.reshape(-1, *self.shape), None

    def export(self, weights: Weights, *xs: Given) -> Operator:
        """Return a slice of the vector, as a map where it is one."""
        bounds = (integers(self.first), integers(self.first + elements(self.shape)), integers(1))
        return rearranged(operator("Slice", xs[0], *bounds), (elements(self.shape),), self.shape)


@dataclass(frozen=True)
class Work:
    """What it takes to compute a network for some pictures, estimated from shapes alone.

    Attributes:
        numbers: the most numbers that are held at a time: inputs, weights, all outputs, what is kept for backward, and
            what the greediest layer needs while it computes.
        operations: multiply-adds, additions and comparisons of one forward pass.
    """

    numbers: int
    operations: int

    @classmethod
    def of(cls, network: Network, pictures: int = 1, *, records: bool) -> Work:
        """Return what it takes to compute the output, and with `records` what holding the gradients as well takes."""
        nodes = network.nodes
        costs = [node.layer.cost(*node.input_shapes) for node in nodes]
        outputs = sum(elements(node.output_shape) for node in nodes)
        inputs = sum(elements(shape) for node in nodes for shape in node.input_shapes)
        weights = sum(elements(spec.shape) for spec in network.weight_specs.values())
        # the greediest layer's own arrays, and two passing copies of the largest map
        scratch = max((cost.scratch_bytes for cost in costs), default=0) // 4
        scratch += 2 * max(
            (elements(shape) for node in nodes for shape in (node.output_shape, *node.input_shapes)),
            default=0,
        )
        saved = sum(cost.saved_bytes for cost in costs) // 4
        kept = weights + pictures * (elements(network.input_shape) + outputs + saved + scratch)
        operations = sum(cost.multiply_adds + cost.element_operations for cost in costs)
        # the dearest activations take some eight passes; a call of a layer takes as long as some of nothing
        operations += 8 * (inputs + outputs) + 4 * PASS * len(nodes)
        return cls(kept * (2 if records else 1), operations * pictures)


@dataclass(frozen=True)
class Operation:
    """One layer or block on inputs of certain shapes."""

    layer: LayerRecord
    input_shapes: tuple[Shape, ...]
    network: Network
    sources: tuple[str, ...]
    """Names of the nodes whose outputs are the inputs; `input` where there is one."""

    @classmethod
    def build(
        cls, layer: LayerRecord, shapes: Sequence[Shape], max_parameters: int | None = None
    ) -> Operation:
        """Return the operation; nothing is allocated.

        Raises:
            ShapeError, GraphError, LimitError: as `Network.build` does; the path leads into the layer's own document,
                and is empty where the inputs do not suit the layer.
        """
        shapes = tuple(shapes)
        fewest, most = layer.input_count
        if len(shapes) < fewest or (most is not None and len(shapes) > most):
            count = f"{fewest} or more inputs" if most is None else f"{fewest} input{'s' * (fewest > 1)}"
            raise GraphError(
                f"{layer.type} takes {count} but receives {len(shapes)}",
                hint=f"give {count}" if most != 1 else "give one",
            )
        record = layer.model_copy(update={"name": None, "inputs": None})
        records: list[LayerRecord] = [record]
        input_shape = shapes[0]
        sources: tuple[str, ...] = (INPUT,)
        if len(shapes) > 1:
            ends = list(accumulate(map(elements, shapes), initial=0))
            input_shape = (ends[-1],)
            sources = tuple(f"input_{number}" for number in range(1, len(shapes) + 1))
            parts = [
                Part(name=name, inputs=(INPUT,), first=first, shape=shape)
                for name, shape, first in zip(sources, shapes, ends[:-1], strict=True)
            ]
            records = [*parts, record.model_copy(update={"inputs": sources})]
        try:
            nodes = expand_layers(records, input_shape, max_parameters)
        except EngineError as error:
            raise type(error)(error.detail, path=error.path[2:], hint=error.hint) from None
        return cls(layer, shapes, Network(input_shape, nodes), sources)

    @property
    def name(self) -> str:
        """Name of the layer or block in `network`, as if it were the first of an architecture: so are its seeds."""
        return f"{self.layer.type}_1"

    @cached_property
    def node(self) -> str:
        """Name of the layer's own node, without what follows from its `activation`; of a block, of its last node."""
        return self.network.nodes[-1].name if isinstance(self.layer, Block) else self.name

    @property
    def output_shape(self) -> Shape:
        """Shape of the output for one picture."""
        return self.network.output_shape

    @property
    def formula(self) -> dict[str, str]:
        """How the output's size comes about, with the numbers put in."""
        node = next(node for node in self.network.nodes if node.name == self.node)
        return node.layer.size_formula(*node.input_shapes)

    @property
    def weight_specs(self) -> dict[str, WeightSpec]:
        """The arrays that it needs; those of a block by node and name, such as `body/conv2d_1/weight`."""
        prefix = f"{self.name}/"
        return {name.removeprefix(prefix): spec for name, spec in self.network.weight_specs.items()}

    def work(self, *, records: bool) -> Work:
        """Return what it takes to compute the output, and with `records` the gradients as well."""
        return Work.of(self.network, records=records)

    def initial_weights(self, seed: int, dtype: type[np.floating[Any]]) -> dict[str, Array]:
        """Draw the weights, by the names of `weight_specs`."""
        prefix = f"{self.name}/"
        drawn = self.network.initial_weights(seed, dtype)
        return {name.removeprefix(prefix): array for name, array in drawn.items()}

    def forward(self, weights: Weights, xs: Sequence[Array], context: Context) -> Tape:
        """Compute the output of one picture, (1, ...).

        Args:
            weights: by the names of `weight_specs`.
            xs: the inputs, without a batch axis.
            context: which statistics apply; `wanted` is by the names of `network`.
        """
        return self.network.forward(self.full(weights), self.picture(xs)[None], context)

    def full(self, weights: Weights) -> dict[str, Array]:
        """Return weights by the names that they have in `network`."""
        return {f"{self.name}/{name}": array for name, array in weights.items()}

    def picture(self, xs: Sequence[Array]) -> Array:
        """Return the inputs as the one input of `network`, without a batch axis."""
        return xs[0] if len(xs) == 1 else np.concatenate([x.reshape(-1) for x in xs])

    def parts(self, picture: Array) -> tuple[Array, ...]:
        """Return the inputs, as views, that `picture` put together."""
        if len(self.sources) == 1:
            return (picture,)
        ends = accumulate(map(elements, self.input_shapes), initial=0)
        return tuple(
            picture[first:end].reshape(shape)
            for (first, end), shape in zip(pairwise(ends), self.input_shapes, strict=True)
        )

    def gradients(
        self, weights: Weights, xs: Sequence[Array], dy: Array, context: Context
    ) -> tuple[Array, tuple[Array, ...], dict[str, Array]]:
        """Return the output, and the gradients of the inputs and of the weights that are learned.

        Args:
            weights: by the names of `weight_specs`.
            xs: the inputs, without a batch axis.
            dy: gradient of the output, without a batch axis.
            context: which statistics apply.

        Returns:
            The output; dL/dx for each input; dL/dw by the names of `weight_specs`: all without a batch axis.
        """
        learned = {name: spec for name, spec in self.weight_specs.items() if spec.trainable}
        wanted = frozenset((*self.sources, *self.full(dict.fromkeys(learned, xs[0]))))
        tape = self.forward(weights, xs, replace(context, records=True, wanted=wanted))
        found = self.network.backward(tape, dy[None])
        dxs = tuple(
            found[source][0] if source in found else np.zeros_like(x)
            for source, x in zip(self.sources, xs, strict=True)
        )
        dweights = {name: found[f"{self.name}/{name}"] for name in learned}
        return tape.output[0], dxs, dweights
