"""Answers about what is inside of a model: activations, filters, embeddings."""

from __future__ import annotations

from app.api.common import Body, Number, Numbers


class Spread(Body):
    """How the numbers of an array are spread."""

    minimum: Number
    mean: Number
    maximum: Number
    deviation: Number
    """The standard deviation."""
    zeros: float
    """The share of them that is exactly zero, from 0 to 1."""


class Activation(Body):
    """What one node puts out for one picture."""

    filename: str | None
    """The name under which the picture was uploaded."""
    statistics: Spread
    numbers: Numbers
    """[height][width][channel], or a list of numbers of a vector."""


class Activations(Body):
    """What one node puts out for each picture, in the order in which they were sent."""

    model_id: str
    node: str
    type: str
    """Of the layer; `input` for the picture as the first layer receives it."""
    shape: list[int]
    """[height, width, channels], or [numbers] of a vector."""
    data: list[Activation]


class NodeOnTheWay(Body):
    """One node on a picture's way through the network, in short."""

    name: str
    type: str
    """Of the layer; `input` for the picture as the first layer receives it."""
    shape: list[int]
    """[height, width, channels], or [numbers] of a vector."""
    minimum: Number
    mean: Number
    maximum: Number
    zeros: float
    """The share of its numbers that is exactly zero, from 0 to 1."""
    thumbnail: str
    """A PNG file in base64: the first eight channels side by side, each on its own scale; of a vector a strip."""


class Account(Body):
    """The way of one picture through the network."""

    filename: str | None
    """The name under which it was uploaded."""
    nodes: list[NodeOnTheWay]
    """In the order in which they are computed, the input first."""


class Accounts(Body):
    """The way of each picture through the network, in the order in which they were sent."""

    model_id: str
    data: list[Account]
