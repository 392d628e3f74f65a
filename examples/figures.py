"""Line and bar charts as SVG, written by hand: a figure needs no plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"

_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
)  # Okabe & Ito: told apart by everyone
_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 58, 52

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """A range of numbers laid out over pixels, straight or by powers of ten."""

    label: str
    low: float
    high: float
    first: float
    last: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return the pixel of a number."""
        low, high, value = (math.log10(x) if self.logarithmic else x for x in (self.low, self.high, value))
        return self.first + (value - low) / (high - low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """Return some round numbers in the range."""
        if self.logarithmic:
            return [
                10.0**n for n in range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            ]
        rough = (self.high - self.low) / 5
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        return [
            step * n
            for n in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
        ]


def lines(
    name: str,
    title: str,
    series: Mapping[str, Points],
    x_label: str,
    y_label: str,
    *,
    y_range: tuple[float, float] | None = None,
    logarithmic: bool = False,
    bands: Mapping[str, Sequence[tuple[float, float, float]]] | None = None,
    directory: Path = FIGURES,
) -> Path:
    """Draw curves and return the file.

    Args:
        name: of the file, without its ending.
        title: above the figure.
        series: points (x, y) by the words of the legend.
        x_label: under the figure.
        y_label: beside it.
        y_range: lowest and highest y; by default what the points need.
        logarithmic: whether y runs by powers of ten.
        bands: pale areas (x, lowest, highest) behind the curve of the same words.
        directory: where the file goes.
    """
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points if math.isfinite(y)]
    low, high = y_range or (min(ys), max(ys))
    room = 0 if y_range or logarithmic else 0.05 * (high - low)
    x = Axis(x_label, min(xs), max(xs), _LEFT, _WIDTH - _RIGHT)
    y = Axis(y_label, low - room, high + room, _HEIGHT - _BOTTOM, _TOP, logarithmic)
    parts = []
    for number, (words, points) in enumerate(series.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        if bands and words in bands:
            edge = [(px, top) for px, _, top in bands[words]] + [
                (px, low) for px, low, _ in reversed(bands[words])
            ]
            parts.append(f'<polygon points="{_path(edge, x, y)}" fill="{colour}" opacity="0.15"/>')
        seen = [(px, py) for px, py in points if math.isfinite(py)]
        parts.append(
            f'<polyline points="{_path(seen, x, y)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        if len(seen) <= 20:
            parts += [
                f'<circle cx="{x.place(px):.1f}" cy="{_inside(y, py):.1f}" r="3" fill="{colour}"/>'
                for px, py in seen
            ]
    return _write(directory / f"{name}.svg", title, [*_grid(x, y), *parts, *_legend(list(series))])


def bars(
    name: str,
    title: str,
    values: Mapping[str, Mapping[str, float]],
    y_label: str,
    directory: Path = FIGURES,
) -> Path:
    """Draw groups of bars and return the file.

    Args:
        name: of the file, without its ending.
        title: above the figure.
        values: heights by group, then by the words of the legend, which are the same in every group.
        y_label: beside the figure.
        directory: where the file goes.
    """
    words = list(next(iter(values.values())))
    highest = max(height for group in values.values() for height in group.values())
    y = Axis(y_label, 0, 1.08 * highest, _HEIGHT - _BOTTOM, _TOP)
    parts = list(_grid(None, y))
    width = (_WIDTH - _LEFT - _RIGHT) / len(values)
    bar = 0.7 * width / len(words)
    for place, (group, heights) in enumerate(values.items()):
        left = _LEFT + place * width + 0.15 * width
        for number, word in enumerate(words):
            top, x = y.place(heights[word]), left + number * bar
            parts.append(
                f'<rect x="{x:.1f}" y="{top:.1f}" width="{bar * 0.92:.1f}" height="{y.first - top:.1f}" '
                f'fill="{_COLOURS[number % len(_COLOURS)]}"/>'
            )
            parts.append(_text(x + bar / 2, top - 4, _short(heights[word]), "middle", 11))
        parts.append(_text(_LEFT + (place + 0.5) * width, y.first + 18, group, "middle"))
    return _write(directory / f"{name}.svg", title, [*parts, *_legend(words)])


def _grid(x: Axis | None, y: Axis) -> list[str]:
    parts = []
    for tick in y.ticks():
        at = y.place(tick)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, at + 4, _short(tick), "end"))
    if x is not None:
        parts += [_text(x.place(tick), y.first + 18, _short(tick), "middle") for tick in x.ticks()]
        parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, x.label, "middle"))
    parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y.first}" y2="{y.first}" stroke="#333"/>')
    turned = f'transform="rotate(-90 16 {(_TOP + y.first) / 2})"'
    parts.append(_text(16, (_TOP + y.first) / 2, y.label, "middle", extra=turned))
    return parts


def _legend(words: Sequence[str]) -> list[str]:
    """Lay the words out in a row under the title."""
    parts = []
    left = float(_LEFT)
    for number, word in enumerate(words):
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(f'<rect x="{left:.1f}" y="34" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(left + 15, 43, word, "start"))
        left += 34 + 6.2 * len(word)
    return parts


def _path(points: Points, x: Axis, y: Axis) -> str:
    return " ".join(f"{x.place(px):.1f},{_inside(y, py):.1f}" for px, py in points)


def _inside(y: Axis, value: float) -> float:
    return y.place(min(max(value, y.low), y.high))


def _text(x: float, y: float, words: str, anchor: str, size: int = 12, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {extra}>{escape(words)}</text>'


def _short(value: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def _write(file: Path, title: str, parts: Sequence[str]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'role="img">\n<title>{escape(title)}</title>\n<rect width="100%" height="100%" fill="white"/>'
    )
    body = "\n".join([head, _text(_WIDTH / 2, 22, title, "middle", 15), *parts, "</svg>"])
    file.write_text(body.replace(" >", ">") + "\n", encoding="utf-8")
    return file
