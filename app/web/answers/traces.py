"""Answers about the arithmetic of single numbers."""

from __future__ import annotations

from collections.abc import Sequence

from app.api import traces as wire
from app.web.answers.arrays import check_numbers
from engine.arrays import Array
from engine.graph.trace import NodeTrace
from engine.layers.trace import Position, Trace
from engine.model.gradient_trace import GradientTrace, Reader


def node_traces(found: Sequence[NodeTrace], *, flat: bool = False) -> list[wire.NodeTrace]:
    """Show how numbers of a node came about; `flat` as in `traces`.

    Raises:
        TooLarge: the windows have more numbers than are written as JSON.
    """
    _check([each.trace for top in found for each in (top, *top.on_the_way)])
    return [_node_trace(each, flat) for each in found]


def traces(found: Sequence[Trace], *, flat: bool = False) -> list[wire.Trace]:
    """Show how numbers came about.

    Args:
        found: the engine's records.
        flat: whether input and output are shown as grids of numbers, without an axis for their one channel: then
            windows and positions are too.

    Raises:
        TooLarge: the windows have more numbers than are written as JSON.
    """
    _check(found)
    return [_trace(each, flat) for each in found]


def gradient_traces(found: Sequence[GradientTrace]) -> list[wire.GradientTrace]:
    """Show how gradients at numbers of a node come about.

    Raises:
        TooLarge: the numbers lead to more than are written as JSON.
    """
    _check_sizes([reader.products.size for each in found for reader in each.readers])
    return [
        wire.GradientTrace(
            node=each.node,
            type=each.type,
            position=list(each.position),
            gradient=each.gradient,
            expression=each.expression,
            readers=[_reader(reader) for reader in each.readers],
        )
        for each in found
    ]


def _reader(found: Reader) -> wire.GradientReader:
    return wire.GradientReader(
        node=found.node,
        type=found.type,
        input=found.input,
        begins=list(found.begins),
        step=list(found.step),
        gradients=found.gradients.tolist(),
        derivatives=found.derivatives.tolist(),
        products=found.products.tolist(),
        sum=found.sum,
    )


def _check(found: Sequence[Trace]) -> None:
    _check_sizes([each.window.size for each in found if each.window is not None])


def _check_sizes(windows: Sequence[int]) -> None:
    hint = "ask for fewer positions" if len(windows) > 1 else "look at a smaller input"
    check_numbers((sum(windows),), hint)


def _node_trace(found: NodeTrace, flat: bool) -> wire.NodeTrace:
    return wire.NodeTrace(
        node=found.node,
        type=found.type,
        inputs_from=list(found.inputs_from),
        trace=_trace(found.trace, flat),
        through=None if found.through is None else _node_trace(found.through, flat),
        on_the_way=[_node_trace(each, flat) for each in found.on_the_way],
    )


def _trace(found: Trace, flat: bool) -> wire.Trace:
    def place(position: Position) -> list[int]:
        return [*position[:2]] if flat else [*position]

    def listed(array: Array | None) -> list[object] | None:
        if array is None:
            return None
        grid: list[object] = (array[..., 0] if flat and array.ndim == 3 else array).tolist()
        return grid

    return wire.Trace(
        position=place(found.position),
        output=found.output,
        expression=found.expression,
        sources=[
            wire.SourceNumber(input=each.input, position=place(each.position), value=each.value)
            for each in found.sources
        ],
        window=listed(found.window),
        inside=listed(found.inside),
        begins=None if found.begins is None else place(found.begins),
        step=None if found.step is None else place(found.step),
        factors=listed(found.factors),
        products=listed(found.products),
        sum=found.sum,
        bias=found.bias,
        winner=None if found.winner is None else place(found.winner),
        count=found.count,
        mean=found.mean,
        variance=found.variance,
        epsilon=found.epsilon,
        scale=found.scale,
        shift=found.shift,
    )
