"""What is inside of a model: the outputs of its nodes for pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.errors import Invalid
from app.models.opened import OpenedModel
from app.models.prediction import Picture
from app.pictures.accounts import thumbnail
from app.pictures.colours import Pixels
from engine.arrays import Array, Shape
from engine.errors import ShapeError
from engine.graph.node import INPUT
from engine.graph.trace import NodeTrace, trace_node
from engine.model.activations import Spread, activation, activations, head, pictures_at_once, spread


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
    """Return the node of a name, or the input; the name of a block stands for its last node.

    Raises:
        Invalid: there is none.
    """
    if name == INPUT:
        return Place(INPUT, INPUT, opened.network.input_shape)
    node = opened.node(name, others=(INPUT,))
    return Place(node.name, node.layer.type, node.output_shape)


def outputs(opened: OpenedModel, name: str, pictures: Sequence[Picture], max_pixels: int) -> Array:
    """Return what a node puts out for pictures: (N, H, W, C), or (N, C) of a vector.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has more than `max_pixels` pixels.
    """
    return np.concatenate(list(_batches(opened, name, pictures, max_pixels)))


def _batches(opened: OpenedModel, name: str, pictures: Sequence[Picture], max_pixels: int) -> Iterator[Array]:
    """Yield what a node puts out for a few pictures at a time, so that memory does not grow with their number."""
    size = pictures_at_once(opened.network)
    for first in range(0, len(pictures), size):
        x = opened.images(pictures[first : first + size], max_pixels)
        yield activation(opened.network, opened.model.weights, x, name)


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


def embedding_place(opened: OpenedModel, name: str | None) -> Place:
    """Return the node of a name, by default the one that the head reads: the last layer that connects by parameters.

    Raises:
        Invalid: there is no node of this name, or the network has no such layer.
    """
    if name is not None:
        return place(opened, name)
    last = head(opened.network)
    if last is None:
        raise Invalid.at("node", "no layer of this network has parameters", "name a node", parameter=True)
    return place(opened, last.inputs[0])


def embeddings(opened: OpenedModel, name: str, pictures: Sequence[Picture], max_pixels: int) -> Array:
    """Return pictures as vectors (N, C): what a node puts out, of maps the mean of each channel.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has more than `max_pixels` pixels.
    """
    return np.concatenate([_vectors(found) for found in _batches(opened, name, pictures, max_pixels)])


def _vectors(output: Array) -> Array:
    vectors: Array = output.mean(axis=(1, 2)) if output.ndim == 4 else output
    return vectors


def traces(
    opened: OpenedModel,
    node: str,
    positions: Sequence[tuple[int, ...]],
    picture: Picture,
    max_pixels: int,
    *,
    on_the_way: bool = False,
) -> list[NodeTrace]:
    """Return how numbers that a node, or a block, puts out for a picture came about; see `trace_node`.

    Raises:
        Invalid: a position is not in the output, or the picture is none.
        TooLarge: the picture has more than `max_pixels` pixels.
    """
    (x,) = opened.images([picture], max_pixels)
    try:
        return trace_node(opened.network, opened.model.weights, x, node, positions, on_the_way=on_the_way)
    except ShapeError as error:
        raise Invalid.at("position", error.detail, error.hint, parameter=True) from error


def number_names(opened: OpenedModel, name: str) -> list[str] | None:
    """Return what the numbers of a node are called: those of the scores and of the output like the classes."""
    last = {network.nodes[-1].name for network in (opened.network, opened.scoring) if network.nodes}
    return list(opened.model.classes) if name in last else None
