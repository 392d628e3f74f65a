"""From an ONNX file to a network of ours and its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from engine.arrays import Array
from engine.errors import Lacking, ModelFileError, UnsupportedGraphError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.node import INPUT
from engine.inputs.preprocessing import Preprocessing
from engine.model.model_file import few
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_format.records import MAX_AXES, Graph, GraphNode
from engine.model.onnx_import.border import Border, begin, bytes_as_they_are, our_metadata, takes_bytes
from engine.model.onnx_import.converters import COUNTS, FOLDS, RULES, Table, chosen, table
from engine.model.onnx_import.converters.patterns import put_together
from engine.model.onnx_import.values.builder import Builder
from engine.model.onnx_import.values.call import Call, Converter
from engine.model.onnx_import.values.layout import SAMPLES, Layout, written
from engine.model.onnx_import.values.value import (
    Budget,
    Computed,
    Constant,
    Counted,
    Missing,
    Unsupported,
    Value,
    stored,
)
from engine.recipe.losses import LOSSES, Loss
from engine.recipe.targets import Target

MOST_MISSING = 300
"""Nodes that are refused before the rest of the graph is not looked at any more."""


class Report(NamedTuple):
    """What became of a file."""

    mapped: int
    """Weights that were taken over."""
    unused: tuple[str, ...]
    """Initializers that nothing reads from which the output is computed."""
    folded: tuple[str, ...]
    """Nodes that were computed while the file was read, for they do not depend on the picture."""


@dataclass(frozen=True)
class ImportedNetwork:
    """A graph as a network of ours."""

    architecture: Architecture
    network: Network = field(repr=False)
    weights: dict[str, Array] = field(repr=False)
    input: Layout
    """How the graph's input is seen: `input.from_onnx` brings a batch into our order."""
    output: Layout
    """`output.to_onnx` brings the network's output into the order of the graph's."""
    report: Report


@dataclass(frozen=True)
class Imported:
    """A model that came as an ONNX file."""

    architecture: Architecture
    weights: dict[str, Array] = field(repr=False)
    outputs: int
    """How many classes, labels or values there are."""
    classes: tuple[str, ...] | None
    """Their names; None where the file does not say."""
    preprocessing: Preprocessing | None
    """None where the file does not say; what leaves bytes as they are where the graph takes them."""
    target: Target
    loss: Loss
    """Whose link makes predictions of the network's output; hyperparameters are those by default."""
    picture: dict[str, Any] | None
    """How a picture becomes an array that the network takes; None where the file does not say."""
    report: Report


def import_onnx(
    path: Path,
    *,
    external: Path | None = None,
    input_shape: tuple[int, int, int] | None = None,
    target: Target | None = None,
    max_parameters: int | None = None,
) -> Imported:
    """Read a model from an ONNX file.

    Args:
        path: the file.
        external: a second file, for tensors that are stored outside of the first.
        input_shape: (height, width, channels) of the pictures, where the file leaves them open.
        target: what its output is; by default what the file says, else labels if it ends with a sigmoid, else classes.
        max_parameters: the most numbers that constants may have together, and parameters of the network.

    Raises:
        ModelFileError: damaged, or the graph has operators or shapes that no layers here compute: all are listed.
        ShapeError, GraphError, LimitError: the network cannot be built here, or is too large.
    """
    graph = read_graph(path, external)
    said = our_metadata(graph)
    taken = _taken_apart(graph, input_shape, max_parameters)
    link = taken.link()
    target = target or said.target or ("labels" if link == "sigmoid" else "class")
    loss = _loss(target, link, sure=said.target is not None)
    if loss.link == link:
        taken.absorb_link()
    preprocessing = said.preprocessing
    if preprocessing is None and takes_bytes(graph):
        preprocessing = bytes_as_they_are(taken.border.shape[2])
    node = taken.vector()
    made = taken.made(node, max_parameters)
    (outputs,) = made.network.output_shape
    if said.classes is not None and len(said.classes) != outputs:
        raise ModelFileError(
            f"the file names {len(said.classes)} classes in its metadata but its output has {outputs} numbers"
        )
    return Imported(
        made.architecture,
        made.weights,
        outputs,
        said.classes,
        preprocessing,
        target,
        loss,
        said.picture,
        made.report,
    )


