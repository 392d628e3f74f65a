"""What was measured of a machine, and what follows from it for work that has not been done yet.

The model is a small one: products run at a rate that depends on how deep and how wide they are, whatever is copied or
gone through number by number at one that depends on how much of it there is and in runs of what length, and each call
of NumPy costs something beside. Between what was measured rates are interpolated in the logarithm of the sizes, and
beyond it they stay as they are at the end.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.environment import blas_kernels, processor_name

VERSION = 1
"""Of the figures: raised where others are measured, or in another way."""

_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Product(BaseModel):
    """A product (rows, inner) @ (inner, columns), in billions of additions and multiplications a second.

    Attributes:
        rows: height of the left matrix.
        inner: its width.
        columns: width of the result.
        whole: computed by one call for all of it.
        cut: computed in pieces below OpenBLAS's edge (`engine.fast.layout.gemm`); None where they would be thin.
    """

    model_config = _FROZEN

    rows: int = Field(gt=0)
    inner: int = Field(gt=0)
    columns: int = Field(gt=0)
    whole: float = Field(gt=0)
    cut: float | None = Field(None, gt=0)


class Pass(BaseModel):
    """Going through so many bytes once, in billions of bytes a second that are read.

    Attributes:
        bytes: of the array that is read; another one as large is written.
        copy_rate: copied.
        multiply_rate: multiplied by another array as large.
    """

    model_config = _FROZEN

    bytes: int = Field(gt=0)
    copy_rate: float = Field(gt=0)
    multiply_rate: float = Field(gt=0)


class Gather(BaseModel):
    """Copying runs of so many numbers that lie apart, as windows of a picture do, in billions of bytes a second."""

    model_config = _FROZEN

    run: int = Field(gt=0)
    rate: float = Field(gt=0)


class Figures(BaseModel):
    """What predicts times; part of what a plan is made by, and so of what a checkpoint pins.

    Attributes:
        products: tall ones, as of convolutions: of each depth those of the same widths.
        transform: Winograd's first transform, (6, 6) times wide rows, in billions of operations a second.
        passes: by their bytes.
        gathers: by their runs.
        call: microseconds of a call of NumPy that has next to nothing to do.
        piece: microseconds of one of many small products of a single call, with next to nothing to do.
    """

    model_config = _FROZEN

    products: tuple[Product, ...] = Field(min_length=1)
    transform: float = Field(gt=0)
    passes: tuple[Pass, ...] = Field(min_length=1)
    gathers: tuple[Gather, ...] = Field(min_length=1)
    call: float = Field(gt=0)
    piece: float = Field(gt=0)

    def product_rate(self, inner: int, columns: int, *, cut: bool) -> float:
        """Return the rate of a tall product, in operations a second.

        Args:
            inner: width of the left matrix.
            columns: width of the result.
            cut: whether it is computed in pieces where that is quicker; else whole.
        """
        depths = sorted({product.inner for product in self.products})

        def rate(product: Product) -> float:
            return product.cut if cut and product.cut is not None else product.whole

        at_depths = []
        for depth in depths:
            row = sorted((p.columns, rate(p)) for p in self.products if p.inner == depth)
            at_depths.append(_between([at for at, _ in row], [value for _, value in row], columns))
        return 1e9 * _between(depths, at_depths, inner)

    def copy_seconds(self, size: float) -> float:
        """Return what copying so many bytes once takes."""
        rate = _between([each.bytes for each in self.passes], [each.copy_rate for each in self.passes], size)
        return size / (1e9 * rate)

    def pass_seconds(self, size: float) -> float:
        """Return what going through so many bytes takes, number by number."""
        rate = _between(
            [each.bytes for each in self.passes], [each.multiply_rate for each in self.passes], size
        )
        return size / (1e9 * rate)

    def gather_seconds(self, size: float, run: float) -> float:
        """Return what copying so many bytes takes that lie apart in runs of so many numbers."""
        rate = _between([each.run for each in self.gathers], [each.rate for each in self.gathers], run)
        return size / (1e9 * rate)


class Machine(BaseModel):
    """A machine: whose figures they are, and the figures.

    Attributes:
        version: of the figures.
        processor: its name.
        kernels: those that OpenBLAS has taken; empty for other libraries.
        numpy: the version of NumPy, which says also what of OpenBLAS.
        cores: that this process may use.
        together: what is left of the speed of a product on one core when all compute: 1 where they share nothing.
        others: a flat product, as of a small map with many filters, and a square one: for people alone.
        hand_off: microseconds until another thread has done what is next to nothing, and this one knows.
        figures: what predicts times.
    """

    model_config = _FROZEN

    version: int = VERSION
    processor: str
    kernels: str
    numpy: str
    cores: int = Field(gt=0)
    together: float = Field(gt=0)
    others: tuple[Product, ...] = ()
    hand_off: float = Field(gt=0)
    figures: Figures

    @property
    def identity(self) -> Identity:
        """Whose figures they are."""
        return Identity(
            version=self.version, processor=self.processor, kernels=self.kernels, numpy=self.numpy
        )


class Identity(BaseModel):
    """What has to be the same for figures to hold."""

    model_config = _FROZEN

    version: int
    processor: str
    kernels: str
    numpy: str

    @classmethod
    def here(cls) -> Self:
        """Return that of this process."""
        return cls(version=VERSION, processor=processor_name(), kernels=blas_kernels(), numpy=np.__version__)


def _between(places: Sequence[float], values: Sequence[float], at: float) -> float:
    """Interpolate between values at places in order, by the logarithms of both."""
    if at <= places[0]:
        return values[0]
    if at >= places[-1]:
        return values[-1]
    upper = bisect.bisect_right(places, at)
    low, high = places[upper - 1], places[upper]
    share = math.log(at / low) / math.log(high / low)
    return math.exp((1 - share) * math.log(values[upper - 1]) + share * math.log(values[upper]))
