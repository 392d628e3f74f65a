"""From an architecture, with its blocks and names, to the flat list of nodes that it stands for."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from engine.arrays import Shape, elements
from engine.errors import EngineError, GraphError, LimitError
from engine.graph.architecture import Architecture
from engine.graph.node import INPUT, BlockName, Node
from engine.layers import Block, Layer, LayerRecord, initializers

MAX_NODES = 10_000
"""Nodes that blocks and layers may expand to: three times those of ResNet-1001."""
MAX_OUTPUT = 2**40
"""Numbers in one layer's output for one picture; what is larger is nobody's network, and its sizes are no numbers
that JSON can carry."""


def expand(architecture: Architecture, max_parameters: int | None) -> tuple[Node, ...]:
    """Return the nodes in order; raises as `engine.graph.network.Network.build` does."""
    return expand_layers(architecture.layers, tuple(architecture.input_shape), max_parameters)


def expand_layers(
    layers: Sequence[LayerRecord], input_shape: Shape, max_parameters: int | None
) -> tuple[Node, ...]:
    """Return the nodes of a list of layers whose input has this shape, that of a map or of a vector."""
    graph = _Graph(max_parameters, {INPUT: input_shape})
    _Scope(graph, "", INPUT, ("layers",), None).extend(layers)
    return tuple(graph.nodes)


class _Graph:
    """The nodes so far, and what is left of the parameter limit."""

    def __init__(self, max_parameters: int | None, shapes: dict[str, Shape]) -> None:
        self.nodes: list[Node] = []
        self.shapes = shapes
        self._limit = max_parameters
        self._parameters = 0

    def append(
        self,
        name: str,
        layer: Layer,
        inputs: Sequence[str],
        path: tuple[str | int, ...],
        blocks: tuple[BlockName, ...],
    ) -> None:
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
        node = Node(name, layer, tuple(inputs), shapes, output_shape, weights, path, blocks)
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
        self,
        graph: _Graph,
        prefix: str,
        source: str,
        path: tuple[str | int, ...],
        parent: _Scope | None,
        blocks: tuple[BlockName, ...] = (),
        written: bool = True,
    ) -> None:
        self._graph = graph
        self._prefix = prefix
        self._path = path
        # layers that the author did not write, but a block made, are where the block is
        self._written = written
        self._parent = parent
        self._blocks = blocks
        self._outputs = {INPUT: source}
        self._last = source

    def extend(self, layers: Sequence[LayerRecord]) -> str:
        """Add layers one after another and return the node that carries the last one's output."""
        counts: dict[str, int] = {}
        for number, record in enumerate(layers):
            path = (*self._path, number) if self._written else self._path
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
        path = (*self._path, *(keys or ())) if self._written else self._path
        child = _Scope(
            self._graph,
            f"{self._prefix}{name}/",
            source,
            path,
            self,
            self._blocks,
            written=self._written and keys is not None,
        )
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
            blocks = (*self._blocks, BlockName(name, record.type))
            inner = _Scope(self._graph, f"{name}/", sources[0], path, self, blocks, self._written)
            try:
                return record.expand(inner, sources[0])
            except ValidationError as error:  # of a layer that the block makes: a product of sizes, say
                fault = error.errors(include_url=False)[0]
                what = f"{'.'.join(map(str, fault['loc']))} {fault['input']}"
                raise LimitError(
                    f"{record.type} would hold a layer of {what}: {fault['msg'].lower()}",
                    hint="use smaller hyperparameters, or fewer channels before it",
                ) from None
        if not isinstance(record, Layer):
            raise GraphError(f"{record.type} is neither a layer nor a block")
        self._graph.append(name, record, sources, path, self._blocks)
        if record.psi is None:
            return name
        psi = record.psi if record.trainable else record.psi.model_copy(update={"trainable": False})
        self._graph.append(f"{name}/activation", psi, (name,), path, self._blocks)
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
