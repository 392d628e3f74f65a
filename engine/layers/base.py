"""The layer contract.

A layer is an immutable record of hyperparameters with pure methods. Arrays travel beside it:

    output_shape(*inputs)                     shape of one image's output; raises ShapeError
    weights(*inputs)                          name -> WeightSpec: shape, what its axes run over, role, start;
                                              initialisation, parameter counts, limits, file checks,
                                              optimizer slots and exchange with others derive from it
    cost(*inputs)                             multiply-adds and memory of one image
    forward(weights, *xs, context=...)        -> (y, saved); saved is whatever backward needs
    backward(weights, saved, dy, context=...) -> (one dx per input, name -> gradient)
    trace(weights, xs, position)              -> the arithmetic of one number of one picture's output
    column(weights, xs, number, position)     -> the derivatives of the output by one number of an input
    export(weights, *xs)                      -> what computes it elsewhere, in operators of ONNX (`export.py`)

How a node runs is three questions apart, and the context answers them: `statistics`, those of the batch,
as in training, or the running ones, as in inference; `records`, whether anybody will go backwards and so
keeps `saved`; `wants` and `wants_input`, for what gradients are wanted: backward may leave out all others.
Every combination is right: gradients in inference are those of what inference computes.

Every layer says how one number of its output comes about: it gives `arithmetic`, with which `trace` answers; what kinds
of layers share of it is in `trace_kinds.py`, the record in `trace.py`. The way back is shown by a `column` of the
Jacobian (`jacobian.py`): `backward` gives it for a layer that says which numbers of its output are the `readers` of one
of its input; a layer with many of them knows it.

A layer that is not `trainable` is frozen: training changes none of its weights, parameters or statistics, and
no gradient of them is computed unless it is wanted by name.

A block (`Block`) has no arithmetic of its own: it expands into layers, so that a network is one flat
graph of nodes. A new layer is one class in one file, named in `engine.layers`; the HTTP schema, the
catalog, the summary, the model file, the docs and the contract test all read it from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike
from pydantic import BaseModel, ConfigDict, Field

from engine import draws
from engine.arrays import Array, Shape, Weights, elements
from engine.choices import OneOf
from engine.errors import ShapeError
from engine.layers.export import Constant, Given, Operator
from engine.layers.initializers import Initializer
from engine.layers.jacobian import Column, by_backward
from engine.layers.trace import Position, Trace, require_position
from engine.layers.trace_kinds import Line
from engine.spec import Flag, NodeName, Spec, describe
from engine.workspace import Workspace

Gradients = dict[str, Array]
Statistics = Literal["batch", "running"]


Axis = Literal["height", "width", "in", "out", "channels"]
"""What an axis of a weight runs over. `in` and `out` are the channels, or numbers, that a layer connects; of a grouped
convolution `in` is one group's. `channels` are those that stay what they are, as in normalisation."""


@dataclass(frozen=True)
class WeightSpec:
    """One array that a layer needs."""

    shape: Shape
    axes: tuple[Axis, ...]
    """What each axis runs over: other frameworks have the same axes in another order."""
    initializer: Initializer | float
    """How it starts: a rule, or the number that all of it starts from."""
    trainable: bool = True
    """Whether gradients change it: never a statistic, and no parameter of a frozen layer."""
    decays: bool = True
    """Whether weight decay applies; it does not to biases and to normalisation."""
    role: Literal["parameter", "statistic"] = "parameter"
    """A parameter is learned by its gradient; a statistic is gathered from batches in training."""

    def order(self, axes: Sequence[Axis]) -> tuple[int, ...]:
        """Return where each of `axes` is found here: what `transpose` takes to bring the array into their order."""
        return tuple(self.axes.index(axis) for axis in axes)


PASS = 4096
"""Operations on numbers that take about as long as one call of NumPy does for an array of nothing."""


class Cost(NamedTuple):
    """What one image costs."""

    multiply_adds: int = 0
    """Of convolutions and products; element-wise work is not counted, as in published figures."""
    saved_bytes: int = 0
    """Kept from forward for backward, beside inputs and outputs, in float32."""
    scratch_bytes: int = 0
    """Needed while forward or backward computes one image, beside all that is kept, in float32."""
    element_operations: int = 0
    """Additions, comparisons and passes over arrays that are neither multiply-adds nor a few for each number of inputs
    and outputs; a pass over an array, however small, counts as `PASS`."""


class Reach(NamedTuple):
    """How a layer widens the receptive field: a window of `size` input cells, `step` apart.

    A layer that enlarges its map has steps of less than a cell.
    """

    size: tuple[int, int] = (1, 1)
    step: tuple[int | Fraction, int | Fraction] = (1, 1)


class Example(NamedTuple):
    """A layer as a caller would post it, and shapes it accepts; contract tests and docs use them."""

    layer: dict[str, Any]
    inputs: tuple[Shape, ...]


