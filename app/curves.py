"""Loss and accuracy over the epochs, drawn: one list of lines and words, written as SVG or painted as PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.images import Chart, ChartLine, ChartText, encode_chart

WIDTH, HEIGHT = 720, 300
_TOP, _BOTTOM, _LEFT, _SPAN, _NEXT = 36, 256, 56, 280, 360
_TRAIN, _DEV, _GREY = "#1f6fb2", "#c4561d", "#9a9a9a"
_TICKS = 4


def chart(epochs: Sequence[Mapping[str, Any]]) -> Chart:
    """Return the picture of the figures of each epoch: loss on the left, accuracy on the right."""
    lines: list[ChartLine] = []
    texts: list[ChartText] = []
    losses = [row[name] for row in epochs for name in ("train_loss", "dev_loss") if _finite(row.get(name))]
    _panel(epochs, "loss", _LEFT, max(losses, default=1.0) * 1.05 or 1.0, lines, texts)
    _panel(epochs, "accuracy", _LEFT + _NEXT, 1.0, lines, texts)
    return Chart(WIDTH, HEIGHT, tuple(lines), tuple(texts))


def svg(picture: Chart) -> str:
    """Write a chart as an SVG document."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} {picture.height}" '
        f'width="{picture.width}" height="{picture.height}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for line in picture.lines:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.points)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="{line.width}"/>'
        )
    parts += [
        f'<text x="{text.x:.1f}" y="{text.y:.1f}" fill="{text.colour}" text-anchor="{text.anchor}">'
        f"{escape(text.words)}</text>"
        for text in picture.texts
    ]
    return "\n".join([*parts, "</svg>", ""])


def png(picture: Chart) -> bytes:
    """Paint a chart as a PNG file."""
    return encode_chart(picture)


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _panel(
    epochs: Sequence[Mapping[str, Any]],
    figure: str,
    left: float,
    top: float,
    lines: list[ChartLine],
    texts: list[ChartText],
) -> None:
    """Add one figure of both splits, from 0 to `top`."""
    numbers = [int(row["epoch"]) for row in epochs] or [1]
    first, last = numbers[0], max(numbers[-1], numbers[0] + 1)

    def place(epoch: float, value: float) -> tuple[float, float]:
        x = left + _SPAN * (epoch - first) / (last - first)
        return x, _BOTTOM - (_BOTTOM - _TOP) * min(value / top, 1.0)

    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        _, y = place(first, value)
        lines.append(ChartLine(((left, y), (left + _SPAN, y)), "#e4e4e4" if tick else _GREY, 1))
        texts.append(ChartText(left - 6, y + 4, f"{value:.3g}", "end", _GREY))
    texts += [
        ChartText(place(epoch, 0)[0], _BOTTOM + 18, str(epoch), "middle", _GREY)
        for epoch in sorted({first, (first + last) // 2, last})
    ]
    texts.append(ChartText(left + _SPAN / 2, _BOTTOM + 36, "epoch", "middle", _GREY))
    texts.append(ChartText(left, _TOP - 14, figure, "start", "#222222"))
    for row, (split, colour) in enumerate((("train", _TRAIN), ("dev", _DEV))):
        texts.append(ChartText(left + _SPAN - 60 * (1 - row), _TOP - 14, split, "end", colour))
        known = [(int(entry["epoch"]), entry.get(f"{split}_{figure}")) for entry in epochs]
        points = [
            place(epoch, float(value)) for epoch, value in known if _finite(value) and value is not None
        ]
        if len(points) == 1:
            # A single epoch is a point, and a line needs two.
            ((x, y),) = points
            points = [(x - 2, y), (x + 2, y)]
        if points:
            lines.append(ChartLine(tuple(points), colour, 2))
