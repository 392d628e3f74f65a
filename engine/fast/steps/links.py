"""What steps do for each other in training, in tiles that are in the cache anyway: three rules."""

from __future__ import annotations

from collections.abc import Sequence

from engine.fast.steps.base import Step
from engine.fast.steps.convolution import ConvolutionStep
from engine.fast.steps.elementwise import AddStep
from engine.fast.steps.normalization import BatchNormStep


def link(steps: Sequence[Step]) -> None:
    """Tell steps what they may do for each other."""
    producers = {step.output: step for step in steps}
    readers = readers_of(steps)
    for step in steps:
        before = producers.get(step.inputs[0])
        behind = readers.get(step.output, [])
        if isinstance(step, BatchNormStep):
            _observe(before, step, readers)
            if len(behind) == 1:
                _defer(step, behind[0])
        elif isinstance(step, ConvolutionStep):
            _receive(before, step, readers)


def readers_of(steps: Sequence[Step]) -> dict[str, list[Step]]:
    """Return which steps read a map, in their order, by its name."""
    readers: dict[str, list[Step]] = {}
    for step in steps:
        for name in step.inputs:
            readers.setdefault(name, []).append(step)
    return readers


def _observe(before: Step | None, norm: BatchNormStep, readers: dict[str, list[Step]]) -> None:
    """A convolution alone, whose map nobody else reads, takes the sums of batch norm of each tile as it computes it.

    It subtracts the running mean as well, which is one more term of its bias; and the gradient of its map is computed
    where it takes that apart, but for one factor a channel, which its filters take in.
    """
    if isinstance(before, ConvolutionStep) and len(before.nodes) == 1 and len(readers[before.output]) == 1:
        before.observer, norm.observed = norm, True


def _defer(norm: BatchNormStep, reader: Step) -> None:
    """A convolution, or a sum, that alone reads a normalised map computes it where it reads it: it is never stored.

    For a sum that holds only where the batch norm has no ReLU of its own: its mask would have to be kept.
    """
    if isinstance(reader, ConvolutionStep):
        norm.deferred = True
    elif isinstance(reader, AddStep) and not norm.rectifies:
        norm.deferred = norm.receives = True
        reader.norms.append(norm)


def _receive(before: Step | None, reader: ConvolutionStep, readers: dict[str, list[Step]]) -> None:
    """A convolution hands the gradient of its input over tile by tile, to the batch norm or the sum that computed it.

    It must be the first of several readers, the last on the way back: with its gradient the sum of all is complete.
    """
    is_last = reader.task.wants_dx and readers[reader.inputs[0]][0] is reader
    if isinstance(before, BatchNormStep | AddStep) and is_last:
        reader.receiver = before
        before.receives = True