def alone(array: Array) -> Array:
    """Return the sum over one share: the array itself."""
    return array


@dataclass(frozen=True)
class Context:
    """Everything a layer needs that is neither hyperparameter nor weight; bound to one node.

    It hands out memory (`Buffers`): of a workspace where there is one, else fresh.
    """

    statistics: Statistics = "running"
    """`batch`: batch norm uses those of the batch, and dropout drops. `running`: what was gathered in training; each
    picture is alone, and nothing is random."""
    records: bool = False
    """Whether what backward needs is kept."""
    wanted: frozenset[str] | None = None
    """Full names of weights and nodes, or `input`, whose gradients are wanted; None for all weights that are
    trained."""
    wants_input: bool = True
    """Whether the gradient of this node's inputs is wanted, there or further up."""
    seed: int = 0
    step: int = 0
    first_sample: int = 0
    """Index in the whole batch of this share's first sample."""
    node: str = ""
    reducer: Any = alone
    workspace: Workspace | None = None
    updates: dict[str, Array] = field(default_factory=dict)

    def bound(self, node: str, *, wants_input: bool = True) -> Context:
        """Return this context for one node."""
        return replace(self, node=node, wants_input=wants_input)

    def wants(self, name: str) -> bool:
        """Return whether the gradient of this node's weight `name` is wanted."""
        return self.wanted is None or f"{self.node}/{name}" in self.wanted

    def gradients(self, **found: Array | None) -> Gradients:
        """Return those of this node's weights that were found and are wanted."""
        return {name: array for name, array in found.items() if array is not None and self.wants(name)}

    def reduce(self, array: Array) -> Array:
        """Return the sum of `array` over the shares of the batch; the identity when there is one."""
        reduced: Array = self.reducer(array)
        return reduced

    def update(self, name: str, value: Array) -> None:
        """Leave a new value for a weight that is not trained by gradients (running statistics)."""
        self.updates[f"{self.node}/{name}"] = value

    def uniform(self, purpose: draws.Purpose, count: int, shape: Shape) -> Array:
        """Draw float32 in [0, 1), (count, *shape), keyed by seed, purpose, node, step and sample."""
        return draws.uniform_per_sample(
            self.seed, purpose, self.node, self.step, first=self.first_sample, count=count, shape=shape
        )

    def buffer(self, role: str, shape: Shape, dtype: DTypeLike) -> Array:
        """Return memory of this node that lives until the next step."""
        if self.workspace is None:
            return np.empty(shape, dtype)
        return self.workspace.take(self.node, role, shape, dtype)

    def scratch(self, role: str, shape: Shape, dtype: DTypeLike) -> Array:
        """Return memory shared by all nodes, valid only until the call returns."""
        if self.workspace is None:
            return np.empty(shape, dtype)
        return self.workspace.take("", role, shape, dtype)


class LayerRecord(Spec):
    """What layers and blocks have in common: a place in the graph and an entry in the catalog."""

    type: str
    name: NodeName | None = None
    """How errors, weights and other layers' `inputs` call it; by default `<type>_<number>`."""
    inputs: Annotated[tuple[NodeName, ...], Field(fail_fast=True)] | None = None
    """Names of the layers it reads, `input` being the image or the block's own input; by default the layer before."""

    examples: ClassVar[Sequence[Example]]
    formula: ClassVar[str]
    """The arithmetic in the article's notation."""
    source: ClassVar[str]
    """Where the formula comes from: paper and section."""
    random: ClassVar[bool] = False
    """Whether it draws at random in training."""
    input_count: ClassVar[tuple[int, int | None]] = (1, 1)
    """Fewest and most inputs; None means any number."""

    @classmethod
    def tag(cls) -> str:
        """Return the value of `type` that stands for this class."""
        default: str = cls.model_fields["type"].default
        return default

    @property
    def psi(self) -> Layer | None:
        """The activation that follows as a node of its own, if the record asks for one."""
        return getattr(self, "activation", None)


def _list_types(schema: dict[str, Any], kind: type[BaseModel]) -> None:
    describe(schema, kind)
    schema["properties"]["type"]["enum"] = list(ANY_LAYER.kinds)


