"""Compiles a network for a batch size into steps.

Patterns, each only where nobody else reads what lies in between:

    conv2d (+ relu) (+ max_pool2d 2x2)      ConvolutionStep, also of depthwise_conv2d
    batch_norm (+ relu) on maps             BatchNormStep
    add (+ relu)                            AddStep
    dense (+ relu)                          DenseStep
    max_pool2d 2x2, max_pool2d              PoolStep, WindowPoolStep
    concatenate                             ConcatenateStep: calls of its own in inference
    flatten                                 FlattenStep
    global_average_pool2d                   GlobalAverageStep
    anything else                           LayerStep: the layer's own forward and backward

where relu is relu6 as well.

A plan computes the same numbers as the network's own executor up to rounding, and may give the
same memory out again at the next call. It is float32 only and serves one batch at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.arrays import Array, Shape, Weights
from engine.fast.kernels.depthwise import Depthwise
from engine.fast.kernels.rectifier import RECTIFIERS
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning, viewed
from engine.fast.layout.places import Call, Place, plain
from engine.fast.steps.base import LayerStep, Map, Step, stored
from engine.fast.steps.convolution import ConvolutionStep
from engine.fast.steps.elementwise import AddStep, ConcatenateStep, DenseStep, FlattenStep, GlobalAverageStep
from engine.fast.steps.normalization import BatchNormStep
from engine.fast.steps.pooling import PoolStep, WindowPoolStep
from engine.graph.network import INPUT, Network, Node
from engine.layers import Context
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.normalization import BatchNorm
from engine.layers.pooling import MaxPool2D

Before = Callable[[Step, tuple[Place, ...]], list[Call]]

REVISION = 10
"""Raised by every change of steps or kernels that changes bits: checkpoints pin it."""


@dataclass(frozen=True)
class PlanTape:
    """What a forward pass leaves: the output; the rest is in the plan's own buffers."""

    output: Array
    context: Context


class Plan:
    """A network ready to run batches of one size."""

    def __init__(
        self, network: Network, batch: int, tuning: Tuning, *, training: bool, before: Before | None = None
    ) -> None:
        """Lay a plan out.

        Args:
            network: to be run.
            batch: of so many pictures.
            tuning: what was measured of the machine.
            training: whether forward and backward, or only `scores`.
            before: returns what else `scores` has to call before a step, given where its inputs lie.
        """
        self.network, self.batch, self._before = network, batch, before
        self._specs = network.weight_specs
        self._training = training
        self._places: dict[str, Place] = {}
        arena = Arena(training=training)
        lay_out(steps_of(network, batch, tuning, training=training), arena, batch)
        self.bytes = arena.bytes
        """What it holds, without the weights."""
        arena.fill()
        self._steps = steps_of(network, batch, tuning, training=training)
        self._sums = lay_out(self._steps, arena, batch)
        self._learning = {step.output for step in self._steps if step.learns}
        self._last_use = {name: step.output for step in self._steps for name in step.inputs}

    @property
    def choices(self) -> dict[str, str]:
        """What computes each step, by the name of its first node."""
        return {step.nodes[0].name: step.choice for step in self._steps}

    def prepare(self, weights: Weights) -> None:
        """Take the weights, transformed for the kernels; again whenever they have changed."""
        for step in self._steps:
            step.prepare(weights)
        if not self._training:
            self._bind()

    def _bind(self) -> None:
        """List what has to be called, on maps that are laid out once."""
        if not self._places:
            self._places = _places(self._steps, self.batch, self.network.input_shape)
            largest = max(place.flat.shape[1] for place in self._places.values())
            self._zeros = np.zeros((1, largest), np.float32)
            self.bytes += 4 * largest + sum(place.flat.nbytes for place in self._places.values())
        places = dict(self._places)
        self._input = places[INPUT].maps
        self._calls: list[Call] = []
        for step in self._steps:
            inputs = tuple(places[name] for name in step.inputs)
            if self._before is not None:
                self._calls += self._before(step, inputs)
            calls, places[step.output] = step.bind(inputs, places[step.output], self._zeros)
            self._calls += calls
        self._output = places[self._steps[-1].output].maps

    def scores(self, x: Array) -> Array:
        """Run a batch (N, H, W, C), N as compiled, by a plan for inference; valid until the next call."""
        np.copyto(self._input, x)
        for call in self._calls:
            call()
        return self._output

    def forward(self, x: Array, context: Context) -> PlanTape:
        """Run a batch (N, H, W, C), N as compiled, by a plan for training; valid until the next call."""
        outputs: dict[str, Map] = {INPUT: x}
        for step in self._steps:
            xs = tuple(outputs[name] for name in step.inputs)
            outputs[step.output] = step.forward(xs, context)
            for name in step.inputs:
                if self._last_use[name] == step.output:
                    outputs.pop(name, None)
        return PlanTape(stored(outputs[self._steps[-1].output]), context)

    def backward(self, tape: PlanTape, dy: Array) -> dict[str, Array]:
        """Turn the gradient of the output into those of all trainable weights, by full name."""
        pending: dict[str, Map] = {self._steps[-1].output: dy}
        gradients: dict[str, Array] = {}
        for step in reversed(self._steps):
            if step.output not in pending or not step.learns:
                continue
            wanted = any(name in self._learning for name in step.inputs)
            base = None if step.receiver is None else pending.pop(step.inputs[0], None)
            dxs, found = step.backward(
                pending.pop(step.output),
                tape.context,
                needs_dx=wanted,
                base=None if base is None else stored(base),
            )
            gradients |= {name: found[name] for name in found if self._specs[name].trainable}
            for name, dx in zip(step.inputs, dxs, strict=True):
                if name not in self._learning or dx is None:
                    continue
                if name in pending:
                    # never in place: the array may be another branch's gradient as well
                    one, other = stored(pending[name]), stored(dx)
                    pending[name] = np.add(one, other, out=self._sums[name, step.output])
                else:
                    pending[name] = dx
        return gradients


