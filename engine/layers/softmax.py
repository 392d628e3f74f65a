"""Activations that weigh the numbers of a pixel, or of a vector, against one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from engine.arrays import Array, Shape, Weights
from engine.layers.activation import ActivationLayer
from engine.layers.base import Example
from engine.layers.export import Given, Operator, operator
from engine.layers.jacobian import Column
from engine.layers.trace import Position, Trace
from engine.layers.trace_kinds import Line, gather, source
from engine.layers.trace_text import number, series
from engine.ops import activation
from engine.workspace import FRESH, Buffers


class Softmax(ActivationLayer):
    """Turns the scores of the classes into probabilities that sum to 1.

    At the end of a network it is taken over by the loss, which brings its own, and is never applied twice.
    """

    type: Literal["softmax"] = "softmax"

    examples = (Example({"type": "softmax"}, ((5,),)), Example({"type": "softmax"}, ((2, 3, 4),)))
    formula = "psi(z)_k = exp(z_k) / sum_j exp(z_j)"
    source = "Bridle 1990, Probabilistic interpretation of feedforward classification network outputs"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y = activation.softmax(x, buffers)
        return y, y

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.softmax_backward(saved, dy, buffers)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        return _traced(self, xs, position, lambda score, total: f"exp({score}) / ({total})")

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        # dy_q/dz_p = y_q (1 if q = p, else 0) - y_q y_p
        lines, y, one = _pixel_of(self, xs[0], position)
        return Column.along(lines, y * (one - y[position[-1]]))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("Softmax", xs[0], axis=1)


class LogSoftmax(ActivationLayer):
    """Turns the scores of the classes into the logarithms of probabilities.

    A loss may follow it, for the softmax that it brings makes the same probabilities of them as of the scores.
    """

    type: Literal["log_softmax"] = "log_softmax"

    examples = (Example({"type": "log_softmax"}, ((5,),)), Example({"type": "log_softmax"}, ((2, 3, 4),)))
    formula = "psi(z)_k = z_k - log(sum_j exp(z_j))"
    source = "Bridle 1990, Probabilistic interpretation of feedforward classification network outputs"

    def apply(self, x: Array, buffers: Buffers) -> tuple[Array, Any]:
        y = activation.log_softmax(x, buffers)
        return y, y

    def pull(self, saved: Any, dy: Array, buffers: Buffers) -> Array:
        return activation.log_softmax_backward(saved, dy, buffers)

    def arithmetic(self, weights: Weights, xs: Sequence[Array], position: Position) -> Trace:
        return _traced(self, xs, position, lambda score, total: f"{score} - log({total})")

    def column(self, weights: Weights, xs: Sequence[Array], number: int, position: Position) -> Column:
        # dy_q/dz_p = (1 if q = p, else 0) - exp(y_p)
        lines, y, one = _pixel_of(self, xs[0], position)
        return Column.along(lines, one - np.exp(y[position[-1]]))

    def export(self, weights: Weights, *xs: Given) -> Operator:
        return operator("LogSoftmax", xs[0], axis=1)


def _pixel(position: Position, shape: Shape) -> tuple[Line, ...]:
    """Return all scores at the place of one."""
    return (*(Line(at, 1) for at in position[:-1]), Line(0, shape[-1]))


def _pixel_of(
    layer: Softmax | LogSoftmax, x: Array, position: Position
) -> tuple[tuple[Line, ...], Array, Array]:
    """Return the lines of the pixel of a score, what the layer makes of it (C,), and 1 at the score, 0 elsewhere."""
    lines = _pixel(position, x.shape)
    y, _ = layer.apply(gather(x, *lines).values.reshape(1, -1), FRESH)
    return lines, y[0], np.eye(1, x.shape[-1], position[-1])[0]


def _traced(
    layer: Softmax | LogSoftmax, xs: Sequence[Array], position: Position, write: Callable[[str, str], str]
) -> Trace:
    """Trace one number; `write` puts its score, and the sum of the exponentials of all scores, into the formula."""
    z = source(xs, position)
    scores = gather(xs[0], *_pixel(position, xs[0].shape))
    output = float(layer.apply(scores.values, FRESH)[0][..., position[-1]].item())
    total = series(lambda score: f"exp({number(score)})", scores.values)
    text = f"{write(number(z.value), total)} = {number(output)}"
    return Trace(position, output, text, (z,), **scores.fields())
