"""How much memory a plan takes, before there is one: jobs are admitted by it.

Steps ask an arena for their memory, which counts it and gives none. Beside the arena there are the maps between the
steps of an inference plan, and what layers that no pattern covers allocate for themselves: that is estimated, rather
more than less.
"""

from __future__ import annotations

from engine.arrays import elements
from engine.fast.layout.arena import Arena, Unbounded
from engine.fast.layout.gemm import OPENBLAS_EDGE, Tuning
from engine.fast.plan import lay_out, steps_of
from engine.fast.steps.base import BLOCK, LayerStep, Step
from engine.fast.steps.convolution import ConvolutionStep
from engine.fast.steps.elementwise import AddStep
from engine.fast.steps.normalization import BatchNormStep
from engine.graph.network import INPUT, Network

_FLOAT = 4
_COLUMNS_BYTES = 1 << 21
"""Columns that a layer's own convolution gathers at once."""
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
    beside = [_beside(step, pictures, training=training) for step in steps]
    held = arena.bytes + sum(held for held, _ in beside) + max((shared for _, shared in beside), default=0)
    if not training:  # a batch where the first step reads it, and zeros for a picture of the largest map
        held += elements(network.input_shape) * _FLOAT * pictures
        held += (
            2 * _FLOAT * max(elements(shape) for step in steps for shape in (step.shape, network.input_shape))
        )
    return held


def _beside(step: Step, pictures: int, *, training: bool) -> tuple[int, int]:
    """Return what a step holds beside the arena, and what it needs of the memory that layers share."""
    node = step.nodes[0]
    inputs = sum(elements(shape) for shape in node.input_shapes) * _FLOAT * pictures
    outputs = elements(step.shape) * _FLOAT * pictures
    maps = 0 if training else outputs + outputs // pictures
    weight = node.weights.get("weight")
    if not training and weight is not None and weight.shape[:-2] == (1, 1):
        maps += inputs  # which lie apart for a neighbour's sake, and are copied for the product
    if training and isinstance(step, BatchNormStep | AddStep):
        # a tile of numbers, where they are positive and where they are below six
        return maps + (_FLOAT + 2) * max(BLOCK, elements(step.shape)), 0
    if training and isinstance(step, ConvolutionStep) and step.receiver is not None:
        maps += (
            (_FLOAT + 2) * step.tile * elements(node.input_shapes[0])
        )  # the same of that step, for a tile of this
    if training and any(other.layer.type == "relu6" for other in step.nodes):
        maps += outputs // _FLOAT
    if not isinstance(step, LayerStep):
        return maps, 0
    gradients = inputs if training and node.inputs != (INPUT,) else 0
    saved = node.layer.cost(*node.input_shapes).saved_bytes * pictures
    weights = sum(elements(spec.shape) for spec in node.weights.values()) * _FLOAT
    temporary = 2 * max(inputs, outputs)
    if weights:
        temporary += (2 if training else 1) * (_COLUMNS_BYTES + weights)
    # a gradient with respect to padded maps is as large as these are
    held = outputs + gradients + (2 if training else 1) * saved + (weights if training else 0)
    return maps + held, temporary
