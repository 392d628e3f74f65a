"""Which step computes which nodes: the first in the list that claims them. A new step is one class, named here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from engine.fast.layout.gemm import Tuning
from engine.fast.steps.base import LayerStep, Step, Task
from engine.fast.steps.convolution import ConvolutionStep
from engine.fast.steps.elementwise import AddStep, ConcatenateStep, DenseStep, FlattenStep, GlobalAverageStep
from engine.fast.steps.links import link
from engine.fast.steps.normalization import BatchNormStep
from engine.fast.steps.pooling import PoolStep, WindowPoolStep
from engine.fast.steps.running_norm import RunningNormStep
from engine.fast.steps.separable import SeparableStep
from engine.graph.network import Network, Node

STEPS: tuple[type[Step], ...] = (
    SeparableStep,
    ConvolutionStep,
    BatchNormStep,
    RunningNormStep,
    AddStep,
    DenseStep,
    PoolStep,
    WindowPoolStep,
    ConcatenateStep,
    FlattenStep,
    GlobalAverageStep,
)
_LONGEST = 6
"""Nodes that a step may look at."""


def steps_of(network: Network, batch: int, tuning: Tuning, *, training: bool) -> list[Step]:
    """Return the steps of a plan, which have no memory yet."""
    leading = network.leading_to(network.wanted(None))
    steps = []
    for kind, nodes, refusals in _claimed(network, training=training):
        task = Task(
            batch,
            tuning,
            training,
            wants_dx=not leading.isdisjoint(nodes[0].inputs),
            wants_dw=any(spec.trainable for node in nodes for spec in node.weights.values()),
        )
        step = kind(nodes, task)
        if isinstance(step, LayerStep):
            step.refusals = refusals
        steps.append(step)
    if training:
        link(steps)
    return steps


def _claimed(
    network: Network, *, training: bool
) -> Iterator[tuple[type[Step], tuple[Node, ...], tuple[str, ...]]]:
    """Yield the nodes of a network as they are computed together, by what, and why other steps do not."""
    nodes = network.nodes
    readers = Counter(name for node in nodes for name in node.inputs)
    position = 0
    while position < len(nodes):
        chain = _chain(nodes, position, readers)
        kind, count, refusals = _claim(chain, training=training)
        yield kind, chain[:count], refusals
        position += count


def _claim(chain: tuple[Node, ...], *, training: bool) -> tuple[type[Step], int, tuple[str, ...]]:
    refusals = []
    for kind in STEPS:
        if chain[0].layer.type in kind.types:
            claim = kind.claim(chain, training=training)
            if isinstance(claim, str):
                refusals.append(claim)
            elif claim:
                return kind, claim, ()
    return LayerStep, 1, tuple(refusals)


def _chain(nodes: Sequence[Node], position: int, readers: Counter[str]) -> tuple[Node, ...]:
    """Return the node at a position, and those behind of which each alone reads the one before."""
    chain = [nodes[position]]
    for node in nodes[position + 1 : position + _LONGEST]:
        if node.inputs != (chain[-1].name,) or readers[chain[-1].name] != 1:
            break
        chain.append(node)
    return tuple(chain)
