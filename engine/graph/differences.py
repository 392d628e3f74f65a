"""Gradients checked against differences: (L(x + h) - L(x - h)) / 2h, number by number, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from engine.arrays import Array

_STEP = 1e-5
_KINK = 1e-3


class NumericCheck(NamedTuple):
    """How far gradients are from differences of the function itself."""

    largest_difference: float | None
    """Between a gradient and its central difference; None where no number could be compared."""
    entries: int
    """How many numbers were compared."""
    kinks: int
    """How many more have no gradient: the slopes on their two sides differ, as of a relu at 0 or a tie of a maximum."""


def check(
    function: Callable[[], Array], arrays: Sequence[Array], gradients: Sequence[Array], dy: Array, most: int
) -> NumericCheck:
    """Compare the gradients of L = sum(dy * y) with central differences (Press et al., Numerical recipes, section 5.7).

    Args:
        function: computes y from `arrays` as they stand, float64.
        arrays: what y depends on, float64 and contiguous; each number is changed in place, and put back.
        gradients: of L, in the shapes of `arrays`.
        dy: gradient of y.
        most: how many numbers to compare; they are spread evenly over each array.
    """
    places = _spread([array.size for array in arrays], most)
    before = function().copy()
    found = []
    for array, gradient, indices in zip(arrays, gradients, places, strict=True):
        numbers, slopes = array.reshape(-1), gradient.reshape(-1)
        for index in indices:
            x = numbers[index]
            step = _STEP * max(1.0, abs(x))
            numbers[index] = x + step
            # differences of y before they are summed: what does not depend on x cancels exactly
            right = float(np.sum(dy * (function() - before))) / (numbers[index] - x)
            numbers[index] = x - step
            left = float(np.sum(dy * (before - function()))) / (x - numbers[index])
            numbers[index] = x
            found.append((left, right, float(slopes[index])))
    scale = max((max(abs(left), abs(right)) for left, right, _ in found), default=0.0)
    smooth = [each for each in found if abs(each[1] - each[0]) <= _KINK * scale]
    differences = [abs((left + right) / 2 - slope) for left, right, slope in smooth]
    return NumericCheck(max(differences, default=None), len(smooth), len(found) - len(smooth))


def _spread(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Share `most` places out to arrays of these sizes, each as evenly as can be."""
    places: list[list[int]] = [[] for _ in sizes]
    left, waiting = most, sorted(range(len(sizes)), key=lambda number: sizes[number])
    for done, number in enumerate(waiting):
        count = min(sizes[number], left // (len(sizes) - done))
        left -= count
        places[number] = [index * sizes[number] // count for index in range(count)]
    return places
