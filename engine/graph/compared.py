"""What two networks have in common and where they differ, as records."""

from __future__ import annotations

from typing import Any, Literal

from engine.graph.costs import SummaryRecord


class NumberDifference(SummaryRecord):
    """A number of both networks."""

    values: tuple[int, int]
    """Of the first and of the second."""
    difference: int
    """The second's minus the first's."""
    ratio: float | None
    """How many times as much the second has; null where the first has none."""


class Differences(SummaryRecord):
    """What both networks cost and see."""

    parameters: NumberDifference
    trainable_parameters: NumberDifference
    multiply_adds: NumberDifference
    """For one picture."""
    weight_bytes: NumberDifference
    activation_bytes: NumberDifference
    """Of all outputs for one picture."""
    training_bytes: NumberDifference
    """For one step on a batch of the same size."""
    nodes: NumberDifference
    depth: NumberDifference
    """Most convolutions and dense layers on one way from the picture to the output: the 50 of ResNet-50."""
    receptive_field_height: NumberDifference
    """Of the last map, in pixels."""
    receptive_field_width: NumberDifference


class LayerDifference(SummaryRecord):
    """A layer that the networks do not have in common."""

    change: Literal["changed", "renamed", "removed", "added"]
    """`changed`: of the same name, with other values. `renamed`: with the same values, under another name. `removed`
    and `added`: in the first or the second network alone."""
    names: tuple[str | None, str | None]
    """Of the node in the first and in the second network."""
    types: tuple[str | None, str | None]
    values: dict[str, tuple[Any, Any]]
    """Hyperparameters, `inputs`, `output_shape` and `parameters` that differ, each of the first and of the second."""


class NetworkComparison(SummaryRecord):
    """How two networks differ."""

    differences: Differences
    unchanged: int
    """Nodes that are alike in both, by name and by all their values."""
    layers: list[LayerDifference]
    """The others, in order."""