def import_network(
    graph: Graph,
    *,
    input_shape: tuple[int, int, int] | None = None,
    max_parameters: int | None = None,
) -> ImportedNetwork:
    """Return a graph as a network, all of it as it stands: no link is taken for that of a loss.

    Raises:
        As `import_onnx` does.
    """
    taken = _taken_apart(graph, input_shape, max_parameters)
    return taken.made(taken.output.node, max_parameters)


@dataclass
class _TakenApart:
    """A graph whose nodes have all become layers."""

    builder: Builder
    border: Border
    output: Computed
    unused: tuple[str, ...]
    folded: tuple[str, ...]

    def link(self) -> str | None:
        """Return the type of the last layer where it makes predictions of scores, as losses do by themselves."""
        layer, layout = self.builder.layer(self.output.node), self.output.layout
        links = {loss.link for loss in LOSSES}
        if layer is None or set(layout.place[-1]) != set(layout.flat):
            return None
        # the softmax of logarithms of probabilities is that of the scores
        link = "softmax" if layer.type == "log_softmax" else layer.type
        return link if link in links else None

    def absorb_link(self) -> None:
        """Take that layer off."""
        self.output = Computed(self.builder.inputs(self.output.node)[0], self.output.layout)

    def vector(self) -> str:
        """Return the node of the output as one vector for each picture."""
        layout = self.output.layout
        try:
            if layout.dims[:1] != ((SAMPLES,),):
                raise Unsupported("it has the batch on another axis than 0")
            if sum(map(bool, layout.dims[1:])) > 1:
                raise Unsupported(f"it is {written(layout.sizes)}")
            return self.builder.arranged(self.output, (layout.order[1:],))
        except Unsupported as missing:
            raise ModelFileError(
                f"the output of the graph has to be one vector for each picture: {missing}"
            ) from None

    def made(self, node: str, max_parameters: int | None) -> ImportedNetwork:
        """Build the network that leads to a node, and make its weights."""
        finished = self.builder.finished(node)
        architecture = finished.architecture()
        network = Network.build(architecture, max_parameters)
        weights = dict(finished.weights(max_parameters))
        report = Report(len(weights), self.unused, self.folded)
        return ImportedNetwork(architecture, network, weights, self.border.layout, self.output.layout, report)


def _taken_apart(
    graph: Graph, input_shape: tuple[int, int, int] | None, max_parameters: int | None
) -> _TakenApart:
    border = begin(graph, input_shape)
    graph = put_together(graph)
    if len(graph.outputs) != 1:
        raise ModelFileError(
            f"the graph has {len(graph.outputs)} outputs: {few({each.name for each in graph.outputs})}; "
            "a model here has one",
            hint="export the model with its predictions alone",
        )
    output = graph.outputs[0].name
    nodes = _ordered(graph, output, border.start)
    read = {name for node in nodes for name in node.inputs}
    budget = Budget(max_parameters)
    for name in read & set(graph.initializers):
        budget.charge(graph.initializers[name].elements)
    builder = Builder(border.shape)
    values: dict[str, Value] = {
        name: stored(graph.initializers[name]) for name in read & set(graph.initializers)
    }
    values[border.start] = Computed(INPUT, border.layout)
    folded = _convert(graph, nodes, values, builder, budget, border)
    found = values.get(output)
    if not isinstance(found, Computed):
        raise ModelFileError("the output of the graph does not depend on its input")
    unused = tuple(sorted(set(graph.initializers) - read))
    return _TakenApart(builder, border, found, unused, folded)


def _ordered(graph: Graph, output: str, start: str) -> list[GraphNode]:
    """Return the nodes that lead from one tensor to another, each after those that it reads."""
    makers: dict[str, int] = {}
    for number, node in enumerate(graph.nodes):
        for name in filter(None, node.outputs):
            if name in makers or name in graph.initializers or name in {each.name for each in graph.inputs}:
                raise ModelFileError(
                    f"the name {name!r}, of an output of {node.type} {node.place!r}, is taken"
                )
            makers[name] = number
    edges: dict[int, set[int]] = {}
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name == start or name in graph.initializers:
            continue
        if name not in makers:
            raise ModelFileError(f"nothing in the graph computes {name!r}, which is needed")
        if makers[name] in edges:
            continue
        inputs = list(filter(None, graph.nodes[makers[name]].inputs))
        edges[makers[name]] = {makers[each] for each in inputs if each in makers and each != start}
        waiting.extend(inputs)
    try:
        return [graph.nodes[number] for number in TopologicalSorter(edges).static_order()]
    except CycleError:
        raise ModelFileError(
            "the graph has a circle: a node needs what is computed from its own output"
        ) from None


