"""Hints about the end of a network, and about ends that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator

from engine.hints.graph import Finding, Graph
from engine.layers.activation import ReLU
from engine.layers.bounded import ReLU6
from engine.recipe.losses import LOSSES


def link_before_loss(graph: Graph) -> Iterator[Finding]:
    """Find networks that end with what the loss applies itself: a loss has its link, softmax or sigmoid.

    Goodfellow, Bengio & Courville 2016, "Deep learning", sections 6.2.2.2 and 6.2.2.3: loss and link together neither
    overflow nor saturate.
    """
    last = graph.nodes[-1]
    fitting = [loss.tag() for loss in LOSSES if loss.link == last.layer.type]
    others = [loss.tag() for loss in LOSSES if loss.link != last.layer.type]
    if fitting:
        yield Finding(
            last,
            f"the network ends with {last.layer.type}, which every loss has of its own: {' and '.join(fitting)} takes "
            f"it over, {' and '.join(others)} would come after it",
            f"leave the {last.layer.type} out; predictions are probabilities all the same",
        )


def relu_last(graph: Graph) -> Iterator[Finding]:
    """Find scores that cannot be negative: a ReLU at the end, or before the softmax or sigmoid there.

    A class whose score is below 0 for every picture gets no gradient and never learns (Lu et al. 2019, "Dying ReLU and
    initialization", section 1).
    """
    last = graph.nodes[-1]
    before = graph.before(last)
    if any(loss.link == last.layer.type for loss in LOSSES) and before is not None:
        last = before
    if isinstance(last.layer, ReLU | ReLU6) and len(last.output_shape) == 1:
        yield Finding(
            last,
            f"the {last.output_shape[0]:,} scores go through {last.layer.type}: none can be below 0, and one that "
            "would be has no gradient",
            "leave the activation of the last layer out",
        )


def output_unread(graph: Graph) -> Iterator[Finding]:
    """Find layers whose output nothing reads, and that are not the network's output."""
    for node in graph.nodes[:-1]:
        if graph.readers[node.name]:
            continue
        line, source = [node], graph.before(node)
        while source is not None and len(graph.readers[source.name]) == 1:
            line.append(source)
            source = graph.before(source)
        cost = sum(one.layer.cost(*one.input_shapes).multiply_adds for one in line)
        parameters = sum(one.parameters for one in line)
        yield Finding(
            node,
            f"nothing reads its output: {parameters:,} parameters that lead to it never learn, and {cost:,} "
            "multiply-adds for each picture are in vain",
            "name it in the `inputs` of a later layer, or leave it out",
        )