class NestedLayer(LayerRecord):
    """A layer or a block of layers. What it takes beside this follows from its `type`: see the catalog of layers."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_list_types)

    type: str
    """Which layer it is."""


ANY_LAYER = OneOf(outline=NestedLayer)
"""`engine.layers` adds every layer there is."""

AnyLayer = Annotated[LayerRecord, ANY_LAYER]


class Layer(LayerRecord):
    """A node of the graph; see the top of this file."""

    trainable: Flag = True
    """False keeps this layer's weights as they were initialised or loaded, running statistics too."""

    def output_shape(self, *inputs: Shape) -> Shape:
        """Return the shape of one image's output; by default that of the input.

        Raises:
            ShapeError: the inputs do not fit the hyperparameters.
        """
        return inputs[0]

    def weights(self, *inputs: Shape) -> dict[str, WeightSpec]:
        """Return the arrays the layer needs for inputs of these shapes."""
        return {}

    def cost(self, *inputs: Shape) -> Cost:
        """Return what one image costs."""
        return Cost()

    def reach(self, *inputs: Shape) -> Reach | None:
        """Return how the layer widens the receptive field; None if each output sees the whole picture."""
        return Reach()

    def normalises(self, batch: int, *inputs: Shape) -> int | None:
        """Return over how many numbers each mean is taken in training on batches of this size; None if none is."""
        return None

    def connections(self, *inputs: Shape) -> int | None:
        """Return how many pairs of an input and an output number are connected; None if element-wise."""
        return None

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        """Return how the output's size comes about, with the numbers put in."""
        return {}

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        """Compute the output of a batch and what backward will need."""
        raise NotImplementedError

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        """Turn the gradient of the output, left as it is, into those of the inputs and weights that are wanted."""
        raise NotImplementedError

    def trace(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        """Return how the number at `position` of one picture's output comes about, in float64 as in inference.

        Args:
            weights: as in `forward`.
            xs: each input of one picture, (H, W, C) or (C,), without a batch axis.
            position: (row, column, channel) or (index,) in the output.

        Raises:
            ShapeError: the inputs do not fit, or the output has no number there.
        """
        require_position(self.output_shape(*(x.shape for x in xs)), position)
        return self.arithmetic(weights, xs, position)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        """Do what `trace` says, for a position that the output has."""
        raise NotImplementedError

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        """Return where those of the output lie that read one number of an input: by default at the same place.

        Args:
            number: which of the inputs, from 0.
            position: in it.
            inputs: the shapes of all of them.

        Returns:
            A line for each axis of the output; the readers are where they cross.
        """
        return tuple(Line(at, 1) for at in position)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        """Return the derivatives of one picture's output by one number of an input, in float64 as in inference.

        By default each reader's is what `backward` gives for a gradient of 1 there.

        Args:
            weights: as in `forward`.
            xs: each input of one picture, (H, W, C) or (C,), without a batch axis.
            number: which of the inputs, from 0.
            position: (row, column, channel) or (index,) in it.
        """
        lines = self.readers(number, position, *(x.shape for x in xs))
        context = Context(records=True, wanted=frozenset())
        return by_backward(self, context, lines, weights, xs, number, position)

    def export(self, weights: Weights, *xs: Given) -> Operator:
        """Return what computes the output in inference, in operators of ONNX; see `export.py`."""
        raise NotImplementedError

    def exported(self, weights: Weights, name: str, axes: Sequence[Axis], *inputs: Shape) -> Constant:
        """Return a weight with its axes in this order."""
        order = self.weights(*inputs)[name].order(axes)
        return Constant(weights[name].transpose(order), name)

    def dense_equivalent(self, *inputs: Shape) -> int | None:
        """Return how many weights a fully connected layer would need for the same map, with a bias if this has one."""
        if self.connections(*inputs) is None:
            return None
        outputs = elements(self.output_shape(*inputs))
        return (elements(inputs[0]) + ("bias" in self.weights(*inputs))) * outputs


class Scope(Protocol):
    """Where a block puts the layers it expands into."""

    def shape(self, node: str) -> Shape:
        """Return the output shape of a node that exists."""
        ...

    def add(self, layer: Layer, sources: Sequence[str], name: str) -> str:
        """Add a layer as a child of the block and return the node that carries its output."""
        ...

    def chain(
        self, layers: Sequence[LayerRecord], source: str, keys: tuple[str | int, ...] | None, name: str
    ) -> str:
        """Add a list of layers as a child scope and return the node that carries its output.

        `keys` say where the list stands in the block's document; None that the block made it itself.
        """
        ...


class Block(LayerRecord):
    """Layers written nested, which become nodes of the one flat graph."""

    def expand(self, scope: Scope, source: str) -> str:
        """Add the block's layers to `scope`, fed by `source`; return the node of the block's output."""
        raise NotImplementedError


def require_map(shape: Shape, what: str) -> None:
    """Raise ShapeError unless `shape` is a map (H, W, C)."""
    if len(shape) != 3:
        raise ShapeError(
            f"{what} takes a map [height, width, channels] but receives a vector of {shape[0]}",
            hint="place it before the flatten or global pooling layer",
        )


def require_vector(shape: Shape, what: str) -> None:
    """Raise ShapeError unless `shape` is a vector (C,)."""
    if len(shape) != 1:
        size = "x".join(map(str, shape))
        raise ShapeError(
            f"{what} takes a vector but receives a {size} map",
            hint="add a flatten or global_average_pool2d layer before it",
        )
