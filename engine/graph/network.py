"""A network: the flat graph of nodes that an architecture stands for, and its plain executor.

Building one computes every shape and allocates nothing, so that limits are checked on the
description alone. The executor runs the nodes in order, and backwards in reverse order: simple and
correct, what every other way of running a network is tested against.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from engine import draws
from engine.arrays import Array, Shape, Weights
from engine.errors import GraphError
from engine.graph.architecture import Architecture
from engine.graph.expand import expand
from engine.graph.node import INPUT, Node, NodeRun
from engine.layers import AnyLayer, Context, WeightSpec, initializers

__all__ = ["INPUT", "Network", "Node", "NodeRun", "Tape"]


@dataclass(frozen=True)
class Tape:
    """What a forward pass leaves for the backward pass."""

    output: Array
    outputs: dict[str, Array] = field(repr=False)
    """Of the nodes whose gradient is wanted."""
    saved: dict[str, Any] = field(repr=False)
    weights: Weights = field(repr=False)
    context: Context = field(repr=False)


@dataclass(frozen=True)
class Network:
    """Nodes in an order in which each comes after its inputs; the last is the output."""

    input_shape: Shape
    nodes: tuple[Node, ...]

    @classmethod
    def build(cls, architecture: Architecture, max_parameters: int | None = None) -> Network:
        """Expand an architecture into its graph.

        Raises:
            ShapeError: shapes that do not meet; the path names the layer.
            GraphError: an unknown or repeated name, a wrong number of inputs.
            LimitError: more parameters than `max_parameters`, more nodes than `MAX_NODES`, or an output of more than
                `MAX_OUTPUT` numbers.
        """
        return cls(tuple(architecture.input_shape), expand(architecture, max_parameters))

    def document(self) -> dict[str, Any]:
        """Return the graph JSON-ready, for another process; `from_document` takes it back."""
        nodes = [
            {
                "name": node.name,
                "layer": node.layer.model_dump(mode="json", serialize_as_any=True),
                "inputs": node.inputs,
                "input_shapes": node.input_shapes,
            }
            for node in self.nodes
        ]
        return {"input_shape": self.input_shape, "nodes": nodes}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Network:
        """Return the network that `document` described."""
        reader: TypeAdapter[Any] = TypeAdapter(AnyLayer)
        nodes = []
        for node in document["nodes"]:
            layer = reader.validate_python(node["layer"])
            shapes = tuple(tuple(shape) for shape in node["input_shapes"])
            shape, weights = layer.output_shape(*shapes), layer.weights(*shapes)
            nodes.append(Node(node["name"], layer, tuple(node["inputs"]), shapes, shape, weights, ()))
        return cls(tuple(document["input_shape"]), tuple(nodes))

    @property
    def output_shape(self) -> Shape:
        """Shape of one image's output."""
        return self.nodes[-1].output_shape if self.nodes else self.input_shape

    @property
    def weight_specs(self) -> dict[str, WeightSpec]:
        """Every array the network needs, by its full name."""
        return {f"{node.name}/{name}": spec for node in self.nodes for name, spec in node.weights.items()}

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(node.parameters for node in self.nodes)

    @property
    def multiply_adds(self) -> int:
        """What one picture costs; see `Cost`."""
        return sum(node.layer.cost(*node.input_shapes).multiply_adds for node in self.nodes)

    def without_final(self, layer_type: str) -> Network:
        """Return the network without its last node if that is of this type.

        A loss brings its own link (softmax): one that the author wrote is absorbed, never applied twice.
        """
        last = self.nodes[-1]
        if last.layer.type != layer_type:
            return self
        if last.inputs != (self.nodes[-2].name if len(self.nodes) > 1 else INPUT,):
            raise GraphError(
                f"the final {layer_type} does not read the layer before it",
                path=last.path,
                hint=f"leave the {layer_type} out: the loss brings its own",
            )
        return replace(self, nodes=self.nodes[:-1])

    def initial_weights(self, seed: int, dtype: type[np.floating[Any]] = np.float32) -> dict[str, Array]:
        """Draw the first weights; each array depends on the seed and its own name alone."""
        return {
            name: np.full(spec.shape, spec.initializer, dtype)
            if isinstance(spec.initializer, float)
            else initializers.initialize(
                spec.initializer, spec.shape, draws.generator(seed, "weight", name), dtype
            )
            for name, spec in self.weight_specs.items()
        }

    def run(self, weights: Weights, x: Array, context: Context) -> Iterator[NodeRun]:
        """Run a batch (N, H, W, C) through the graph, node by node; an output is dropped after its last use."""
        outputs = {INPUT: x}
        last_use = {name: node.name for node in self.nodes for name in node.inputs}
        for node in self.nodes:
            inputs = tuple(outputs[name] for name in node.inputs)
            y, saved = node.layer.forward(node.local(weights), *inputs, context=context.bound(node.name))
            outputs[node.name] = y
            for name in node.inputs:
                if last_use[name] == node.name:
                    outputs.pop(name, None)
            yield NodeRun(node, inputs, y, saved)

    def forward(self, weights: Weights, x: Array, context: Context) -> Tape:
        """Run a batch (N, H, W, C) through the graph; where the context records, `backward` takes the tape.

        Raises:
            GraphError: a gradient is wanted of what is neither a weight nor a node.
        """
        wanted = self.wanted(context.wanted)
        context = replace(context, wanted=wanted)
        output, outputs, kept = x, {}, {}
        for node, _, output, saved in self.run(weights, x, context):
            if context.records:
                kept[node.name] = saved
                if node.name in wanted:
                    outputs[node.name] = output
        return Tape(output, outputs, kept, weights, context)

    def backward(self, tape: Tape, dy: Array) -> dict[str, Array]:
        """Turn the gradient of the output into those that the context wanted, by full name.

        Only what leads to them is computed. What the output does not depend on is left out.

        Raises:
            ValueError: the forward pass was not recorded.
        """
        if not tape.context.records:
            raise ValueError("nothing was kept for backward: run forward with Context(records=True)")
        wanted = self.wanted(tape.context.wanted)
        leading = self.leading_to(wanted)
        gradients: dict[str, Array] = {}
        pending: dict[str, Array] = {self.nodes[-1].name if self.nodes else INPUT: dy}
        for node in reversed(self.nodes):
            if node.name not in pending or node.name not in leading:
                continue
            dy = pending.pop(node.name)  # complete: whoever reads this node comes after it
            if node.name in wanted:
                gradients[node.name] = dy
            wants_input = not leading.isdisjoint(node.inputs)
            if not wants_input and wanted.isdisjoint(node.weight_names):
                continue
            context = tape.context.bound(node.name, wants_input=wants_input)
            dxs, found = node.layer.backward(
                node.local(tape.weights), tape.saved[node.name], dy, context=context
            )
            for name, gradient in found.items():
                if f"{node.name}/{name}" in wanted:
                    gradients[f"{node.name}/{name}"] = gradient
            for name, dx in zip(node.inputs, dxs, strict=True):
                if name not in leading or dx is None:
                    continue
                if name in pending:
                    # never in place: the array may be another branch's gradient as well
                    both = tape.context.bound(name).buffer(f"from {node.name}", dx.shape, dx.dtype)
                    pending[name] = np.add(pending[name], dx, out=both)
                else:
                    pending[name] = dx
        if INPUT in wanted and INPUT in pending:
            gradients[INPUT] = pending[INPUT]
        return gradients

    def wanted(self, names: frozenset[str] | None) -> frozenset[str]:
        """Return the names whose gradients are wanted: all weights that are trained, if none are given.

        Raises:
            GraphError: no weight, no node, or a weight that is no parameter.
        """
        specs = self.weight_specs
        if names is None:
            return frozenset(name for name, spec in specs.items() if spec.trainable)
        weights = {name for name, spec in specs.items() if spec.role == "parameter"}
        unknown = names - weights - {node.name for node in self.nodes} - {INPUT}
        if unknown:
            raise GraphError(
                f"there is no gradient of {', '.join(map(repr, sorted(unknown)))}",
                hint="name parameters, nodes or 'input'",
            )
        return names

    def leading_to(self, wanted: frozenset[str]) -> set[str]:
        """Return the nodes, and perhaps the input, whose gradient leads to one that is wanted."""
        found = set(wanted & {INPUT})
        for node in self.nodes:
            own = node.name in wanted or not wanted.isdisjoint(node.weight_names)
            if own or not found.isdisjoint(node.inputs):
                found.add(node.name)
        return found
