"""A diagram of a network as a drawing."""

from __future__ import annotations

import colorsys

from app.errors import Invalid
from app.pictures.diagram.cards import Card, cards, shape_words
from app.pictures.diagram.layout import STUB, Layout, PlacedBox, lay_out
from app.pictures.diagram.words import FONT_SIZE, LINE
from app.pictures.drawing import Box, Drawing, Line, Shape, Text
from engine.graph.network import Network
from engine.layers import LAYERS

MAX_BOXES = 2_000
"""More than ResNet-1001 has; beyond that a drawing is too long for anybody to look at."""

_INK, _LINE, _FRAME, _QUIET = "#1d2733", "#55606e", "#9aa5b1", "#52606d"
_SHADES = ("#f5f7fa", "#e9edf2")
"""Of frames, by how deep they lie."""


def draw(network: Network, *, folded: bool = True) -> Drawing:
    """Draw a network from top to bottom; see `cards` for what is folded.

    Raises:
        Invalid: it is too large for a drawing.
    """
    boxes = cards(network, folded=folded)
    if len(boxes) > MAX_BOXES:
        raise Invalid(
            f"a diagram of {len(boxes):,} boxes cannot be drawn, at most {MAX_BOXES:,} can; draw a part of the "
            "network, or look at its summary"
        )
    return paint(lay_out(boxes))


def paint(layout: Layout) -> Drawing:
    """Return a layout as shapes: frames, then arrows, then boxes with their words."""
    shapes: list[Shape] = []
    for frame in layout.frames:
        shade = _SHADES[frame.depth % len(_SHADES)]
        shapes.append(Box(frame.x, frame.y, frame.width, frame.height, shade, _FRAME))
        shapes.append(Text(frame.title_x, frame.y + 15, frame.title, colour=_QUIET))
    for route in layout.routes:
        shapes.append(Line(route.points, _LINE, 1))
        shapes.append(_head(*route.points[-1]))
    read = {route.source for route in layout.routes}
    for box in layout.boxes:
        shapes += _box(box, is_read=box.card.name in read)
    return Drawing("Diagram of the network", layout.width, layout.height, tuple(shapes), FONT_SIZE)


def _head(x: int, y: int) -> Line:
    return Line(((x - 4, y - 7), (x, y), (x + 4, y - 7)), _LINE, 1)


def _box(box: PlacedBox, *, is_read: bool) -> list[Shape]:
    middle, bottom = box.x + box.width // 2, box.y + box.height
    shapes: list[Shape] = [
        Box(box.x, box.y, box.width, box.height, _colour(box.card), _INK),
        Line(((middle, bottom), (middle, bottom + STUB)), _LINE, 1),
        Text(middle + 5, bottom + 14, shape_words(box.card.shape), colour=_QUIET),
    ]
    if not is_read:
        shapes.append(_head(middle, bottom + STUB))
    shapes += [
        Text(middle, box.y + (number + 1) * LINE, line, "middle", _QUIET if number else _INK)
        for number, line in enumerate(box.lines)
    ]
    return shapes


def _colour(card: Card) -> str:
    """Return the colour of a layer's family: of the module that its class is in."""
    if not card.nodes:
        return "#ffffff"
    families = list(dict.fromkeys(layer.__module__ for layer in LAYERS))
    family = type(card.nodes[0].layer).__module__
    hue = families.index(family) / len(families) if family in families else 0.0
    red, green, blue = colorsys.hls_to_rgb((hue + 0.58) % 1, 0.85, 0.65)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
