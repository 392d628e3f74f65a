"""Layers with several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights
from engine.errors import ShapeError
from engine.layers.base import Context, Example, Gradients, Layer
from engine.layers.export import Given, Operator, integers, operator
from engine.layers.jacobian import Column
from engine.layers.parameters import Activation
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, combined, copied, source


def _written(shapes: tuple[Shape, ...]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


class Joining(Layer):
    """What layers share that make one number of one of each input."""

    joint: ClassVar[Literal["+", "-", "*", "/"]]
    """What stands between two numbers."""


class Add(Joining):
    """Sums its inputs, number by number; they must have the same shape."""

    type: Literal["add"] = "add"
    activation: Activation | None = None
    """The article's psi, applied as a node of its own, after the sum."""

    joint = "+"
    input_count = (2, None)
    examples = (
        Example({"type": "add"}, ((3, 4, 2), (3, 4, 2))),
        Example({"type": "add"}, ((5,), (5,), (5,))),
    )
    formula = "a' = a_1 + a_2 + ..."
    source = "He et al. 2015, Deep residual learning for image recognition, section 3.2"

    def output_shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) > 1:
            raise ShapeError(
                f"add takes inputs of one shape but receives {_written(inputs)}",
                hint="bring them to one shape first: padding 'same' and stride 1 keep height and width, "
                "a 1x1 conv2d changes the channels, a residual's shortcut 'projection' does both",
            )
        return inputs[0]

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        y = context.buffer("y", xs[0].shape, xs[0].dtype)
        np.add(xs[0], xs[1], out=y)
        for x in xs[2:]:
            y += x
        return y, len(xs)

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return (dy,) * saved, {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        terms = [source(xs, position, number) for number in range(len(xs))]
        return combined(position, terms, sum(each.value for each in terms), " + ")

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Add" if len(xs) == 2 else "Sum", *xs)


class _Pairwise(Joining):
    """What layers of two inputs share that compute number by number, one input perhaps stretched over the other."""

    input_count = (2, 2)
    exported_as: ClassVar[str]
    """What ONNX calls it."""

    def combine(self, first: Array, second: Array, out: Array | None = None) -> Array:
        """Return the output of two inputs that can be broadcast."""
        raise NotImplementedError

    def pull(self, first: Array, second: Array, dy: Array, number: int, out: Array) -> Array:
        """Return the gradient of one input, not yet summed over what it was stretched over."""
        raise NotImplementedError

    def output_shape(self, *inputs: Shape) -> Shape:
        longest = max(map(len, inputs))
        first, second = ((1,) * (longest - len(shape)) + shape for shape in inputs)
        if any(one != other and 1 not in (one, other) for one, other in zip(first, second, strict=True)):
            small, large = sorted(inputs, key=len)
            vector = f"give the vector {large[-1]} numbers, one for each channel"
            raise ShapeError(
                f"{self.type} takes two inputs of one shape, or a map and a vector of its channels, "
                f"but receives {_written(inputs)}",
                hint=vector if len(small) < len(large) else "sizes are equal, or 1 where a map is stretched",
            )
        return tuple(map(max, first, second))

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        first, second = _stretched(xs)
        y = context.buffer("y", np.broadcast_shapes(first.shape, second.shape), xs[0].dtype)
        return self.combine(first, second, y), xs

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        dxs = []
        for number, (x, stretched) in enumerate(zip(saved, _stretched(saved), strict=True)):
            dx = context.buffer(f"dx {number}", dy.shape, dy.dtype)
            dx = self.pull(*_stretched(saved), dy, number, dx)
            over = tuple(axis for axis, size in enumerate(stretched.shape) if size != dy.shape[axis])
            dxs.append((dx.sum(axis=over) if over else dx).reshape(x.shape))
        return tuple(dxs), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        # of an input that was stretched it is the only number there is
        places = (
            tuple(min(at, size - 1) for at, size in zip(position[-x.ndim :], x.shape, strict=True))
            for x in xs
        )
        first, second = (source(xs, place, number) for number, place in enumerate(places))
        output = float(self.combine(np.array(first.value), np.array(second.value)))
        return combined(position, (first, second), output, f" {self.joint} ")

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        output, own = self.output_shape(*inputs), inputs[number]
        sizes = (1,) * (len(output) - len(own)) + own
        places = (0,) * (len(output) - len(own)) + position
        return tuple(
            Line(at, 1) if size == whole else Line(0, whole)
            for at, size, whole in zip(places, sizes, output, strict=True)
        )

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        shapes = [x.shape for x in xs]
        lines, output = self.readers(number, position, *shapes), self.output_shape(*shapes)
        here = np.ix_(*(line.indices for line in lines))
        first, second = (np.broadcast_to(x, output)[here].astype(np.float64) for x in xs)
        return Column.along(
            lines, self.pull(first, second, np.ones_like(first), number, np.empty_like(first))
        )

    def export(self, weights: Weights, *xs: Given) -> Operator:
        axes = max(len(x.shape) for x in xs)
        stretched = (x if len(x.shape) == axes else operator("Unsqueeze", x, integers(2, 3)) for x in xs)
        return operator(self.exported_as, *stretched)


class Multiply(_Pairwise):
    """Multiplies its inputs, number by number; a vector is stretched over a map and scales its channels.

    So is a map of one pixel, or of one channel.
    """

    type: Literal["multiply"] = "multiply"
    activation: Activation | None = None
    """The article's psi, applied as a node of its own, after the product."""

    joint = "*"
    exported_as = "Mul"
    examples = (
        Example({"type": "multiply"}, ((3, 4, 2), (2,))),
        Example({"type": "multiply"}, ((2,), (2, 3, 2))),
        Example({"type": "multiply"}, ((3, 2, 2), (3, 2, 2))),
        Example({"type": "multiply"}, ((3, 2, 1), (1, 2, 4))),
    )
    formula = "a'[x, y, c] = a_1[x, y, c] * a_2[x, y, c], or * a_2[c]"
    source = "Hu, Shen & Sun 2017, Squeeze-and-excitation networks, section 3.2, equation 4"

    def combine(self, first: Array, second: Array, out: Array | None = None) -> Array:
        return np.multiply(first, second, out=out)

    def pull(self, first: Array, second: Array, dy: Array, number: int, out: Array) -> Array:
        return np.multiply(dy, (second, first)[number], out=out)


class Subtract(_Pairwise):
    """Subtracts its second input from the first, number by number; a vector is stretched over a map."""

    type: Literal["subtract"] = "subtract"
    activation: Activation | None = None
    """The article's psi, applied as a node of its own, after the difference."""

    joint = "-"
    exported_as = "Sub"
    examples = (
        Example({"type": "subtract"}, ((3, 4, 2), (3, 4, 2))),
        Example({"type": "subtract"}, ((2, 3, 2), (2,))),
        Example({"type": "subtract"}, ((1, 1, 3), (2, 2, 3))),
    )
    formula = "a'[x, y, c] = a_1[x, y, c] - a_2[x, y, c], or - a_2[c]"
    source = (
        "Jarrett et al. 2009, What is the best multi-stage architecture for object recognition?, section 2.1, "
        "subtractive normalisation"
    )

    def combine(self, first: Array, second: Array, out: Array | None = None) -> Array:
        return np.subtract(first, second, out=out)

    def pull(self, first: Array, second: Array, dy: Array, number: int, out: Array) -> Array:
        return np.negative(dy, out=out) if number else dy


class Divide(_Pairwise):
    """Divides its first input by the second, number by number; a vector is stretched over a map.

    What is divided by 0 is not a finite number: keep the divisor away from it, by a `clip` for instance.
    """

    type: Literal["divide"] = "divide"
    activation: Activation | None = None
    """The article's psi, applied as a node of its own, after the quotient."""

    joint = "/"
    exported_as = "Div"
    examples = (
        Example({"type": "divide"}, ((2, 2, 2), (2, 2, 2))),
        Example({"type": "divide"}, ((2, 3, 2), (2,))),
        Example({"type": "divide"}, ((2, 1, 3), (2, 2, 1))),
    )
    formula = "a'[x, y, c] = a_1[x, y, c] / a_2[x, y, c], or / a_2[c]"
    source = (
        "Jarrett et al. 2009, What is the best multi-stage architecture for object recognition?, section 2.1, "
        "divisive normalisation"
    )

    def combine(self, first: Array, second: Array, out: Array | None = None) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):  # looked for where outputs are used
            return np.divide(first, second, out=out)

    def pull(self, first: Array, second: Array, dy: Array, number: int, out: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            np.divide(dy, second, out=out)
            if number:
                out *= first
                out /= second
                np.negative(out, out=out)
        return out


def _stretched(xs: Sequence[Array]) -> tuple[Array, Array]:
    """See vectors (N, C) as maps of one pixel where there are maps to go with them."""
    axes = max(x.ndim for x in xs)
    first, second = (x if x.ndim == axes else x[:, None, None, :] for x in xs)
    return first, second


class Concatenate(Layer):
    """Stacks the channels of its inputs; they must agree in height and width."""

    type: Literal["concatenate"] = "concatenate"

    input_count = (2, None)
    examples = (
        Example({"type": "concatenate"}, ((3, 4, 2), (3, 4, 1))),
        Example({"type": "concatenate"}, ((2, 2, 1), (2, 2, 3), (2, 2, 2))),
        Example({"type": "concatenate"}, ((4,), (2,))),
    )
    formula = "n_C' = n_C(1) + n_C(2) + ..."
    source = "Szegedy et al. 2014, Going deeper with convolutions, section 4"

    def output_shape(self, *inputs: Shape) -> Shape:
        if len({shape[:-1] for shape in inputs}) > 1:
            raise ShapeError(
                f"concatenate takes inputs of one height and width but receives {_written(inputs)}",
                hint="give every branch padding 'same' and the same strides",
            )
        return (*inputs[0][:-1], sum(shape[-1] for shape in inputs))

    def size_formula(self, *inputs: Shape) -> dict[str, str]:
        channels = [shape[-1] for shape in inputs]
        return {"channels": f"{' + '.join(map(str, channels))} = {sum(channels)}"}

    def forward(self, weights: Weights, *xs: Array, context: Context) -> tuple[Array, Any]:
        channels = [x.shape[-1] for x in xs]
        y = context.buffer("y", (*xs[0].shape[:-1], sum(channels)), xs[0].dtype)
        np.concatenate(xs, axis=-1, out=y)
        return y, np.cumsum([0, *channels])

    def backward(
        self, weights: Weights, saved: Any, dy: Array, *, context: Context
    ) -> tuple[tuple[Array | None, ...], Gradients]:
        return tuple(dy[..., start:end] for start, end in pairwise(saved)), {}

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        number, channel = 0, position[-1]
        while channel >= xs[number].shape[-1]:
            channel -= xs[number].shape[-1]
            number += 1
        return copied(xs, position, (*position[:-1], channel), number)

    def readers(self, number: int, position: Position, *inputs: Shape) -> tuple[Line, ...]:
        before = sum(shape[-1] for shape in inputs[:number])
        return (*(Line(at, 1) for at in position[:-1]), Line(before + position[-1], 1))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Concat", *xs, axis=1)
