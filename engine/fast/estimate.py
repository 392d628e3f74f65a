"""How much memory a plan takes, before there is one: jobs are admitted by it.

Steps ask an arena for their memory, which counts it and gives none. What they hold beside the arena, as layers that no
step covers do, they estimate themselves (`Step.memory`), rather more than less.
"""

from __future__ import annotations

from engine.arrays import elements
from engine.fast.layout.arena import Arena, Unbounded
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.plan import lay_out
from engine.fast.steps.base import FLOAT
from engine.fast.steps.claims import steps_of
from engine.graph.network import Network

_TUNING = Tuning(gemm_edge=OPENBLAS_EDGE)


def pass_bytes(network: Network, pictures: int, *, training: bool) -> int:
    """Return about how much a plan for so many pictures holds, with its workspace; rather more than less.

    It is not the weights themselves nor the batch.
    """
    steps = steps_of(network, pictures, _TUNING, training=training)
    arena = Arena(training=training)
    try:
        lay_out(steps, arena, pictures)
    except Unbounded:
        return arena.bytes  # more than this machine has
    beside = [step.memory for step in steps]
    held = arena.bytes + sum(memory.held for memory in beside)
    held += max((memory.shared for memory in beside), default=0)
    if not training:  # a batch where the first step reads it, and zeros for a picture of the largest map
        held += elements(network.input_shape) * FLOAT * pictures
        held += (
            2 * FLOAT * max(elements(shape) for step in steps for shape in (step.shape, network.input_shape))
        )
    return held
