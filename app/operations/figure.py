"""A figure of an operation that was computed: which arrays it shows, what is marked in them, and the arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from app.pictures.colours import Pixels
from app.pictures.drawing import Drawing
from app.pictures.grids import Mark
from app.pictures.operation_figure import Operand, Sign, draw_operation
from engine.arrays import Array, Weights
from engine.graph.operation import Operation
from engine.graph.trace import NodeTrace
from engine.layers import Layer
from engine.layers.merge import Joining
from engine.layers.trace import Position, Trace

_MOST_INPUTS = 4
_MOST_SIDE = 12
_SIGNS: dict[str, Sign] = {"+": "+", "-": "-", "*": "x", "/": "/"}
"""How what stands between numbers is drawn between inputs; a star is a convolution."""


@dataclass(frozen=True)
class Shown:
    """What a figure is made of.

    Attributes:
        title: the first line.
        operation: what was computed.
        inputs: (H, W, C) or (C,), one for each input.
        weights: by the names that the operation gives them.
        output: in the operation's own shape.
        traces: of the numbers whose arithmetic is written; the first one is marked.
        looks: how input and output look as pictures, where they are pictures.
        notes: what else should be known.
        kernel: of a named filter its name and numbers, (f, f) or (f, f, C), to be drawn in place of the weights.
    """

    title: str
    operation: Operation
    inputs: tuple[Array, ...]
    weights: Weights
    output: Array
    traces: Sequence[NodeTrace]
    looks: tuple[Pixels | None, Pixels | None] = (None, None)
    notes: tuple[str, ...] = ()
    kernel: tuple[str, Array] | None = None


def operation_figure(shown: Shown) -> Drawing:
    """Draw an operation."""
    row = [*_inputs(shown), *_weights(shown), _output(shown)]
    notes = list(shown.notes)
    if len(shown.inputs) > _MOST_INPUTS:
        notes.append(f"the first {_MOST_INPUTS} of {len(shown.inputs)} inputs")
    if not isinstance(shown.operation.layer, Layer) and shown.weights:
        notes.append(f"its {len(shown.weights)} arrays of weights are not drawn")
    rows = [row]
    if shown.traces and (near := _close_up(shown)):
        rows.append(near)
    arithmetic = [line for found in shown.traces for line in _arithmetic(shown, found)]
    return draw_operation(shown.title, rows, arithmetic, notes)


def _inputs(shown: Shown) -> Iterator[Operand]:
    several = len(shown.inputs) > 1
    sign: Sign = ""
    for number, x in enumerate(shown.inputs[:_MOST_INPUTS]):
        name = f"input_{number + 1}" if several else "input"
        title = f"input {number}" if several else "input"
        mark = _input_mark(shown, name)
        padding = (0, 0, 0, 0) if several or x.ndim == 1 else _padding(shown)
        yield Operand(title, x, sign, mark, padding, None if several else shown.looks[0])
        layer = shown.operation.layer
        sign = _SIGNS[layer.joint] if isinstance(layer, Joining) else ","


def _input_mark(shown: Shown, name: str) -> Mark | None:
    """Return what the first trace has read of an input: a window of it, or single numbers."""
    found = shown.traces[0] if shown.traces else None
    for each in () if found is None else (found, *found.on_the_way):
        if name not in each.inputs_from:
            continue
        trace = each.trace
        if (marked := _window_mark(trace)) is not None:
            return marked
        read = [source.position for source in trace.sources if each.inputs_from[source.input] == name]
        if read:
            return _cell(read[0])
    return None


def _window_mark(trace: Trace) -> Mark | None:
    if trace.window is None or trace.begins is None:
        return None
    steps = trace.step or (1,) * trace.window.ndim
    rows, *others = (
        range(first, first + size * step, step)
        for first, size, step in zip(trace.begins, trace.window.shape, steps, strict=True)
    )
    if not others:
        return Mark(rows, chosen=None if trace.winner is None else (*trace.winner, 0))
    return Mark(rows, others[0], others[1], trace.winner)


def _cell(position: Position) -> Mark:
    row, *others = (range(at, at + 1) for at in position)
    return Mark(row, others[0], others[1]) if others else Mark(row)


def _padding(shown: Shown) -> tuple[int, int, int, int]:
    """Return how far windows reach over the edges of a small map: top, bottom, left, right."""
    layer, x = shown.operation.layer, shown.inputs[0]
    if not isinstance(layer, Layer) or not shown.traces or max(x.shape[:2]) > _MOST_SIDE:
        return 0, 0, 0, 0
    shape = shown.operation.output_shape
    over = [0, 0, 0, 0]
    for position in {(0,) * len(shape), tuple(size - 1 for size in shape)}:
        mark = _window_mark(layer.trace(shown.weights, [x], position))
        if mark is None or mark.rows is None or mark.columns is None:
            return 0, 0, 0, 0
        for axis, cells in enumerate((mark.rows, mark.columns)):
            over[2 * axis] = max(over[2 * axis], -cells[0])
            over[2 * axis + 1] = max(over[2 * axis + 1], cells[-1] + 1 - x.shape[axis])
    return over[0], over[1], over[2], over[3]


def _weights(shown: Shown) -> Iterator[Operand]:
    if not isinstance(shown.operation.layer, Layer):
        return
    specs = shown.operation.weight_specs
    if shown.kernel is not None:
        name, numbers = shown.kernel
        filters = numbers.reshape(*numbers.shape[:2], -1, 1)
        yield Operand(name, filters, "*", Mark() if shown.traces else None)
    for name, array in shown.weights.items():
        if (name == "bias" and not array.any()) or (name == "weight" and shown.kernel is not None):
            continue
        mark = None
        if shown.traces and array.shape[-1] == shown.operation.output_shape[-1]:
            at = shown.traces[0].trace.position[-1]
            column = range(at, at + 1)
            mark = {1: Mark(column), 2: Mark(None, column)}.get(array.ndim, Mark(channels=column))
        grown: Array = array if array.ndim != 3 else array[..., np.newaxis]
        sign: Sign = "," if name not in ("weight", "bias") else "+" if name == "bias" else "*"
        if sign == "*" and len(specs[name].shape) == 2:
            sign = "x"
        yield Operand(name, grown, sign, mark)


def _output(shown: Shown) -> Operand:
    layer = shown.operation.layer
    psi = layer.psi if isinstance(layer, Layer) else None
    title = "output" if psi is None else f"output, after {psi.type}"
    equals = psi is None and (
        isinstance(layer, Joining) or (isinstance(layer, Layer) and "weight" in shown.weights)
    )
    mark = _cell(shown.traces[0].trace.position) if shown.traces else None
    return Operand(title, shown.output, "=" if equals else ">", mark, pixels=shown.looks[1])


def _close_up(shown: Shown) -> list[Operand]:
    """Return the window of the first trace, its factors and products, where the input is too large to be read."""
    trace = shown.traces[0].trace
    x = shown.inputs[0]
    if trace.window is None or trace.window.ndim != 3 or max(x.shape[:2]) <= _MOST_SIDE:
        return []
    if max(trace.window.shape[:2]) > _MOST_SIDE:
        return []
    winner = trace.winner
    chosen = None
    if winner is not None and trace.begins is not None:
        steps = trace.step or (1, 1, 1)
        chosen = tuple(
            (at - first) // step for at, first, step in zip(winner, trace.begins, steps, strict=True)
        )
    mark = None if chosen is None else Mark(range(0), range(0), chosen=chosen)
    near = [Operand("the window that is marked", trace.window, "", mark)]
    if trace.factors is not None and trace.products is not None:
        near += [Operand("factors", trace.factors, "x"), Operand("products", trace.products, "=")]
    return near


def _arithmetic(shown: Shown, found: NodeTrace) -> Iterator[str]:
    """Return how a number of the output came about, a line for each layer: of a block those inside first."""
    for each in _inside(found):
        yield f"{each.node}{list(each.trace.position)}: {each.trace.expression}"
    position = list(found.trace.position)
    if len(position) == 3 and shown.operation.output_shape[2] == 1:
        del position[2]
    if found.through is None:
        yield f"output{position}: {found.trace.expression}"
    else:
        yield f"before {found.through.type}{position}: {found.trace.expression}"
        yield f"output{position}: {found.through.trace.expression}"


def _inside(found: NodeTrace) -> Iterator[NodeTrace]:
    for each in reversed(found.on_the_way):
        yield from _inside(each)
        yield each
