"""Lengths of gradients and weights over the epochs, a line for each node on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from app.pictures.drawing import Box, Drawing, Line, Text
from app.pictures.drawing import Shape as Part
from app.pictures.font import shortened, width

Series = Sequence[float | None]

WIDTH = 900
MOST_NODES = 160
"""Nodes that are drawn; of more, those that are marked and others spread evenly over the network."""
_TOP, _BOTTOM, _LEFT, _SPAN, _NEXT = 64, 304, 64, 372, 448
_FONT, _ROW, _SWATCH, _GAP = 12, 17, 14, 18
_MOST_NAME = 250
_MOST_TICKS = 8
_FEW = 12  # lines that can be wider without hiding one another
_GREY, _PALE, _DARK, _MARK = "#9a9a9a", "#e4e4e4", "#222222", "#c01f1f"
_DEPTH = ((88, 24, 120), (40, 90, 200), (0, 140, 160), (140, 180, 20), (230, 120, 0))
"""From the first node to the last; five nodes, as many as many small networks have, can be told apart."""


def chart(
    epochs: Sequence[int],
    gradients: Mapping[str, Series],
    weights: Mapping[str, Series],
    vanishing: Collection[str] = (),
    exploding: Collection[str] = (),
) -> Drawing:
    """Return the picture: gradients on the left, weights on the right, the names of the nodes below.

    Args:
        epochs: their numbers.
        gradients: of each node, in the order of the network, a length for each epoch; None that it is not finite.
        weights: the same of the weights.
        vanishing: nodes that are marked as such.
        exploding: nodes that are marked as such.
    """
    marks = dict.fromkeys(vanishing, "vanishes") | dict.fromkeys(exploding, "explodes")
    nodes = _chosen(list(gradients), marks)
    colours = {name: _colour(place / max(len(nodes) - 1, 1)) for place, name in enumerate(nodes)}
    shapes: list[Part] = [
        Text(_LEFT, 22, _summary(len(gradients), len(nodes), vanishing, exploding), "start", _DARK)
    ]
    for left, title, series in (
        (_LEFT, "length of the gradient, mean of the epoch", gradients),
        (_LEFT + _NEXT, "length of the weights", weights),
    ):
        shapes += _panel(left, title, epochs, [(name, series[name]) for name in nodes], colours, marks)
    legend, height = _legend(colours, marks)
    return Drawing("Lengths of gradients and weights", WIDTH, height, (*shapes, *legend), _FONT)


def _chosen(nodes: list[str], marks: Mapping[str, str]) -> list[str]:
    """Return the nodes that are drawn, in their order."""
    if len(nodes) <= MOST_NODES:
        return nodes
    kept = {name for name in nodes if name in marks}
    kept = set(_spread([name for name in nodes if name in kept], MOST_NODES // 2))
    kept |= set(_spread([name for name in nodes if name not in kept], MOST_NODES - len(kept)))
    return [name for name in nodes if name in kept]


def _spread(names: list[str], most: int) -> list[str]:
    if len(names) <= most:
        return names
    return [names[round(place * (len(names) - 1) / (most - 1))] for place in range(most)]


def _summary(nodes: int, drawn: int, vanishing: Collection[str], exploding: Collection[str]) -> str:
    if not nodes:
        return "no epoch has been measured"
    said = [
        f"{len(names)} of {nodes} nodes: the gradient {verb} in the last epoch"
        for verb, names in (("vanishes", vanishing), ("explodes", exploding))
        if names
    ] or ["no gradient vanishes or explodes in the last epoch"]
    if drawn < nodes:
        said.append(f"{drawn} of {nodes} nodes are drawn")
    return "; ".join(said)


def _colour(depth: float) -> str:
    place = depth * (len(_DEPTH) - 1)
    first = min(int(place), len(_DEPTH) - 2)
    mixed = (
        round(a + (b - a) * (place - first)) for a, b in zip(_DEPTH[first], _DEPTH[first + 1], strict=True)
    )
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _panel(
    left: int,
    title: str,
    epochs: Sequence[int],
    series: Sequence[tuple[str, Series]],
    colours: Mapping[str, str],
    marks: Mapping[str, str],
) -> list[Part]:
    """Draw one panel; a length of 0 lies on its lower edge, one that is not finite on its upper edge."""
    found = [value for _, values in series for value in values if value]
    low = math.floor(math.log10(min(found, default=0.1)))
    high = max(math.ceil(math.log10(max(found, default=1.0))), low + 1)
    numbers = list(epochs) or [1]
    first, last = numbers[0], max(numbers[-1], numbers[0] + 1)

    def across(epoch: float) -> float:
        return left + _SPAN * (epoch - first) / (last - first)

    def down(exponent: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (exponent - low) / (high - low)

    shapes: list[Part] = [Text(left, _TOP - 14, title, "start", _DARK)]
    for exponent in range(low, high + 1, -(-(high - low) // _MOST_TICKS)):
        y = down(exponent)
        shapes.append(Line(((left, y), (left + _SPAN, y)), _GREY if exponent == low else _PALE, 1))
        shapes.append(Text(left - 6, y + 4, f"1e{exponent}", "end", _GREY))
    shapes += [
        Text(across(epoch), _BOTTOM + 18, str(epoch), "middle", _GREY)
        for epoch in sorted({first, (first + last) // 2, last})
    ]
    shapes.append(Text(left + _SPAN / 2, _BOTTOM + 36, "epoch", "middle", _GREY))
    plain = 2 if len(series) <= _FEW else 1
    # marked ones on top of the others
    for name, values in sorted(series, key=lambda entry: entry[0] in marks):
        points = [
            (across(epoch), down(high if value is None else low if value <= 0 else math.log10(value)))
            for epoch, value in zip(epochs, values, strict=True)
        ]
        if len(points) == 1:
            # a single epoch is a point, and a line needs two
            ((x, y),) = points
            points = [(x, y), (x + 6, y)]
        if points:
            shapes.append(Line(tuple(points), colours[name], 3 if name in marks else plain))
    return shapes


def _legend(colours: Mapping[str, str], marks: Mapping[str, str]) -> tuple[list[Part], int]:
    """Name the nodes in columns, from the first to the last; return that, and the height of the whole picture."""
    top = _BOTTOM + 62
    words = {name: f"{shortened(name, _FONT, _MOST_NAME)} {marks.get(name, '')}".rstrip() for name in colours}
    column = _SWATCH + _GAP + max((width(text, _FONT) for text in words.values()), default=0)
    columns = max(1, (WIDTH - _LEFT) // column)
    rows = -(-len(words) // columns)
    shapes: list[Part] = []
    for place, (name, text) in enumerate(words.items()):
        x, y = _LEFT + column * (place // rows), top + _ROW * (place % rows)
        shapes.append(Box(x, y - 7, _SWATCH - 4, 3 if name in marks else 2, colours[name]))
        shapes.append(Text(x + _SWATCH, y, text, "start", _MARK if name in marks else _DARK))
    return shapes, top + _ROW * rows + 8