def _convert(
    graph: Graph,
    nodes: Sequence[GraphNode],
    values: dict[str, Value],
    builder: Builder,
    budget: Budget,
    border: Border,
) -> tuple[str, ...]:
    """Convert all nodes and return those that were folded; refuse all together that cannot be converted."""
    rules, folds, counts = table(RULES), table(FOLDS), table(COUNTS)
    read = {name for node in nodes for name in node.inputs}
    folded: list[str] = []
    missing: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        inputs = tuple(values[name] if name else None for name in node.inputs)
        version = graph.opset if node.version is None else node.version
        constant = all(each is None or isinstance(each, Constant) for each in inputs)
        unknown = any(isinstance(each, Missing) for each in inputs)
        counting = any(isinstance(each, Counted) for each in inputs)
        rule = chosen(folds if constant else counts if counting else rules, node.domain, node.type, version)
        found: list[Value] = []
        try:
            if rule is None and not (unknown and chosen(folds, node.domain, node.type, version)):
                raise Unsupported(_unknown(node, version, rules))
            if rule is not None and not unknown:
                call = Call(node, rule.since, inputs, builder, budget, border.batch)
                found = _called(rule.convert, call)
                if constant and node.type != "Constant":
                    folded.append(node.place)
        except Unsupported as refused:
            missing.setdefault((node.type, str(refused)), []).append(node.place)
        if any(_axes(each) > MAX_AXES for each in found):
            missing.setdefault((node.type, f"tensors of at most {MAX_AXES} axes"), []).append(node.place)
            found = []
        used = [name for name in node.outputs[len(found) :] if name in read]
        if found and used:
            needs = f"its first outputs alone, and not {few(set(used))}"
            missing.setdefault((node.type, needs), []).append(node.place)
        for place, name in enumerate(node.outputs):
            values[name] = found[place] if place < len(found) else Missing()
        if sum(map(len, missing.values())) >= MOST_MISSING:
            break
    if missing:
        raise UnsupportedGraphError(
            [Lacking(kind, tuple(places), needs) for (kind, needs), places in missing.items()]
        )
    return tuple(folded)


def _called(convert: Converter, call: Call) -> list[Value]:
    try:
        with np.errstate(all="ignore"):  # weights that are not finite are refused when they are made
            return convert(call)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(map(str, fault["loc"]))
        raise Unsupported(f"another {where} than {fault['input']}: {fault['msg'].lower()}") from None
    except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError):
        # what a file says of a node need not fit together; each converter checks what it has a better word for
        raise Unsupported(
            "inputs and attributes that fit together, as the operator's description asks"
        ) from None


def _axes(value: Value) -> int:
    if isinstance(value, Counted):
        return value.rest.ndim
    if isinstance(value, Computed):
        return len(value.layout.dims)
    return 0 if isinstance(value, Missing) else len(value.shape)


def _unknown(node: GraphNode, version: int, rules: Table) -> str:
    if node.domain:
        return f"the operators of {node.domain!r}, which are not known here"
    known = rules.get((node.domain, node.type))
    if known is None:
        return "a layer that computes it, and there is none here"
    if known[-1].since > version:
        return f"version {known[-1].since} of the operators, which has it, and not {version}"
    return "an input that depends on the picture"


def _loss(target: Target, link: str | None, *, sure: bool) -> Loss:
    """Return the loss whose link leads from the network's output to predictions.

    Args:
        target: what the predictions are.
        link: what the graph ends with, if it is a link of losses.
        sure: whether the file itself says the target; then nothing is added to what it ends with.
    """
    losses: tuple[Callable[[], Loss], ...] = LOSSES
    fitting = [loss for loss in (make() for make in losses) if target in loss.targets]
    # what the graph ends with may also be a layer like others, before a loss that changes nothing
    links = (link, "identity") if link or sure else (fitting[0].link,)
    for wanted in links:
        for loss in fitting:
            if loss.link == wanted:
                return loss
    raise ModelFileError(
        f"the graph ends with {link}, which does not give {target}",
        hint="say another `target`, or leave it out",
    )
