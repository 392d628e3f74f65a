"""A confusion matrix, drawn: a row for what is true, a column for what it was taken for, darker for more."""

from __future__ import annotations

from collections.abc import Sequence

from app.pictures.drawing import Box, Drawing, Line, Text
from app.pictures.font import width

MAX_CLASSES = 200
"""The most classes whose matrix can be drawn: more cells than anybody can look at."""

_CELL = 26
_FONT_SIZE = 10
_SHOWN = 18
"""Characters of a name that are shown."""
_RIGHT, _WRONG = (20, 110, 60), (170, 30, 40)


def draw(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> Drawing:
    """Draw how many pictures of class i (row) were taken for class j (column)."""
    names = [name if len(name) <= _SHOWN else f"{name[: _SHOWN - 1]}…" for name in classes]
    margin = max(width(name, _FONT_SIZE) for name in names) + 30
    side = margin + len(classes) * _CELL + 10
    shapes: list[Line | Box | Text] = [Text(8, margin - 8, "true"), Text(margin, 12, "taken for")]
    for number, name in enumerate(names):
        middle = margin + number * _CELL + _CELL // 2
        shapes += [
            Text(margin - 6, middle + 3, name, "end"),
            Text(middle + 3, margin - 6, name, upright=True),
        ]
    for row, counts in enumerate(matrix):
        total = max(1, sum(counts))
        for column, count in enumerate(counts):
            share, x, y = count / total, margin + column * _CELL, margin + row * _CELL
            shapes.append(Box(x, y, _CELL, _CELL, _shade(share, _RIGHT if row == column else _WRONG)))
            if count:
                ink = "#ffffff" if share > 0.5 else "#000000"
                shapes.append(Text(x + _CELL // 2, y + _CELL // 2 + 3, _short(count), "middle", ink))
    return Drawing("Confusion matrix", side, side, tuple(shapes), _FONT_SIZE)


def _shade(share: float, dark: tuple[int, int, int]) -> str:
    """Return a colour from white to dark."""
    return "#" + "".join(f"{round(255 - share * (255 - end)):02x}" for end in dark)


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count // 1000}k"
