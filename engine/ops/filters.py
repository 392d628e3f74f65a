"""Named filters: kernels of image processing that nobody has to learn.

All are applied as in the article, without being flipped: the number in the left upper corner of a kernel is multiplied
by that in the left upper corner of the window. Pairs of an edge filter lie one in each direction, x to the right and y
down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Kernel = tuple[tuple[float, ...], ...]


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
    kernel: Kernel
    purpose: str
    source: str


def _outer(down: Sequence[float], across: Sequence[float], by: float = 1) -> Kernel:
    """Return the kernel that is a column times a row, divided by a number."""
    return tuple(tuple(one * other / by for other in across) for one in down)


FILTERS = (
    Filter(
        "vertical_edge",
        ((1, 0, -1), (1, 0, -1), (1, 0, -1)),
        "Edges between left and right; positive where it is lighter on the left.",
        "The article, section 1",
    ),
    Filter(
        "horizontal_edge",
        ((1, 1, 1), (0, 0, 0), (-1, -1, -1)),
        "Edges between top and bottom; positive where it is lighter at the top.",
        "The article, section 1",
    ),
    Filter(
        "sobel_x",
        _outer((1, 2, 1), (-1, 0, 1)),
        "How fast it gets lighter to the right; the middle row counts double, against noise.",
        "Sobel and Feldman 1968, Isotropic 3x3 image gradient operator, a talk at Stanford",
    ),
    Filter(
        "sobel_y",
        _outer((-1, 0, 1), (1, 2, 1)),
        "How fast it gets lighter downwards; the middle column counts double, against noise.",
        "Sobel and Feldman 1968, Isotropic 3x3 image gradient operator, a talk at Stanford",
    ),
    Filter(
        "scharr_x",
        _outer((3, 10, 3), (-1, 0, 1)),
        "As sobel_x, with weights that treat slanted edges more alike.",
        "Scharr 2000, Optimal operators in digital image processing, the integers for 3x3",
    ),
    Filter(
        "scharr_y",
        _outer((-1, 0, 1), (3, 10, 3)),
        "As sobel_y, with weights that treat slanted edges more alike.",
        "Scharr 2000, Optimal operators in digital image processing, the integers for 3x3",
    ),
    Filter(
        "prewitt_x",
        _outer((1, 1, 1), (-1, 0, 1)),
        "How fast it gets lighter to the right; all rows count alike.",
        "Prewitt 1970, Object enhancement and extraction",
    ),
    Filter(
        "prewitt_y",
        _outer((-1, 0, 1), (1, 1, 1)),
        "How fast it gets lighter downwards; all columns count alike.",
        "Prewitt 1970, Object enhancement and extraction",
    ),
    Filter(
        "laplacian",
        ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
        "Points and edges in any direction: how much darker a pixel is than the four around it.",
        "Second differences in both directions, added",
    ),
    Filter(
        "sharpen",
        ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
        "Makes edges stronger: the picture minus its Laplacian.",
        "identity - laplacian",
    ),
    Filter(
        "box_blur",
        _outer((1, 1, 1), (1, 1, 1), 9),
        "Blurs: the mean of each 3x3 window.",
        "An average, as in pooling with f = 3 and s = 1",
    ),
    Filter(
        "gaussian_blur",
        _outer((1, 4, 6, 4, 1), (1, 4, 6, 4, 1), 256),
        "Blurs, with near pixels counting more than far ones.",
        "Binomial coefficients, close to a Gaussian of standard deviation 1",
    ),
    Filter(
        "emboss",
        ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
        "Makes the picture look like a relief, lit from the right and below.",
        "A slope along the diagonal, added to the identity",
    ),
    Filter(
        "identity",
        ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
        "Changes nothing.",
        "1 in the middle",
    ),
)