def lay_out(steps: Sequence[Step], arena: Arena, batch: int) -> dict[tuple[str, str], Array]:
    """Let steps ask for their memory; return that of sums of gradients, by name and by the step that adds the last."""
    producers = {step.output: number for number, step in enumerate(steps)}
    readers: dict[str, list[int]] = {}
    for number, step in enumerate(steps):
        for name in step.inputs:
            readers.setdefault(name, []).append(number)

    # for each step, the last one on the way back that uses what was computed for the gradient of its output
    users: list[int] = []

    def last_user(maker: int, name: str) -> int:
        first = readers[name][0]
        return users[producers[name]] if first == maker else first  # which adds it to its own

    sums = {}
    for number, step in enumerate(steps):
        inputs = [name for name in dict.fromkeys(step.inputs) if name != INPUT]
        beyond = min((last_user(number, name) for name in inputs), default=number)
        users.append(min(number, beyond) if step.hands_on else number)
        arena.begin(number, beyond)
        step.lay_out(arena)
        for name in inputs:
            received = step.receiver is not None and name == step.inputs[0]
            added = readers[name][-1] != number or step.inputs.count(name) > 1
            if added and not received and steps[producers[name]].learns:
                sums[name, step.output] = arena.gradient((batch, *steps[producers[name]].shape))
    return sums


def link(steps: Sequence[Step]) -> None:
    """Tell steps what they may do in each other's tiles; see `engine.fast.steps`."""
    producers = {step.output: step for step in steps}
    readers = _readers(steps)
    for step in steps:
        if isinstance(step, BatchNormStep):
            before = producers.get(step.inputs[0])
            if (
                isinstance(before, ConvolutionStep)
                and len(before.nodes) == 1
                and len(readers[before.output]) == 1
            ):
                before.observer, step.observed = step, True
            following = readers.get(step.output, [])
            if len(following) != 1:
                continue
            if isinstance(following[0], ConvolutionStep):
                step.deferred = True
            elif isinstance(following[0], AddStep) and not step.rectifies:
                step.deferred = step.receives = True
                following[0].norms.append(step)
        elif isinstance(step, ConvolutionStep):
            before = producers.get(step.inputs[0])
            # the first reader is the last in the way back: with its gradient the sum is complete
            handed = step.needs_dx and readers[step.inputs[0]][0] is step
            if isinstance(before, BatchNormStep | AddStep) and handed:
                step.receiver = before
                before.receives = True


def _readers(steps: Sequence[Step]) -> dict[str, list[Step]]:
    readers: dict[str, list[Step]] = {}
    for step in steps:
        for name in step.inputs:
            readers.setdefault(name, []).append(step)
    return readers


def _places(steps: Sequence[Step], batch: int, shape: Shape) -> dict[str, Place]:
    """Return where the maps between steps lie in inference.

    That is where a convolution or a product that reads them wants them, if all others can read them there; and what a
    sum adds up lies as the sum does.
    """
    readers = _readers(steps)
    shapes = {INPUT: shape} | {step.output: step.shape for step in steps}
    places: dict[str, Place] = {}
    for name in reversed(shapes):  # a sum comes after what it adds
        places[name] = _place(batch, shapes[name], readers.get(name, []), places)
    return places


