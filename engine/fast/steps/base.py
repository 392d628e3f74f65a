"""The contract of a step, and the step that is always possible.

What a step hands on lies in a place, or is a *deferred* map: one that is computed a tile at a time where it is used,
while the tile is in the cache, and never stored. Only steps that were linked for it (`links`) get one.

Forward, in training as in inference, is a list of calls that each step makes once (`bind`), for maps and weights stay
where they are. A call of NumPy costs less than the Python around it that says what to call: at one picture that is
most of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from engine.arrays import Array, Shape, Weights, elements
from engine.fast.kernels.rectifier import RECTIFIERS
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning
from engine.fast.layout.places import Call, Place
from engine.graph.network import INPUT, Node
from engine.layers import Context

Gradients = dict[str, Array]
BLOCK = 1 << 16
"""Numbers of one block of element-wise work: 256 KB."""
FLOAT = 4
"""Bytes of a number."""
_COLUMNS_BYTES = 1 << 21
"""Columns that a layer's own convolution gathers at once."""

Claim = int | str
"""How many nodes a step computes, 0 where another step of the list may as well, or why it computes none."""


class Task(NamedTuple):
    """What a plan wants of one of its steps."""

    batch: int
    tuning: Tuning
    training: bool
    wants_dx: bool = False
    """Whether the gradient of an input is wanted, there or further up."""
    wants_dw: bool = False
    """Whether the step has weights that learn."""

    @property
    def learns(self) -> bool:
        """Whether there is a way back through the step."""
        return self.wants_dx or self.wants_dw


class Memory(NamedTuple):
    """Bytes beside the arena."""

    held: int
    shared: int = 0
    """What the step needs while it runs, of the memory that layers share."""


class Deferred:
    """A map (N, H, W, C) that is computed where it is used."""

    def into(self, tile: slice, out: Array) -> None:
        """Compute the pictures of a tile into out (T, H, W, C), which is contiguous."""
        raise NotImplementedError


Map = Array | Deferred
Given = Place | Deferred
"""A map as a step finds it when it is bound."""


@dataclass
class Current:
    """What calls find when they run."""

    zeros: Array
    """(1, M) for the longest run of M numbers in any place."""
    weights: dict[str, Array] = field(default_factory=dict)
    """By full name; running statistics may be other arrays at the next pass, all else stays where it is."""
    context: Context = field(default_factory=Context)
    """Of the pass under way."""


class Receiver(Protocol):
    """A step that takes the gradient of its output a tile at a time, as the step behind it computes them."""

    def begin(self) -> None:
        """Expect a new gradient."""

    def receive(self, tile: slice, d: Array, z: Array) -> None:
        """Take d (T, H, W, C), the whole gradient of the output z (T, H, W, C); it is changed in place."""


class Step:
    """One or more nodes; `inputs` are read and `output` is written.

    A class says itself which nodes it computes (`claim`): its docstring has the equation of what it fuses.
    """

    types: ClassVar[frozenset[str]] = frozenset()
    """What layers can be the first of its nodes."""

    kind = "layer"
    receiver: Receiver | None = None
    """The step before, where it takes the gradient of its output tile by tile from this one."""

    hands_on = True
    """Whether the gradient of an input may be the very array that it got for its output."""

    stores = True
    """Whether in training the output has a place of its own."""

    halo: tuple[int, int] | None = None
    """How many rows above and below those that some rows of the output stand for are read, too.

    None where no rows can be computed alone, or the step does not know how.
    """

    beyond: tuple[int, int] = (0, 0)
    """How many of the rows above and below are filled in by somebody else (`margins`), and are no padding."""

    reads_apart = False
    """Whether in inference it reads maps wherever another step that reads them wants them, between zeros."""

    def __init__(self, nodes: tuple[Node, ...], task: Task) -> None:
        self.nodes, self.task = nodes, task
        self.inputs = nodes[0].inputs
        self.output = nodes[-1].name

    @classmethod
    def claim(cls, chain: Sequence[Node], *, training: bool) -> Claim:
        """Return how many nodes of a chain this step computes, or why none.

        Args:
            chain: nodes of which each reads the one before and nothing else, and nobody else reads that; the first is
                of one of the `types`.
            training: whether the plan is for training.
        """
        return 1

    @property
    def learns(self) -> bool:
        """Whether it has weights that learn, or a step before it has: else its backward is never called."""
        return self.task.learns

    @property
    def memory(self) -> Memory:
        """What it holds beside the arena, by estimate: rather more than less.

        In inference that is where its output lies, with what lies between the pixels.
        """
        if self.task.training:
            return Memory(self._below)
        outputs = elements(self.shape) * FLOAT * self.task.batch
        return Memory(outputs + outputs // self.task.batch + self._below)

    @property
    def _below(self) -> int:
        """Bytes that say where ReLU6 stopped numbers from above."""
        if not self.task.training or all(node.layer.type != "relu6" for node in self.nodes):
            return 0
        return elements(self.shape) * self.task.batch

    @property
    def shape(self) -> Shape:
        """Shape of one picture's output."""
        return self.nodes[-1].output_shape

    def lay_out(self, arena: Arena) -> None:
        """Get memory: once to be counted, and once more with the same requests."""

    def prepare(self, current: Current) -> list[Call]:
        """Take the weights.

        Returns what to call, after `bind`, when their numbers have changed: before the calls of each pass in training,
        which share the memory for it, and once for all in inference.
        """
        self._weights: Weights = current.weights
        return []

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Map | None, ...], Gradients]:
        """Turn the gradient of the output into those of the inputs and of the weights, by full name.

        Args:
            dy: of the output.
            context: of the forward pass.
            base: for a step with a receiver, the gradient of its input by all other readers.
        """
        raise NotImplementedError

    @property
    def entry(self) -> Place | None:
        """Where this step would like to find its input in inference; None if anywhere is as good."""
        return None

    def beside(self, y: Place, shape: Shape) -> Place | None:
        """Return where maps that it reads lie best in inference, given where its output lies; None if anywhere."""
        return None

    @property
    def margins(self) -> Array:
        """Where in inference the input lies with such rows, (1, above + H + below, W, C), for who fills them in."""
        raise TypeError(f"{self.nodes[0].name} reads no rows but its own")

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        """Return what to call, in order, to compute the output, and where it then is.

        In training the calls also keep what the way back needs.

        Args:
            xs: the inputs, which stay where they are.
            y: where the output is wanted; empty for a step that stores none (`stores`).
            current: what the calls may look at when they run.
        """
        raise NotImplementedError

    @property
    def choice(self) -> str:
        """What computes it, for people and for checkpoints."""
        return self.kind

    @property
    def why(self) -> str:
        """Why that computes it, in words."""
        types = [node.layer.type for node in self.nodes]
        return f"there is a step for {types[0]}" + (
            f", and {', '.join(types[1:])} with it" if types[1:] else ""
        )


