"""Answers about what a model makes of pictures: activations, embeddings, traces."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from app.api.common import Body, Number, Numbers
from app.api.traces import GradientTrace, NodeTrace


class Spread(Body):
    """How the numbers of an array are spread."""

    minimum: Number
    mean: Number
    maximum: Number
    deviation: Number
    """The standard deviation."""
    zeros: float
    """The share of them that is exactly zero, from 0 to 1."""


class GradientOf(Body):
    """What gradients are taken of."""

    model_config = ConfigDict(serialize_by_alias=True)

    of: Literal["score", "loss"]
    class_: str = Field(alias="class")
    """The class, label or value whose score it is; or the class that the loss takes for the right one."""
    class_index: int
    value: Number
    """The score, or the loss."""


class Activation(Body):
    """What one node puts out for one picture."""

    filename: str | None
    """The name under which the picture was uploaded."""
    gradient: GradientOf | None
    """What the numbers are the gradient of; null where they are what the node puts out."""
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


class SmallMaps(Body):
    """The first maps of a node, rounded to numbers of one byte."""

    shape: list[int]
    """[channels, height, width]: as the node has them, or of maps with a side above 32 the means of squares of cells;
    a vector is one map of one row, of up to 4,096 numbers."""
    most: Numbers
    """For each channel the magnitude that 127 stands for."""
    data: str
    """The numbers in base64, a signed byte each, in the order of `shape`: n stands for n / 127 of `most`."""


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
    thumbnail: str | None
    """A PNG file in base64: the first eight channels side by side, each on its own scale; of a vector a strip. Null
    where `maps` were asked for."""
    maps: SmallMaps | None
    """Null unless `maps` were asked for."""


class Account(Body):
    """The way of one picture through the network."""

    filename: str | None
    """The name under which it was uploaded."""
    gradient: GradientOf | None
    """What all that is shown of nodes is the gradient of; null where it is what they put out."""
    nodes: list[NodeOnTheWay]
    """In the order in which they are computed, the input first."""


class Accounts(Body):
    """The way of each picture through the network, in the order in which they were sent."""

    model_id: str
    data: list[Account]


class Embedding(Body):
    """A picture as a vector: what one node puts out for it."""

    filename: str | None
    """The name under which it was uploaded."""
    embedding: Numbers


class Embeddings(Body):
    """Each picture as a vector, in the order in which they were sent."""

    model_id: str
    node: str
    """Whose output it is; a map is reduced to the mean of each channel."""
    dimensions: int
    """Numbers of each vector."""
    data: list[Embedding]


class ModelTraces(Body):
    """How numbers that one node puts out for a picture came about."""

    model_id: str
    node: str
    shape: list[int]
    """Of the node's output: [height, width, channels], or [numbers] of a vector."""
    data: list[NodeTrace]
    """In the order of the positions that were asked for."""


class ModelGradientTraces(Body):
    """How the gradients at numbers of one node come about for a picture."""

    model_id: str
    node: str
    """`input` for the picture as the first layer receives it."""
    shape: list[int]
    """Of the node's output: [height, width, channels], or [numbers] of a vector."""
    gradient: GradientOf
    """What the gradients are taken of."""
    data: list[GradientTrace]
    """In the order of the positions that were asked for."""
