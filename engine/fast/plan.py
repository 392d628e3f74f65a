"""Compiles a network for a batch size into steps: which nodes each computes, `engine.fast.steps.claims` says.

A plan computes the same numbers as the network's own executor up to rounding, and may give the
same memory out again at the next call. It is float32 only and serves one batch at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Array, Shape, Weights
from engine.fast.layout.arena import Arena
from engine.fast.layout.gemm import Tuning
from engine.fast.layout.places import Call, Place, plain
from engine.fast.steps.base import Map, Step, stored
from engine.fast.steps.claims import steps_of
from engine.fast.steps.links import readers_of
from engine.graph.network import INPUT, Network
from engine.layers import Context

Before = Callable[[Step, tuple[Place, ...]], list[Call]]

REVISION = 11
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
        self._wanted = network.wanted(None)
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
        context = replace(context, wanted=self._wanted)
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
            base = None if step.receiver is None else pending.pop(step.inputs[0], None)
            dxs, found = step.backward(
                pending.pop(step.output), tape.context, base=None if base is None else stored(base)
            )
            gradients |= found
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


def _places(steps: Sequence[Step], batch: int, shape: Shape) -> dict[str, Place]:
    """Return where the maps between steps lie in inference.

    That is where a convolution or a product that reads them wants them, if all others can read them there; and what a
    sum adds up lies as the sum does.
    """
    readers = readers_of(steps)
    shapes = {INPUT: shape} | {step.output: step.shape for step in steps}
    places: dict[str, Place] = {}
    for name in reversed(shapes):  # a sum comes after what it adds
        places[name] = _place(batch, shapes[name], readers.get(name, []), places)
    return places


def _place(batch: int, shape: Shape, readers: Sequence[Step], places: dict[str, Place]) -> Place:
    if len(readers) == 1 or all(reader.reads_apart for reader in readers):
        for reader in readers:
            if reader.entry is not None:
                return reader.entry
        for reader in readers:
            if (place := reader.beside(places[reader.output], shape)) is not None:
                return place
    return plain(batch, shape)
