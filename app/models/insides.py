"""What is inside of a model: the outputs of its nodes for pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.models.opened import OpenedModel
from app.models.prediction import Picture
from engine.arrays import Array, Shape
from engine.graph.node import INPUT
from engine.model.activations import activation, pictures_at_once


@dataclass(frozen=True, slots=True)
class Place:
    """A node that can be looked at; the input is one too."""

    name: str
    type: str
    shape: Shape


def place(opened: OpenedModel, name: str) -> Place:
    """Return the node of a name, or the input.

    Raises:
        Invalid: there is none.
    """
    if name == INPUT:
        return Place(INPUT, INPUT, opened.network.input_shape)
    node = opened.node(name)
    return Place(node.name, node.layer.type, node.output_shape)


def outputs(opened: OpenedModel, name: str, pictures: Sequence[Picture], max_pixels: int) -> Array:
    """Return what a node puts out for pictures: (N, H, W, C), or (N, C) of a vector.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has more than `max_pixels` pixels.
    """
    size = pictures_at_once(opened.network)
    parts = []
    for first in range(0, len(pictures), size):
        x = opened.images(pictures[first : first + size], max_pixels)
        parts.append(activation(opened.network, opened.model.weights, x, name))
    return np.concatenate(parts)
