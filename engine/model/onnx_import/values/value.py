"""Values of an ONNX graph: constants, what nodes of ours compute, and what cannot be computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.arrays import Array, Shape, elements
from engine.errors import LimitError
from engine.model.onnx_format.records import Tensor
from engine.model.onnx_import.values.layout import Layout

SMALL = 4096
"""Numbers that are computed at once, such as shapes; larger constants are made when all sizes are known."""
MAX_WORK_AT_ONCE = 4 * SMALL
"""Numbers that are passed over to compute those; what takes more is made later too."""
MAX_STEPS = 100
"""Steps from what is stored to a constant."""


MAX_TEXT = 300
"""Characters of what is said of one operator, which may quote what the file says."""


class Unsupported(Exception):
    """An operator that cannot become layers of ours; says what would be needed."""

    def __init__(self, needs: str) -> None:
        super().__init__(needs if len(needs) <= MAX_TEXT else f"{needs[:MAX_TEXT]}...")


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that do not depend on the input; among integers a multiple of `BATCH` stands for sizes of batches."""

    shape: Shape
    dtype: np.dtype[Any]
    make: Callable[[], Array] = field(repr=False)
    """Returns the numbers; where possible a view of the file."""
    name: str = ""
    """Of the initializer that they are, or come from."""
    steps: int = 0
    """How many constants lead to it, one from another."""
    work: int = 0
    """How many numbers are passed over to make it, those on the way counted as often as they are made."""

    @property
    def elements(self) -> int:
        """How many numbers they are."""
        return elements(self.shape)

    @property
    def is_small(self) -> bool:
        """Whether the numbers may be looked at while sizes are still being computed."""
        return self.elements <= SMALL

    @property
    def is_real(self) -> bool:
        """Whether they are real numbers, as weights are."""
        return self.dtype.kind == "f"

    def numbers(self) -> Array:
        """Return the numbers of a small constant.

        Raises:
            Unsupported: there are many of them, or they are made of many.
        """
        if not self.is_small:
            raise Unsupported(f"a constant of at most {SMALL:,} numbers where there are {self.elements:,}")
        if self.work:
            raise Unsupported(f"a constant that is made of at most {MAX_WORK_AT_ONCE:,} numbers")
        return self.make()

    def integers(self) -> tuple[int, ...]:
        """Return a list of integers, or a single one.

        Raises:
            Unsupported: they are something else.
        """
        if self.dtype.kind not in "iu" or len(self.shape) > 1:
            raise Unsupported("a list of integers")
        return tuple(int(each) for each in self.numbers().reshape(-1))

    def reals(self) -> tuple[float, ...]:
        """Return a small constant as numbers that are written as shortly as their type allows."""
        return tuple(float(str(each)) for each in self.numbers().reshape(-1))

    def changed(self, shape: Shape, change: Callable[[Array], Array]) -> Constant:
        """Return a constant of another arrangement of the same numbers."""
        return derived(lambda: change(self.make()), shape, self.dtype, self)

    def transposed(self, axes: tuple[int, ...]) -> Constant:
        """Return the constant with its axes in this order."""
        return self.changed(tuple(self.shape[axis] for axis in axes), lambda array: array.transpose(axes))

    def reshaped(self, shape: Shape) -> Constant:
        """Return the constant with another shape."""
        return self.changed(shape, lambda array: array.reshape(shape))


def stored(tensor: Tensor) -> Constant:
    """Return what is stored in a file."""
    constant = Constant(tensor.shape, tensor.dtype, tensor.read, tensor.name)
    return known(tensor.read(), tensor.name) if constant.is_small else constant


def known(array: Array, name: str = "") -> Constant:
    """Return numbers that are there already."""
    return Constant(array.shape, array.dtype, lambda: array, name)


def derived(make: Callable[[], Array], shape: Shape, dtype: np.dtype[Any], *sources: Constant) -> Constant:
    """Return what is computed from other constants: at once if that is little work, else when it is needed."""
    steps = 1 + max((source.steps for source in sources), default=0)
    work = elements(shape) + sum(source.elements + source.work for source in sources)
    name = next((source.name for source in sources if source.name), "")
    if steps > MAX_STEPS:
        raise Unsupported(f"at most {MAX_STEPS} steps from what is stored to a constant")
    if elements(shape) <= SMALL and work <= MAX_WORK_AT_ONCE:
        with np.errstate(all="ignore"):
            array = np.asarray(make())
        return Constant(array.shape, array.dtype, lambda: array, name)
    return Constant(shape, dtype, make, name, steps, work)


@dataclass(frozen=True)
class Computed:
    """What a node of ours computes, and how it is seen in ONNX."""

    node: str
    layout: Layout

    @property
    def shape(self) -> Shape:
        """The shape in ONNX, in which `BATCH` stands for the size of the batch."""
        return self.layout.sizes


@dataclass(frozen=True, eq=False)
class Counted:
    """Integers that count the pictures of a batch, along their first axis: those of picture n are n * step + rest."""

    step: int
    rest: Array
    """What the integers of all pictures have in common, with a first axis of size 1."""


@dataclass(frozen=True)
class Missing:
    """What would come of an operator that is not supported."""


Value = Constant | Computed | Counted | Missing


class Budget:
    """How many numbers constants may have, all together."""

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._total = 0

    def charge(self, count: int) -> None:
        """Count numbers that a file holds, or that are computed beyond those.

        Raises:
            LimitError: they are too many.
        """
        self._total += max(count, 0)
        if self._most is not None and self._total > self._most:
            raise LimitError(
                f"the constants of the file have {self._total:,} numbers or more; "
                f"at most {self._most:,} are allowed here",
                hint="an operator can raise the limit",
            )
