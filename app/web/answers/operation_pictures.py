"""Answers of operations as pictures: the output itself, or a figure of how it comes about."""

from __future__ import annotations

import numpy as np
from fastapi import Response

from app.errors import DomainError
from app.operations.figure import Shown, operation_figure
from app.operations.operation import Result
from app.operations.tracing import choose, trace
from app.pictures.decode import encode_png
from app.pictures.grids import number
from app.pictures.maps import draw_maps, draw_vector
from app.pictures.pixels import Range, Toned, to_pixels
from engine.arrays import Array
from engine.graph.trace import NodeTrace

PNG, SVG = "image/png", "image/svg+xml"
RANGE = "Image-Range"
_FAST = 1
"""Level of compression: of a photo the highest takes ten times as long for a tenth less."""
_LARGE = 12


def as_png(result: Result, wanted: Range, kernel: Array | None = None) -> Response:
    """Return the output as a picture; maps of other than one or three channels, and vectors, as a drawing.

    The header `Image-Range` says what black and white mean.
    """
    output = result.output
    if output.ndim == 3 and output.shape[2] in (1, 3):
        toned = to_pixels(output, wanted, edges=_edges(kernel))
        return Response(encode_png(toned.pixels, _FAST), media_type=PNG, headers={RANGE: meaning(toned)})
    title = f"{result.task.operation.layer.type}: {' x '.join(map(str, output.shape))}"
    drawing = draw_vector(title, output) if output.ndim == 1 else draw_maps(title, output)
    return Response(drawing.png(), media_type=PNG, headers={RANGE: "drawing"})


def meaning(toned: Toned) -> str:
    """Say in a header how numbers became pixels."""
    return f"{toned.range}, black {number(toned.black)}, white {number(toned.white)}"


def _edges(kernel: Array | None) -> bool | None:
    """Return whether a filter finds edges: its numbers cancel out, so that 0 means that nothing changes."""
    if kernel is None:
        return None
    return bool(abs(kernel.sum()) <= 1e-6 * np.abs(kernel).sum())


def as_svg(result: Result, wanted: Range, kernel: tuple[str, Array] | None = None) -> Response:
    """Return a figure: input, weights and output, what one number is made of marked, and its arithmetic.

    Args:
        result: what was computed.
        wanted: how numbers become pixels where the output is drawn as a picture.
        kernel: of `convolve` the filter, (f, f) or (f, f, C), and its name.
    """
    task = result.task
    notes = [", ".join(f"{name} = {formula}" for name, formula in task.operation.formula.items())]
    before = after = None
    if task.inputs.is_picture:
        sent = task.inputs.arrays[0] / np.float32(task.inputs.scale or 1)
        before, after = _look(sent, "clip", None), _look(result.output, wanted, kernel)
    if after is not None:
        notes.append(f"pixels of the output: {meaning(after)}")
    shown = Shown(
        "convolve" if kernel else task.operation.layer.type,
        task.operation,
        task.inputs.arrays,
        result.weights,
        result.output,
        result.traces or _usual_traces(result),
        (None if before is None else before.pixels, None if after is None else after.pixels),
        tuple(note for note in notes if note),
        kernel,
    )
    return Response(operation_figure(shown).svg(), media_type=SVG)


def _usual_traces(result: Result) -> tuple[NodeTrace, ...]:
    """Return the arithmetic of one number where none was asked for; none where it cannot be followed."""
    task = result.task
    shape = task.operation.output_shape
    position = (0,) * len(shape)
    if len(shape) == 3 and max(shape[:2]) > _LARGE:
        # the largest one: in a large picture the first is rarely worth a look
        found = np.unravel_index(int(np.nanargmax(np.abs(np.nan_to_num(result.output)))), shape)
        position = tuple(int(at) for at in found)
    try:
        positions = choose(task.operation, [position], task.context.statistics)
    except DomainError:
        return ()
    return trace(task.operation, task.inputs.arrays, result.weights, positions)


def _look(x: Array, wanted: Range, kernel: tuple[str, Array] | None) -> Toned | None:
    """Return how an array looks as one picture; None where it is none, or is small enough for numbers."""
    if x.ndim != 3 or x.shape[2] not in (1, 3) or max(x.shape[:2]) <= _LARGE:
        return None
    return to_pixels(x, wanted, edges=None if kernel is None else _edges(kernel[1]))
