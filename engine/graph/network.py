"""A network: the flat graph of nodes that an architecture stands for, and its plain executor.

Building one computes every shape and allocates nothing, so that limits are checked on the
description alone. The executor runs the nodes in order, and backwards in reverse order: simple and
correct, what every other way of running a network is tested against.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter

from engine import draws
from engine.arrays import Array, Shape, Weights, elements
from engine.errors import EngineError, GraphError, LimitError
from engine.graph.architecture import Architecture
from engine.layers import AnyLayer, Block, Context, Layer, LayerRecord, WeightSpec, initializers

INPUT = "input"

MAX_NODES = 10_000
"""Nodes that blocks and layers may expand to: three times those of ResNet-1001."""
MAX_OUTPUT = 2**40
"""Numbers in one layer's output for one picture; what is larger is nobody's network, and its sizes are no numbers
that JSON can carry."""


@dataclass(frozen=True)
class Node:
    """One layer in its place in the graph."""

    name: str
    """Stable and readable: `residual_2/body/conv2d_1`."""
    layer: Layer
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    weights: dict[str, WeightSpec]
    path: tuple[str | int, ...]
    """Where the author wrote it: `("layers", 3)`."""

    @property
    def parameters(self) -> int:
        """Numbers in its weights that count as parameters: all but running statistics."""
        return sum(elements(spec.shape) for spec in self.weights.values() if spec.role == "parameter")

    @property
    def trainable_parameters(self) -> int:
        """Numbers in its weights that training changes by gradients."""
        return sum(elements(spec.shape) for spec in self.weights.values() if spec.trainable)

    @property
    def weight_names(self) -> tuple[str, ...]:
        """Full names of its weights."""
        return tuple(f"{self.name}/{name}" for name in self.weights)

    def local(self, weights: Weights) -> Weights:
        """Return the node's own weights, by the names its layer gives them."""
        return {name: weights[f"{self.name}/{name}"] for name in self.weights}


class NodeRun(NamedTuple):
    """One node of a forward pass."""

    node: Node
    inputs: tuple[Array, ...]
    output: Array
    saved: Any
    """What the layer's backward needs."""


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
        graph = _Graph(max_parameters, {INPUT: tuple(architecture.input_shape)})
        scope = _Scope(graph, "", INPUT, ("layers",), None)
        scope.extend(architecture.layers)
        return cls(tuple(architecture.input_shape), tuple(graph.nodes))

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


class _Graph:
    """The nodes so far, and what is left of the parameter limit."""

    def __init__(self, max_parameters: int | None, shapes: dict[str, Shape]) -> None:
        self.nodes: list[Node] = []
        self.shapes = shapes
        self._limit = max_parameters
        self._parameters = 0

    def append(self, name: str, layer: Layer, inputs: Sequence[str], path: tuple[str | int, ...]) -> None:
        fewest, most = layer.input_count
        if len(inputs) < fewest or (most is not None and len(inputs) > most):
            count = f"{fewest} or more inputs" if most is None else f"{fewest} input{'s' * (fewest > 1)}"
            raise GraphError(
                f"{layer.type} takes {count} but has {len(inputs)}",
                path=("inputs",),
                hint="name its inputs in `inputs`"
                if fewest > 1
                else "join them with add or concatenate first",
            )
        if len(self.nodes) == MAX_NODES:
            raise LimitError(
                f"with this layer the network has more than {MAX_NODES:,} nodes",
                hint="each layer of a block and each activation is a node; use fewer of them",
            )
        shapes = tuple(self.shapes[source] for source in inputs)
        output_shape = layer.output_shape(*shapes)
        if elements(output_shape) > MAX_OUTPUT:
            raise LimitError(
                f"the output of this layer has more than {MAX_OUTPUT:,} numbers for one picture",
                hint="use a smaller size, fewer channels, or pool before this layer",
            )
        weights = layer.weights(*shapes)
        for spec in weights.values():
            if not isinstance(spec.initializer, float):
                initializers.check(spec.initializer, spec.shape)
        node = Node(name, layer, tuple(inputs), shapes, output_shape, weights, path)
        self._parameters += node.parameters
        if self._limit is not None and self._parameters > self._limit:
            raise LimitError(
                f"with this layer the network has {self._parameters:,} parameters; "
                f"at most {self._limit:,} are allowed here",
                hint="use fewer filters or units, or pool before the dense layers; an operator can raise the limit",
            )
        self.shapes[name] = output_shape
        self.nodes.append(node)


