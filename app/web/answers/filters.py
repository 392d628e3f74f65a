"""Answers about the filters of models."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.api.filters import Filter, FilterEntry, NodeFilters
from app.pictures.drawing import Drawing
from app.pictures.filters import draw_filters
from app.web.answers.arrays import numbers
from app.web.answers.insides import spread_of
from engine.model.filters import Filters


def filter_entry(found: Filters) -> FilterEntry:
    """Show the filters of a node in short."""
    return FilterEntry(**_entry(found))


def node_filters(model_id: str, found: Filters, hint: str) -> NodeFilters:
    """Show the filters of a node with all their numbers.

    Raises:
        TooLarge: there are more than are written as JSON; `hint` says what to ask for instead.
    """
    listed = numbers(found.weight, hint)
    biases = [None] * found.count if found.bias is None else found.bias.tolist()
    data = [
        Filter(index=index, norm=float(np.linalg.norm(row)), bias=bias, statistics=spread_of(row))
        for index, (row, bias) in enumerate(zip(found.by_filter, biases, strict=True))
    ]
    return NodeFilters(**_entry(found), model_id=model_id, data=data, numbers=listed)


def _entry(found: Filters) -> dict[str, Any]:
    return {
        "node": found.node.name,
        "type": found.node.layer.type,
        "weight": found.name,
        "shape": list(found.weight.shape),
        "axes": list(found.axes),
        "filters": found.count,
        "norm": float(np.linalg.norm(found.weight)),
        "statistics": spread_of(found.weight),
    }


def drawn_filters(found: Filters) -> Drawing:
    """Draw the filters of a node."""
    sizes = " x ".join(f"{size} {axis}" for size, axis in zip(found.weight.shape, found.axes, strict=True))
    return draw_filters(f"{found.name} ({found.node.layer.type}), {sizes}", found.bank)