def _place(batch: int, shape: Shape, readers: Sequence[Step], places: dict[str, Place]) -> Place:
    if len(readers) == 1 and isinstance(readers[0], FlattenStep):
        vectors = places[readers[0].output]
        return Place(viewed(vectors.maps, (batch, *shape)), vectors.flat)
    if len(readers) == 1 or all(isinstance(reader, ConvolutionStep | AddStep) for reader in readers):
        for reader in readers:
            if reader.entry is not None:
                return reader.entry
        for reader in readers:
            if isinstance(reader, AddStep):
                return places[reader.output].like()
    return plain(batch, shape)


def steps_of(network: Network, batch: int, tuning: Tuning, *, training: bool) -> list[Step]:
    """Return the steps of a plan, which have no memory yet."""
    learns = learning(network)
    runs = _runs(network, training=training)
    steps = [_step(run, batch, tuning, learns, training=training) for run in runs]
    for step in steps:
        step.learns = step.output in learns
    if training:
        link(steps)
    return steps


def learning(network: Network) -> set[str]:
    """Return the nodes whose gradient anybody wants: those with weights that learn, there or further up."""
    return network.leading_to(network.wanted(None))


def _runs(network: Network, *, training: bool) -> Iterator[tuple[Node, ...]]:
    """Yield the nodes of a network as they are computed together."""
    readers = Counter(name for node in network.nodes for name in node.inputs)
    position = 0
    while position < len(network.nodes):
        run = _run(network.nodes, position, readers, training=training)
        yield run
        position += len(run)


def _run(
    nodes: tuple[Node, ...], position: int, readers: Counter[str], *, training: bool
) -> tuple[Node, ...]:
    """Return the nodes from `position` on that one step computes."""
    first = nodes[position]
    run = [first]

    def follows(*types: str) -> Node | None:
        if position + len(run) >= len(nodes):
            return None
        following = nodes[position + len(run)]
        alone = following.inputs == (run[-1].name,) and readers[run[-1].name] == 1
        return following if alone and following.layer.type in types else None

    kind = first.layer.type
    if has_kernel(first):
        if relu := follows(*RECTIFIERS):
            run.append(relu)
        if (pool := follows("max_pool2d")) and pools_by_two(pool):
            run.append(pool)
            if len(run) == 2 and (relu := follows(*RECTIFIERS)):
                run.append(relu)
    elif (kind in {"dense", "add"} or _normalises(first, training=training)) and (
        relu := follows(*RECTIFIERS)
    ):
        run.append(relu)
    return tuple(run)


def _step(  # noqa: PLR0911 - one return for each pattern
    run: tuple[Node, ...], batch: int, tuning: Tuning, learns: set[str], *, training: bool
) -> Step:
    first = run[0]
    layer: Any = first.layer
    needs_dx = not learns.isdisjoint(first.inputs)
    match layer.type:
        case "conv2d" | "depthwise_conv2d" if has_kernel(first):
            return ConvolutionStep(
                run,
                layer.window(first.input_shapes[0]),
                batch,
                tuning,
                training=training,
                needs_dx=needs_dx,
            )
        case "batch_norm" if _normalises(first, training=training):
            return BatchNormStep(run, batch, training=training)
        case "add":
            return AddStep(run, batch, training=training)
        case "dense":
            return DenseStep(run, batch, training=training, needs_dx=needs_dx)
        case "flatten":
            return FlattenStep(run)
        case "global_average_pool2d":
            return GlobalAverageStep(run, batch, training=training)
        case "max_pool2d" if pools_by_two(first):
            return PoolStep(run, batch, training=training)
        case "max_pool2d":
            return WindowPoolStep(run, batch, training=training)
        case "concatenate":
            return ConcatenateStep(run)
    return LayerStep(run)


def _normalises(node: Node, *, training: bool) -> bool:
    """Whether it is batch norm on maps, in training by the statistics of the batch: a frozen one has others."""
    layer = node.layer
    return isinstance(layer, BatchNorm) and len(node.output_shape) == 3 and (layer.trainable or not training)


def has_kernel(node: Node) -> bool:
    """Whether it is a convolution of one group, or of one for each channel."""
    if not isinstance(node.layer, Conv2D | DepthwiseConv2D):
        return False
    shape, channels = node.weights["weight"].shape, node.input_shapes[0][2]
    return shape[2] == channels or Depthwise.fits(node.layer.window(node.input_shapes[0]), channels, shape)


def pools_by_two(node: Node) -> bool:
    """Whether a pool has 2x2 windows that lie side by side and cover the map."""
    layer, (height, width, _) = node.layer, node.input_shapes[0]
    if not isinstance(layer, MaxPool2D) or height % 2 or width % 2:
        return False
    return all(
        (axis.kernel, axis.stride, axis.before, axis.after) == (2, 2, 0, 0)
        for axis in layer.window(node.input_shapes[0])
    )