class _Scope:
    """A list of layers being added to the graph, under one prefix; the `Scope` that blocks see."""

    def __init__(
        self, graph: _Graph, prefix: str, source: str, path: tuple[str | int, ...], parent: _Scope | None
    ) -> None:
        self._graph = graph
        self._prefix = prefix
        self._path = path
        self._parent = parent
        self._outputs = {INPUT: source}
        self._last = source

    def extend(self, layers: Sequence[LayerRecord]) -> str:
        """Add layers one after another and return the node that carries the last one's output."""
        counts: dict[str, int] = {}
        for number, record in enumerate(layers):
            path = (*self._path, number)
            counts[record.type] = counts.get(record.type, 0) + 1
            name = record.name or f"{record.type}_{counts[record.type]}"
            if name in self._outputs:
                key = ("name",) if record.name else ()
                raise GraphError(
                    f"the name {name!r} is taken in this scope",
                    path=(*path, *key),
                    hint="choose another name",
                )
            sources = self._sources(record, path)
            try:
                self._last = self._place(record, f"{self._prefix}{name}", sources, path)
            except EngineError as error:
                raise error if error.path[: len(path)] == path else error.within(*path) from None
            self._outputs[name] = self._last
        return self._last

    def shape(self, node: str) -> Shape:
        return self._graph.shapes[node]

    def add(self, layer: Layer, sources: Sequence[str], name: str) -> str:
        full = f"{self._prefix}{name}"
        try:
            return self._place(layer, full, sources, self._path)
        except EngineError as error:  # the block's author did not write this layer: no path inside it
            raise type(error)(f"{name}: {error.detail}", hint=error.hint) from None

    def chain(
        self, layers: Sequence[LayerRecord], source: str, keys: tuple[str | int, ...] | None, name: str
    ) -> str:
        child = _Scope(self._graph, f"{self._prefix}{name}/", source, (*self._path, *(keys or ())), self)
        try:
            return child.extend(layers)
        except EngineError as error:
            if keys is not None:
                raise
            # the block's author did not write these layers: words alone can say where it is
            raise type(error)(f"{name}: {error.detail}", path=self._path, hint=error.hint) from None

    def _place(
        self, record: LayerRecord, name: str, sources: Sequence[str], path: tuple[str | int, ...]
    ) -> str:
        if isinstance(record, Block):
            if len(sources) != 1:
                raise GraphError(f"{record.type} takes one input but has {len(sources)}", path=("inputs",))
            inner = _Scope(self._graph, f"{name}/", sources[0], path, self)
            return record.expand(inner, sources[0])
        if not isinstance(record, Layer):
            raise GraphError(f"{record.type} is neither a layer nor a block")
        self._graph.append(name, record, sources, path)
        if record.psi is None:
            return name
        psi = record.psi if record.trainable else record.psi.model_copy(update={"trainable": False})
        self._graph.append(f"{name}/activation", psi, (name,), path)
        return f"{name}/activation"

    def _sources(self, record: LayerRecord, path: tuple[str | int, ...]) -> tuple[str, ...]:
        if record.inputs is None:
            return (self._last,)
        return tuple(self._find(name, (*path, "inputs", number)) for number, name in enumerate(record.inputs))

    def _find(self, name: str, path: tuple[str | int, ...]) -> str:
        """Look a name up in this scope, then outwards."""
        scope: _Scope | None = self
        found: list[str] = []
        while scope is not None:
            if name in scope._outputs:
                return scope._outputs[name]
            found.extend(scope._outputs)
            scope = scope._parent
        raise GraphError(
            f"there is no layer {name!r} before this one",
            path=path,
            hint=f"it can read {', '.join(dict.fromkeys(found))}",
        )
