"""A layer that brings a map to another size by interpolation, without learning anything."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from engine.arrays import Array, Shape, Weights
from engine.errors import ShapeError
from engine.layers.base import Context, Cost, Example, Gradients, Layer, Reach, require_map
from engine.layers.export import Given, Operator, integers, operator, reals
from engine.layers.jacobian import Column
from engine.layers.resampling import resampling_cost
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, channel, copied, gather, weighted
from engine.ops import interpolation, resampling
from engine.ops.interpolation import Coordinates, Method, Mode, Rounding, Taps
from engine.spec import Flag, Number, Size2D

_Times = (
    Annotated[int, Field(strict=True, ge=1, le=16384)] | Annotated[float, Field(strict=True, gt=0, le=16384)]
)


def _both(value: Any) -> Any:
    """Let one number stand for both directions."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value, value)
    raise ValueError("input should be a number or a list of two")


_Factor = Annotated[
    tuple[_Times, _Times],
    BeforeValidator(_both, json_schema_input_type=_Times | tuple[_Times, _Times]),
]


class Upsample2D(Layer):
    """Brings a map to another size: by repeating each pixel, or by passing smoothly from one to the next.

    It is the operator Resize of ONNX, and makes maps smaller, too.
    """

    type: Literal["upsample2d"] = "upsample2d"
    factor: _Factor = (2, 2)
    """How many times as high and as wide; what is left of a pixel is cut off."""
    size: Size2D | None = None
    """Height and width of the output, in place of `factor`."""
    mode: Mode = "nearest"
    """`nearest` takes the pixel next to each new one; `bilinear` interpolates between 2x2, `bicubic` between 4x4."""
    coordinates: Coordinates = "half_pixel"
    """Where new pixels lie among the old ones. `half_pixel`: centres between centres. `align_corners`: the outermost
    centres on one another. `asymmetric`: the first ones alone. The others are variants of `half_pixel` in ONNX."""
    rounding: Rounding = "round_prefer_floor"
    """Which pixel `nearest` takes between two."""
    cubic_coefficient: Number = -0.75
    """Keys's a of `bicubic`: -0.75 in PyTorch, -0.5 in TensorFlow and Pillow."""
    exclude_outside: Flag = False
    """Whether what lies outside of the map does not count, in place of counting as the outermost pixel."""
    antialias: Flag = False
    """Whether more pixels are averaged where `bilinear` and `bicubic` make a map smaller."""

    examples = (
        Example({"type": "upsample2d"}, ((2, 3, 2),)),
        Example({"type": "upsample2d", "mode": "bilinear"}, ((3, 2, 2),)),
        Example({"type": "upsample2d", "factor": [3, 1], "mode": "bilinear"}, ((2, 4, 1),)),
        Example(
            {"type": "upsample2d", "factor": [0.5, 1.5], "coordinates": "asymmetric", "rounding": "floor"},
            ((4, 5, 2),),
        ),
        Example(
            {"type": "upsample2d", "size": [5, 4], "mode": "bilinear", "coordinates": "align_corners"},
            ((3, 2, 2),),
        ),
        Example({"type": "upsample2d", "size": [3, 6], "mode": "bicubic"}, ((5, 4, 2),)),
        Example(
            {
                "type": "upsample2d",
                "size": [3, 4],
                "mode": "bilinear",
                "antialias": True,
                "exclude_outside": True,
            },
            ((5, 6, 1),),
        ),
    )
    formula = "n' = floor(factor * n)"
    source = (
        "Odena, Dumoulin & Olah 2016, Deconvolution and checkerboard artifacts; Long, Shelhamer & Darrell 2015, "
        "Fully convolutional networks for semantic segmentation, section 3.3; Keys 1981, Cubic convolution "
        "interpolation for digital image processing"
    )

    def output_shape(self, *inputs: Shape) -> Shape:
        require_map(inputs[0], self.type)
        height, width, channels = inputs[0]
        rows, columns = self.size or map(interpolation.scaled, (height, width), self.factor)
        if min(rows, columns) < 1:
            raise ShapeError(
                f"nothing is left of {height}x{width} pixels",
                path=("factor",),
                hint="use a larger factor, or give the size of the output",
            )
        return (rows, columns, channels)

    @property
    def method(self) -> Method:
        """How rows and columns are interpolated."""
        return Method(
            self.mode,
            self.coordinates,
            self.rounding,
            self.cubic_coefficient,
            self.exclude_outside,
            self.antialias,
        )

    def taps(self, shape: Shape) -> tuple[Taps, Taps]:
        """Return what each row and each column of the output is made of."""
        pairs = zip(shape[:2], self.output_shape(shape)[:2], self._factors(shape), strict=True)
        rows, columns = (interpolation.taps(old, new, factor, self.method) for old, new, factor in pairs)
        return rows, columns

    def _factors(self, shape: Shape) -> tuple[float, float]:
        """Return how many pixels one of the input becomes, down and to the right."""
        return self.factor if self.size is None else (self.size[0] / shape[0], self.size[1] / shape[1])

    def _matrices(self, shape: Shape) -> tuple[Array, Array]:
        rows, columns = (taps.matrix(size) for taps, size in zip(self.taps(shape), shape[:2], strict=True))
        return rows, columns

    def _repeats(self, shape: Shape) -> tuple[int, int] | None:
        """Return how often each row and column is repeated, where that is all."""
        output, factors = self.output_shape(shape), self._factors(shape)
        down, right = (new // old for new, old in zip(output[:2], shape[:2], strict=True))
        if self.mode != "nearest" or factors != (down, right):
            return None
        if self.coordinates in {"asymmetric", "tf_half_pixel_for_nn"}:
            repeats = self.rounding == "floor"
        else:
            repeats = self.rounding.startswith("round") and self.coordinates != "align_corners"
        return (down, right) if repeats else None

    def cost(self, *inputs: Shape) -> Cost:
        if self._repeats(inputs[0]) is not None:
            return Cost()
        return resampling_cost(inputs[0], self.output_shape(*inputs))

    def reach(self, *inputs: Shape) -> Reach:
        (height, width), (rows, columns) = inputs[0][:2], self.output_shape(*inputs)[:2]
        down, right = (
            min(interpolation.window(factor, self.method), size)
            for factor, size in zip(self._factors(inputs[0]), (height, width), strict=True)
        )
        return Reach((down, right), (Fraction(height, rows), Fraction(width, columns)))

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        output = self.output_shape(*inputs)
        if self.size is not None:
            return {"size": f"size = {output[0]}x{output[1]}"}
        formulas = {}
        for name, factor, old, new in zip(("height", "width"), self.factor, inputs[0], output, strict=False):
            times = f"{factor}*{old}" if isinstance(factor, int) else f"floor({factor:g}*{old})"
            formulas[name] = f"{times} = {new}"
        return formulas

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        repeats = self._repeats(xs[0].shape[1:])
        if repeats is not None:
            return resampling.repeat(xs[0], repeats, context), repeats
        matrices = self._matrices(xs[0].shape[1:])
        return resampling.resample(xs[0], *matrices, context), matrices

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        if isinstance(saved[0], int):
            return (resampling.repeat_backward(dy, saved, context),), {}
        rows, columns = saved
        return (resampling.resample_backward(dy, rows, columns, context),), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        if self.mode == "nearest":
            row, column = (
                int(taps.indices[at, 0])
                for taps, at in zip(self.taps(xs[0].shape), position[:2], strict=True)
            )
            return copied(xs, position, (row, column, position[2]))
        shares, lines = [], []
        for matrix, at in zip(self._matrices(xs[0].shape), position[:2], strict=True):
            used = np.flatnonzero(matrix[at])
            line = Line(int(used[0]), int(used[-1] - used[0]) + 1)
            shares.append(matrix[at][line.indices])
            lines.append(line)
        factors = np.multiply.outer(*shares)[..., None]
        return weighted(position, gather(xs[0], *lines, channel(position)), factors, None)

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        rows, columns = (
            matrix[:, at] for matrix, at in zip(self._matrices(xs[0].shape), position[:2], strict=True)
        )
        return Column.crossed(rows, columns, position[2])

    def export(self, weights: Weights, *xs: Given) -> Operator:
        x, shape = xs[0], xs[0].shape
        repeats = self._repeats(shape)
        # the second input, a region of interest, is of no use here
        if repeats is not None:
            how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
            return operator("Resize", x, reals([]), reals([1, 1, *repeats]), mode="nearest", **how)
        if self.antialias or self.coordinates in {"half_pixel_symmetric", "tf_half_pixel_for_nn"}:
            # which Resize does not have in this version
            down, right = self._matrices(shape)
            return operator("MatMul", operator("MatMul", reals(down), x), reals(right.T))
        factors = self._factors(shape)
        if self.mode == "nearest" and any(float(np.float32(each)) != each for each in factors):
            # what is rounded can lead to another pixel
            rows, columns = (integers(*taps.indices[:, 0].tolist()) for taps in self.taps(shape))
            return operator("Gather", operator("Gather", x, rows, axis=2), columns, axis=3)
        # sizes would have to say that of the batch, too
        scales = map(interpolation.exact_factor, shape, self.output_shape(shape), factors)
        return operator(
            "Resize",
            x,
            reals([]),
            reals([1, 1, *scales]),
            mode={"bilinear": "linear", "bicubic": "cubic"}.get(self.mode, self.mode),
            coordinate_transformation_mode=self.coordinates,
            nearest_mode=self.rounding,
            cubic_coeff_a=self.cubic_coefficient,
            exclude_outside=int(self.exclude_outside and self.mode == "bicubic"),
        )
