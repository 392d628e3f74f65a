"""Compiles a network for a batch size into steps: which nodes each computes, `engine.fast.steps.claims` says.

Forward, in training as in inference, is one list of calls that are bound to their arrays (`Step.bind`): maps and
weights stay where they are from batch to batch. In training what follows from the weights, such as transformed filters,
is computed in each pass, in inference once for all.

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
from engine.fast.layout.places import Call, Place, close, plain
from engine.fast.steps.base import Current, Given, Map, Step, placed, stored
from engine.fast.steps.claims import steps_of
from engine.fast.steps.links import readers_of
from engine.graph.network import INPUT, Network
from engine.layers import Context

Before = Callable[[Step, tuple[Given, ...]], list[Call]]
_NOWHERE = Place(np.empty((0, 0), np.float32), np.empty((0, 0), np.float32))

REVISION = 14
"""Raised by every change of steps, kernels or predicted times that changes bits: checkpoints pin it."""


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
        self._training = training
        self._places: dict[str, Place] = {}
        # statistics are looked up by each pass: those of a batch in parts are other arrays from part to part
        self._specs = network.weight_specs
        self._fixed = [name for name, spec in self._specs.items() if spec.role == "parameter"]
        arena = Arena(training=training)
        lay_out(steps_of(network, batch, tuning, training=training), arena, batch)
        self.bytes = arena.bytes
        """What it holds, without the weights."""
        arena.fill()
        self._steps = steps_of(network, batch, tuning, training=training)
        self._kept, self._sums = lay_out(self._steps, arena, batch)
        self._learning = {step.output for step in self._steps if step.learns}
        self._wanted = network.wanted(None)
        self._current = Current(np.zeros((1, 0), np.float32))

    @property
    def choices(self) -> dict[str, str]:
        """What computes each step, by the name of its first node."""
        return {step.nodes[0].name: step.choice for step in self._steps}

    @property
    def reasons(self) -> dict[str, str]:
        """Why that computes each step, in words, by the same names: the rule, or predicted times."""
        return {step.nodes[0].name: step.why for step in self._steps}

    @property
    def calls(self) -> Sequence[Call]:
        """What a forward pass calls, in order, once there are weights."""
        return self._calls

    def change_calls(self, change: Callable[[Call], Call]) -> None:
        """Let a forward pass call something else in the place of each call, from now on; there have to be weights."""
        self._calls[:] = [change(call) for call in self._calls]

    def prepare(self, weights: Weights) -> None:
        """Take the weights, transformed for the kernels; again whenever they have changed."""
        held = self._current.weights
        # what is not contiguous is copied where it is bound
        stay = all(held.get(name) is weights[name] and held[name].flags.c_contiguous for name in self._fixed)
        held.update((name, weights[name]) for name in self._specs)
        if not stay or not self._places:
            self._bind()
        if not self._training:
            for call in self._preparing:
                call()

    def _bind(self) -> None:
        """List what has to be called, on maps that are laid out once."""
        if not self._places:
            self._lay_maps()
        places: dict[str, Given] = dict(self._places)
        self._input = self._places[INPUT].maps
        self._calls: list[Call] = []
        self._preparing: list[Call] = []
        for step in self._steps:
            inputs = tuple(places[name] for name in step.inputs)
            preparing = step.prepare(self._current)
            (self._calls if self._training else self._preparing).extend(preparing)
            if self._before is not None:
                self._calls += self._before(step, inputs)
            place = self._places.get(step.output, _NOWHERE)
            calls, places[step.output] = step.bind(inputs, place, self._current)
            self._calls += calls
        self._output = placed(places[self._steps[-1].output]).maps

    def _lay_maps(self) -> None:
        """Say where maps lie, and get the memory that the arena has not: in inference, and zeros."""
        if self._training:
            self._places = {name: close(maps) for name, maps in self._kept.items()}
        else:
            self._places = _places(self._steps, self.batch, self.network.input_shape)
            self.bytes += sum(place.flat.nbytes for place in self._places.values())
        longest = max(place.flat.shape[1] for place in self._places.values())
        self._current.zeros = np.zeros((1, longest), np.float32)
        self.bytes += self._current.zeros.nbytes

    def scores(self, x: Array) -> Array:
        """Run a batch (N, H, W, C), N as compiled or fewer; valid until the next call.

        In place of those that are missing, the pictures before them are computed again.
        """
        self._input[: len(x)] = x
        for call in self._calls:
            call()
        return self._output[: len(x)]

    def forward(self, x: Array, context: Context) -> PlanTape:
        """Run a batch (N, H, W, C), N as compiled, by a plan for training; valid until the next call."""
        context = self._current.context = replace(context, wanted=self._wanted)
        return PlanTape(self.scores(x), context)

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


def lay_out(
    steps: Sequence[Step], arena: Arena, batch: int
) -> tuple[dict[str, Array], dict[tuple[str, str], Array]]:
    """Let steps ask for their memory.

    Returns:
        In training, that of the input and of outputs, by name; and that of sums of gradients, by name and by the step
        that adds the last.
    """
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

    kept: dict[str, Array] = {}
    sums = {}
    for number, step in enumerate(steps):
        inputs = [name for name in dict.fromkeys(step.inputs) if name != INPUT]
        beyond = min((last_user(number, name) for name in inputs), default=number)
        users.append(min(number, beyond) if step.hands_on else number)
        arena.begin(number, beyond)
        if arena.training:
            shapes = dict(zip(step.inputs, step.nodes[0].input_shapes, strict=True))
            if INPUT in shapes and INPUT not in kept:
                kept[INPUT] = arena.kept((batch, *shapes[INPUT]))
            if step.stores:
                kept[step.output] = arena.kept((batch, *step.shape))
        step.lay_out(arena)
        for name in inputs:
            received = step.receiver is not None and name == step.inputs[0]
            added = readers[name][-1] != number or step.inputs.count(name) > 1
            if added and not received and steps[producers[name]].learns:
                sums[name, step.output] = arena.gradient((batch, *steps[producers[name]].shape))
    return kept, sums


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
