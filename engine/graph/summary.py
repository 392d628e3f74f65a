"""What a network costs and sees, from its description alone: no array is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from engine.arrays import elements
from engine.graph.costs import Hint, LayerSummary, Summary, Totals
from engine.graph.network import INPUT, Network, Node
from engine.recipe.optimizers import most_slots

_Field = tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction]]
_ONE = (Fraction(1), Fraction(1))
_FLOAT = 4  # bytes
_FAR = Fraction(2**53)
"""Receptive fields and jumps are not told apart beyond this: JSON carries whole numbers up to here."""


def summarize(network: Network, batch_size: int = 64, hints: Sequence[Hint] = ()) -> Summary:
    """Return shapes, formulas, parameters, multiply-adds, memory and receptive fields of every node.

    Hints, where they are wanted, are found by `engine.hints`.

    Receptive field and jump: Araujo, Norris & Sim 2019, "Computing receptive fields of convolutional
    neural networks", equations 1 and 2; where branches meet, the largest.
    """
    fields: dict[str, _Field] = {INPUT: (_ONE, _ONE)}
    picture = (Fraction(network.input_shape[0]), Fraction(network.input_shape[1]))
    layers = []
    for node in network.nodes:
        fields[node.name] = _field(node, fields, picture)
        layers.append(_layer(node, *fields[node.name]))
    weight_bytes = sum(elements(spec.shape) for spec in network.weight_specs.values()) * _FLOAT
    trainable = sum(layer.trainable_parameters for layer in layers)
    images = sum(layer.training_bytes for layer in layers) + elements(network.input_shape) * _FLOAT
    totals = Totals(
        parameters=network.parameters,
        trainable_parameters=trainable,
        multiply_adds=network.multiply_adds,
        weight_bytes=weight_bytes,
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        training_bytes=weight_bytes + trainable * _FLOAT * (1 + most_slots()) + images * batch_size,
        batch_size=batch_size,
    )
    return Summary(
        input_shape=list(network.input_shape),
        output_shape=list(network.output_shape),
        totals=totals,
        layers=layers,
        hints=list(hints),
    )


def _field(node: Node, fields: dict[str, _Field], picture: tuple[Fraction, Fraction]) -> _Field:
    """Return receptive field and jump: r + (f - 1) * j and j * s."""
    seen, jumps = zip(*(fields[name] for name in node.inputs), strict=True)
    reach = node.layer.reach(*node.input_shapes)
    if reach is None:
        return picture, picture
    height, width = (max(one[axis] for one in seen) for axis in (0, 1))
    down, right = (max(one[axis] for one in jumps) for axis in (0, 1))
    field = (height + (reach.size[0] - 1) * down, width + (reach.size[1] - 1) * right)
    jump = (down * reach.step[0], right * reach.step[1])
    return (_near(field[0]), _near(field[1])), (_near(jump[0]), _near(jump[1]))


def _near(size: Fraction) -> Fraction:
    """Keep a number short: after thousands of strides it would have thousands of digits."""
    return min(size, _FAR).limit_denominator(2**53)


def _layer(node: Node, field: Sequence[Fraction], jump: Sequence[Fraction]) -> LayerSummary:
    cost = node.layer.cost(*node.input_shapes)
    connections = node.layer.connections(*node.input_shapes)
    outputs = elements(node.output_shape)
    pairs = elements(node.input_shapes[0]) * outputs
    inputs = sum(elements(shape) for shape in node.input_shapes)
    return LayerSummary(
        name=node.name,
        type=node.layer.type,
        pointer=node.pointer,
        inputs=list(node.inputs),
        output_shape=list(node.output_shape),
        formula=node.layer.size_formula(*node.input_shapes),
        parameters=node.parameters,
        trainable_parameters=node.trainable_parameters,
        multiply_adds=cost.multiply_adds,
        activation_bytes=outputs * _FLOAT,
        training_bytes=(outputs + inputs) * _FLOAT + cost.saved_bytes,
        receptive_field=[math.ceil(size) for size in field],
        jump=[int(step) if step.denominator == 1 else float(step) for step in jump],
        dense_equivalent_parameters=node.layer.dense_equivalent(*node.input_shapes),
        connection_density=None if connections is None else connections / pairs,
    )
