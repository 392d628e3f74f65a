"""Loss and accuracy over the epochs, drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.pictures.drawing import Drawing, Line, Text

WIDTH, HEIGHT = 720, 300
_TOP, _BOTTOM, _LEFT, _SPAN, _NEXT = 36, 256, 56, 280, 360
_TRAIN, _DEV, _GREY = "#1f6fb2", "#c4561d", "#9a9a9a"
_TICKS = 4


def chart(epochs: Sequence[Mapping[str, Any]]) -> Drawing:
    """Return the picture of the figures of each epoch: loss on the left, accuracy on the right where there is one."""
    lines: list[Line] = []
    texts: list[Text] = []
    losses = [row[name] for row in epochs for name in ("train_loss", "dev_loss") if _finite(row.get(name))]
    _panel(epochs, "loss", _LEFT, max(losses, default=1.0) * 1.05 or 1.0, lines, texts)
    judged = not epochs or any(_finite(row.get("train_accuracy")) for row in epochs)
    if judged:
        _panel(epochs, "accuracy", _LEFT + _NEXT, 1.0, lines, texts)
    return Drawing("Loss and accuracy" if judged else "Loss", WIDTH, HEIGHT, (*lines, *texts))


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _panel(
    epochs: Sequence[Mapping[str, Any]],
    figure: str,
    left: float,
    top: float,
    lines: list[Line],
    texts: list[Text],
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
        lines.append(Line(((left, y), (left + _SPAN, y)), "#e4e4e4" if tick else _GREY, 1))
        texts.append(Text(left - 6, y + 4, f"{value:.3g}", "end", _GREY))
    texts += [
        Text(place(epoch, 0)[0], _BOTTOM + 18, str(epoch), "middle", _GREY)
        for epoch in sorted({first, (first + last) // 2, last})
    ]
    texts.append(Text(left + _SPAN / 2, _BOTTOM + 36, "epoch", "middle", _GREY))
    texts.append(Text(left, _TOP - 14, figure, "start", "#222222"))
    for row, (split, colour) in enumerate((("train", _TRAIN), ("dev", _DEV))):
        texts.append(Text(left + _SPAN - 60 * (1 - row), _TOP - 14, split, "end", colour))
        values = [(int(entry["epoch"]), entry.get(f"{split}_{figure}")) for entry in epochs]
        points = [
            place(epoch, float(value)) for epoch, value in values if _finite(value) and value is not None
        ]
        if len(points) == 1:
            # A single epoch is a point, and a line needs two.
            ((x, y),) = points
            points = [(x - 2, y), (x + 2, y)]
        if points:
            lines.append(Line(tuple(points), colour, 2))
