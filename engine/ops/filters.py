"""Named filters: kernels of image processing that nobody has to learn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Filter:
    """A kernel with a name.

    Attributes:
        name: how it is called.
        kernel: its numbers, row by row.
        purpose: what it shows or does.
        source: where it comes from.
    """

    name: str
    kernel: tuple[tuple[float, ...], ...]
    purpose: str
    source: str


FILTERS = (
    Filter(
        "vertical_edge",
        ((1, 0, -1), (1, 0, -1), (1, 0, -1)),
        "Edges between left and right.",
        "The article, section 1",
    ),
    Filter(
        "horizontal_edge",
        ((1, 1, 1), (0, 0, 0), (-1, -1, -1)),
        "Edges between top and bottom.",
        "The article, section 1",
    ),
)
