"""What is inside of a model: the outputs of its nodes for pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.models.opened import OpenedModel
from app.models.prediction import Picture
from app.pictures.accounts import thumbnail
from app.pictures.colours import Pixels
from engine.arrays import Array, Shape
from engine.graph.node import INPUT
from engine.model.activations import Spread, activation, activations, pictures_at_once, spread


@dataclass(frozen=True, slots=True)
class Place:
    """A node that can be looked at; the input is one too."""

    name: str
    type: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Step:
    """One node on a picture's way through a network."""

    place: Place
    spread: Spread
    thumbnail: Pixels
    """Grey (H, W) or in colours (H, W, 3)."""


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


def way(opened: OpenedModel, picture: Picture, max_pixels: int) -> Iterator[Step]:
    """Yield what each node makes of a picture in short, the input first; one node's output is held at a time.

    Raises:
        Invalid: it is no picture, or is damaged.
        TooLarge: it has more than `max_pixels` pixels.
    """
    x = opened.images([picture], max_pixels)
    for name, kind, output in activations(opened.network, opened.model.weights, x):
        numbers = output[0]
        small = thumbnail(numbers, picture=name == INPUT)
        yield Step(Place(name, kind, numbers.shape), spread(numbers), small)


def number_names(opened: OpenedModel, name: str) -> list[str] | None:
    """Return what the numbers of a node are called: those of the scores and of the output like the classes."""
    last = {network.nodes[-1].name for network in (opened.network, opened.scoring) if network.nodes}
    return list(opened.model.classes) if name in last else None
