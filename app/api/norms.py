"""Answers about the lengths of gradients and weights in training."""

from __future__ import annotations

from app.api.common import Body, Number


class NodeSeries(Body):
    """One node that is trained; each list has a number for each of `epochs`, null where it was not trained yet."""

    name: str
    gradient: list[Number]
    """Euclidean length of the gradient of its weights, before clipping: the mean over the epoch's steps. Of steps on
    fewer than 64 pictures, one for every 64 pictures is measured."""
    largest_gradient: list[Number]
    """The largest of these steps."""
    weight: list[Number]
    """Euclidean length of its trained weights, biases included, after the epoch's last step."""


class TrainingNorms(Body):
    """How long gradients and weights are, node by node and epoch by epoch."""

    epochs: list[int]
    """The epochs that are shown; of more than 200 some are left out, never the first nor the last. Empty before the end
    of the first, and of jobs of earlier versions."""
    nodes: list[NodeSeries]
    """In the order of the network."""
    vanishing: list[str]
    """Nodes whose gradient is shorter than a thousandth of the longest one in the last epoch: they hardly learn."""
    exploding: list[str]
    """Nodes whose gradient in the last epoch is more than ten times as long as the longest one in the first epoch, or
    as their own weights."""
