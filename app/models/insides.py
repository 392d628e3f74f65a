"""What is inside of a model: the outputs of its nodes for pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from app.errors import Invalid
from app.models.explanations import check_way_back, index_of
from app.models.opened import OpenedModel
from app.models.prediction import Picture
from app.pictures.accounts import SmallMaps, small_maps, thumbnail
from app.pictures.bounds import Bounds
from app.pictures.colours import Pixels
from app.store.records import ModelRecord
from engine.arrays import Array, Shape, elements
from engine.errors import ShapeError
from engine.graph.node import INPUT
from engine.graph.trace import NodeTrace, trace_node
from engine.model.activations import (
    Activation,
    Spread,
    activation,
    activations,
    head,
    passing_bytes,
    pictures_at_once,
    spread,
)
from engine.model.explanations.score import step_bytes
from engine.model.gradient_trace import GradientTrace, trace_gradients
from engine.model.gradients import Gradients, Of, gradients

T = TypeVar("T")


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
    small: Pixels | SmallMaps
    """A thumbnail, grey (H, W) or in colours (H, W, 3); or a few of the maps as numbers."""


@dataclass(frozen=True, slots=True)
class Slope:
    """Of what gradients are asked for, in place of outputs."""

    of: Of
    index: int | None
    """Which output; None is the one with the largest score."""


def slope_of(record: ModelRecord, of: Of | None, name: str | None) -> Slope | None:
    """Return of what gradients are asked for; None if outputs are.

    Raises:
        Invalid: the model has no output of this name, or no loss of one name.
    """
    if of is None:
        if name is not None:
            hint = "leave it out, or add gradient=score"
            raise Invalid.at("class", "outputs are of no class", hint, parameter=True)
        return None
    if of == "loss" and record.target != "class":
        detail = f"one name does not say what is right of a picture with {record.target}"
        raise Invalid.at("gradient", detail, "ask for gradient=score", parameter=True)
    return Slope(of, index_of(record, name))


def sloped(opened: OpenedModel, slope: Slope | None, most_bytes: int) -> OpenedModel:
    """Return the model with the network that gradients are taken in, where they are asked for.

    Raises:
        Invalid: a pass back needs more memory than `most_bytes`.
    """
    if slope is None:
        return opened
    scored = opened.without_final()
    check_way_back(scored.network, "gradient", "leave it out", most_bytes)
    return scored


def place(opened: OpenedModel, name: str, parameter: str = "node", others: Sequence[str] = ()) -> Place:
    """Return the node of a name, or the input; the name of a block stands for its last node.

    Args:
        opened: the model.
        name: of the node, or `input`.
        parameter: where the caller wrote it.
        others: names that the call takes beside those, for the error to list.

    Raises:
        Invalid: there is none.
    """
    if name == INPUT:
        return Place(INPUT, INPUT, opened.network.input_shape)
    node = opened.node(name, parameter, others=(INPUT, *others))
    return Place(node.name, node.layer.type, node.output_shape)


def outputs(opened: OpenedModel, name: str, pictures: Sequence[Picture], bounds: Bounds) -> Array:
    """Return what a node puts out for pictures: (N, H, W, C), or (N, C) of a vector.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has too many pixels.
    """
    return np.concatenate(list(_batches(opened, name, pictures, bounds)))


def outputs_of_several(
    opened: OpenedModel, names: Sequence[str], pictures: Sequence[Picture], bounds: Bounds
) -> dict[str, Array]:
    """Return what nodes, or the input, put out for pictures, each (N, H, W, C) or (N, C); the network runs once.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has too many pixels.
    """
    size = pictures_at_once(opened.network)
    found: dict[str, list[Array]] = {name: [] for name in names}
    for first in range(0, len(pictures), size):
        x = opened.images(pictures[first : first + size], bounds)
        left = set(names)
        with bounds.reserve(_needed(opened, len(x), len(names))):
            for name, _, output in activations(opened.network, opened.model.weights, x):
                bounds.go_on()
                if name in left:
                    found[name].append(output)
                    left.discard(name)
                    if not left:
                        break
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _batches(opened: OpenedModel, name: str, pictures: Sequence[Picture], bounds: Bounds) -> Iterator[Array]:
    """Yield what a node puts out for a few pictures at a time, so that memory does not grow with their number."""
    size = pictures_at_once(opened.network)
    for first in range(0, len(pictures), size):
        x = opened.images(pictures[first : first + size], bounds)
        with bounds.reserve(_needed(opened, len(x))):
            output = activation(opened.network, opened.model.weights, x, name)
        yield output


def _needed(opened: OpenedModel, pictures: int, outputs: int = 1) -> int:
    """Return about how many bytes a batch takes on its way, with so many outputs that are kept."""
    network = opened.network
    largest = max(elements(network.input_shape), *(elements(node.output_shape) for node in network.nodes))
    return pictures * (passing_bytes(network) + 4 * outputs * largest)


def picture_gradients(
    opened: OpenedModel, picture: Picture, slope: Slope, bounds: Bounds, use: Callable[[Gradients], T]
) -> T:
    """Return what `use` makes of the gradients of a score or of the loss in all nodes for a picture.

    Their memory is reserved until then. `opened` is without its final link.

    Raises:
        Invalid: it is no picture, or is damaged.
        TooLarge: it has too many pixels.
    """
    model = opened.model
    x = opened.images([picture], bounds)
    with bounds.reserve(step_bytes(opened.network)):
        return use(gradients(opened.network, model.weights, x, model.loss, slope.of, slope.index))


def outputs_of(opened: OpenedModel, picture: Picture, bounds: Bounds) -> Iterator[Activation]:
    """Yield what each node puts out for a picture, the input first; one node's output is held at a time.

    Raises:
        Invalid: it is no picture, or is damaged.
        TooLarge: it has too many pixels.
    """
    x = opened.images([picture], bounds)
    with bounds.reserve(_needed(opened, 1)):
        for found in activations(opened.network, opened.model.weights, x):
            bounds.go_on()
            yield found


def way(nodes: Iterable[Activation], maps: int | None = None, *, signed: bool = False) -> Iterator[Step]:
    """Yield the nodes of one picture in short.

    Args:
        nodes: their outputs, or gradients.
        maps: how many maps of each are given as numbers; None for a thumbnail.
        signed: whether the input's numbers are gradients, and no picture.
    """
    for name, kind, output in nodes:
        numbers = output[0]
        picture = name == INPUT and not signed
        small = thumbnail(numbers, picture=picture) if maps is None else small_maps(numbers, maps)
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


def embeddings(opened: OpenedModel, name: str, pictures: Sequence[Picture], bounds: Bounds) -> Array:
    """Return pictures as vectors (N, C): what a node puts out, of maps the mean of each channel.

    Raises:
        Invalid: one is no picture, or is damaged.
        TooLarge: one has too many pixels.
    """
    return np.concatenate([_vectors(found) for found in _batches(opened, name, pictures, bounds)])


def _vectors(output: Array) -> Array:
    vectors: Array = output.mean(axis=(1, 2)) if output.ndim == 4 else output
    return vectors


def traces(
    opened: OpenedModel,
    node: str,
    positions: Sequence[tuple[int, ...]],
    picture: Picture,
    bounds: Bounds,
    *,
    on_the_way: bool = False,
) -> list[NodeTrace]:
    """Return how numbers that a node, or a block, puts out for a picture came about; see `trace_node`.

    Raises:
        Invalid: a position is not in the output, or the picture is none.
        TooLarge: the picture has too many pixels.
    """
    (x,) = opened.images([picture], bounds)
    try:
        with bounds.reserve(_needed(opened, 1)):
            return trace_node(opened.network, opened.model.weights, x, node, positions, on_the_way=on_the_way)
    except ShapeError as error:
        raise Invalid.at("position", error.detail, error.hint, parameter=True) from error


def traces_of_gradients(
    opened: OpenedModel,
    at: Place,
    positions: Sequence[tuple[int, ...]],
    picture: Picture,
    slope: Slope,
    bounds: Bounds,
) -> tuple[Gradients, list[GradientTrace]]:
    """Return how the gradients at numbers of a node come about for a picture; `opened` is without its final link.

    Raises:
        Invalid: a position is not in the output, or the picture is none.
        TooLarge: the picture has too many pixels.
    """
    model, x = opened.model, opened.images([picture], bounds)
    try:
        with bounds.reserve(step_bytes(opened.network)):
            return trace_gradients(
                opened.network, model.weights, x, model.loss, slope.of, slope.index, at.name, positions
            )
    except ShapeError as error:
        raise Invalid.at("position", error.detail, error.hint, parameter=True) from error


def number_names(opened: OpenedModel, name: str) -> list[str] | None:
    """Return what the numbers of a node are called: those of the scores and of the output like the classes."""
    last = {network.nodes[-1].name for network in (opened.network, opened.scoring) if network.nodes}
    return list(opened.model.classes) if name in last else None