def stored(given: Map) -> Array:
    """Return an array, where no deferred map can be."""
    if isinstance(given, Deferred):
        raise TypeError("a deferred map reached a step that was not linked for it")
    return given


def placed(given: Given) -> Place:
    """Return a place, where no deferred map can be."""
    if isinstance(given, Deferred):
        raise TypeError("a deferred map reached a step that was not linked for it")
    return given


def bound_tile(given: Given, tile: slice, scratch: Place) -> tuple[list[Call], Place]:
    """Return where the pictures of a tile are, and what computes them into `scratch` if they have to be."""
    if isinstance(given, Deferred):
        return [partial(given.into, tile, scratch.maps)], scratch
    return [], given.tile(tile)


def tile_of(given: Map, tile: slice, scratch: Array) -> Array:
    """Return the pictures of a tile, in `scratch` if they have to be computed."""
    if isinstance(given, Deferred):
        given.into(tile, scratch)
        return scratch
    part: Array = given[tile]
    return part


def rectified(chain: Sequence[Node], count: int) -> int:
    """Return how many nodes of a chain are computed together, where a ReLU or ReLU6 behind the first `count` may be."""
    return count + (len(chain) > count and chain[count].layer.type in RECTIFIERS)


class LayerStep(Step):
    """A node that no other step claims: its layer's own forward and backward."""

    refusals: tuple[str, ...] = ()
    """Why steps for layers of this type did not claim it."""

    @property
    def choice(self) -> str:
        return " ".join((f"{self.kind}:", "; ".join(self.refusals))) if self.refusals else self.kind

    @property
    def why(self) -> str:
        return (
            "; ".join(self.refusals)
            or f"no step computes {self.nodes[0].layer.type} any quicker than the layer"
        )

    @property
    def memory(self) -> Memory:
        node, pictures, training = self.nodes[0], self.task.batch, self.task.training
        inputs = sum(elements(shape) for shape in node.input_shapes) * FLOAT * pictures
        outputs = elements(self.shape) * FLOAT * pictures
        gradients = inputs if training and node.inputs != (INPUT,) else 0
        saved = node.layer.cost(*node.input_shapes).saved_bytes * pictures
        weights = sum(elements(spec.shape) for spec in node.weights.values()) * FLOAT
        temporary = 2 * max(inputs, outputs)
        if weights:
            temporary += (2 if training else 1) * (_COLUMNS_BYTES + weights)
        # a gradient with respect to padded maps is as large as these are
        held = outputs + gradients + (2 if training else 1) * saved + (weights if training else 0)
        return Memory(super().memory.held + held, temporary)

    def bind(self, xs: tuple[Given, ...], y: Place, current: Current) -> tuple[list[Call], Given]:
        """Return the call of the layer; nothing of a request is kept for a way back."""
        node = self.nodes[0]
        inputs = tuple(placed(x).maps for x in xs)
        self._saved: Any = None

        def run() -> None:
            maps, saved = node.layer.forward(self._local, *inputs, context=current.context.bound(node.name))
            np.copyto(y.maps, maps)
            if self.task.training:
                self._saved = saved

        return [run], y

    @property
    def _local(self) -> dict[str, Array]:
        node = self.nodes[0]
        return {name: self._weights[f"{node.name}/{name}"] for name in node.weights}

    def backward(
        self, dy: Map, context: Context, *, base: Array | None = None
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        node = self.nodes[0]
        bound = context.bound(node.name, wants_input=self.task.wants_dx)
        dxs, found = node.layer.backward(self._local, self._saved, stored(dy), context=bound)
        return dxs, {f"{node.name}/{name}": gradient for name, gradient in found.items()}
