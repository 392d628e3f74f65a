"""Answers about the filters of a model."""

from __future__ import annotations

from pydantic import Field

from app.api.common import Body, Number, Numbers
from app.api.insides import Spread


class FilterEntry(Body):
    """The filters of one node in short."""

    node: str = Field(examples=["conv2d_1"])
    type: str
    """Of the layer."""
    weight: str = Field(examples=["conv2d_1/weight"])
    """The name of the array in the model file."""
    shape: list[int]
    axes: list[str]
    """What each axis of the array runs over: `height`, `width`, `in`, `out`. Of a grouped convolution `in` is one
    group's."""
    filters: int
    """How many there are: one for each channel, or number, of the output."""
    norm: Number
    """The square root of the sum of the squares of all numbers."""
    statistics: Spread


class FilterList(Body):
    """The nodes of a model that have filters, in the order in which they are computed."""

    model_id: str
    data: list[FilterEntry]


class Filter(Body):
    """One filter."""

    index: int
    """The channel, or number, of the output that it makes."""
    norm: Number
    bias: Number
    """The number that is added to what it gives; null in layers without."""
    statistics: Spread


class NodeFilters(FilterEntry):
    """The filters of one node, with all their numbers."""

    model_id: str
    data: list[Filter]
    """Each filter by itself, in the order of the outputs."""
    numbers: Numbers
    """The array, nested in the order of `axes`."""
