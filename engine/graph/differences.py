"""Gradients checked against differences: (L(x + h) - L(x - h)) / 2h, number by number, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from engine.arrays import Array

_STEP = 1e-5
_KINK = 1e-3
_ROUNDING = 4e-15
"""Of a sum of numbers, relative to the sum of their magnitudes."""


class NumericCheck(NamedTuple):
    """How far gradients are from differences of the function itself."""

    largest_difference: float | None
    """Between a gradient and its central difference; None where no number could be compared."""
    entries: int
    """How many numbers were compared."""
    kinks: int
    """How many more have no gradient: the slopes on their two sides differ, as of a relu at 0 or a tie of a maximum."""


class Difference(NamedTuple):
    """One number, and how L changes with it."""

    array: int
    """In which of the arrays it is."""
    place: int
    """Where in it, counted through all axes."""
    left: float
    """Slope from x - h to x."""
    right: float
    """Slope from x to x + h."""
    gradient: float
    rounding: float
    """How far the slopes may be off because numbers are rounded."""

    @property
    def numeric(self) -> float:
        """The central difference."""
        return (self.left + self.right) / 2


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
    places = [
        [index * array.size // count for index in range(count)]
        for array, count in zip(arrays, shared_out([array.size for array in arrays], most), strict=True)
    ]
    found = list(differences(function, arrays, gradients, dy, places))
    compared = smooth(found)
    largest = max((abs(each.numeric - each.gradient) for each in compared), default=None)
    return NumericCheck(largest, len(compared), len(found) - len(compared))


def differences(
    function: Callable[[], Array],
    arrays: Sequence[Array],
    gradients: Sequence[Array],
    dy: Array,
    places: Sequence[Iterable[int]],
) -> Iterator[Difference]:
    """Yield the slopes at some places of each array, one after the other; arguments as in `check`."""
    before = function().copy()
    rounding = _ROUNDING * float(np.sum(np.abs(dy * before)))
    for which, (array, gradient, indices) in enumerate(zip(arrays, gradients, places, strict=True)):
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
            yield Difference(which, index, left, right, float(slopes[index]), rounding / step)


def smooth(found: Sequence[Difference]) -> list[Difference]:
    """Return those that have a gradient: the others are at a kink, where the slopes on the two sides differ."""
    scale = max((max(abs(each.left), abs(each.right)) for each in found), default=0.0)
    return [each for each in found if abs(each.right - each.left) <= max(_KINK * scale, each.rounding)]


def shared_out(sizes: Sequence[int], most: int) -> list[int]:
    """Share `most` places out to arrays of these sizes, as evenly as can be."""
    counts = [0] * len(sizes)
    left, waiting = most, sorted(range(len(sizes)), key=lambda number: sizes[number])
    for done, number in enumerate(waiting):
        counts[number] = min(sizes[number], left // (len(sizes) - done))
        left -= counts[number]
    return counts
