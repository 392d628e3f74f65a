"""The layout of a whole network: frame by frame from the inside out, then all places on one sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.pictures.diagram import columns, tracks
from app.pictures.diagram.cards import Card, shape_words
from app.pictures.diagram.layers import Link, Rows, Vertex, arrange
from app.pictures.diagram.tree import Frame, Item, nest
from app.pictures.diagram.words import FONT_SIZE, LINE, wrapped
from app.pictures.font import width

STUB = 20
"""Pixels below a box in which its arrow goes straight down, with the shape beside it."""
_GAP, _TRACK, _HEAD = 10, 9, 16
_TITLE = 22
_SIDE = 14
_PAD = 8
_MARGIN = 16

Point = tuple[int, int]
_Lines = dict[tuple[str, str | None, int, str], list[Point]]
"""Of each source, to an item of a frame (None for its lower side), to its input of a number: frame by frame."""


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """A box with its words, its left upper corner at (x, y)."""

    card: Card
    lines: tuple[str, ...]
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PlacedFrame:
    """A frame round the boxes of a block; its title begins at `title_x`."""

    name: str
    title: str
    x: int
    y: int
    width: int
    height: int
    title_x: int
    depth: int
    """In how many other frames it lies."""


@dataclass(frozen=True, slots=True)
class Route:
    """An arrow from the box of one card down to an input of another."""

    source: str
    target: str
    number: int
    points: tuple[Point, ...]


@dataclass(slots=True)
class Layout:
    """Everything in its place, in pixels."""

    width: int = 0
    height: int = 0
    boxes: list[PlacedBox] = field(default_factory=list)
    frames: list[PlacedFrame] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)


@dataclass(slots=True)
class _Plan:
    """A frame whose inside is laid out; places are from its left upper corner."""

    frame: Frame
    rows: Rows
    vertices: Mapping[Item, Vertex]
    inner: Mapping[Item, _Plan]
    words: Mapping[Item, tuple[str, ...]]
    """Of its boxes, line by line."""
    tops: list[int]
    """Of each row."""
    tracks: list[dict[str, int]]
    width: int
    height: int
    title_x: int


def lay_out(cards: Sequence[Card]) -> Layout:
    """Return where the boxes, frames and arrows of a diagram are."""
    root = nest(cards)
    plan = _plan(root)
    layout = Layout()
    lines: _Lines = {}
    _flatten(plan, _MARGIN, _MARGIN, layout, lines)
    layout.width = plan.width + 2 * _MARGIN
    layout.height = plan.height + 2 * _MARGIN
    above = {card.name: [f"{block.name}/" for block in card.blocks] for card in cards}
    for card in cards:
        for number, source in enumerate(card.sources):
            points = _route(source, card.name, number, above, lines)
            layout.routes.append(Route(source, card.name, number, tuple(_simplified(points))))
    return layout


def _plan(frame: Frame) -> _Plan:
    inner = {item: _plan(one) for item, one in frame.frames.items()}
    texts = {name: words(card) for name, card in frame.cards.items()}
    vertices = {
        item: _framed(inner[item]) if item in inner else _boxed(frame.cards[item], texts[item])
        for item in frame.items
    }
    rows = arrange(frame, vertices)
    columns.place(rows)
    return _sized(frame, rows, vertices, inner, texts)


def _boxed(card: Card, lines: Sequence[str]) -> Vertex:
    half = max(width(line, FONT_SIZE) for line in lines) // 2 + 1 + _PAD
    half = max(half, width(shape_words(card.shape), FONT_SIZE) + 10, 30)
    return Vertex(card.name, 0, half, half, len(lines) * LINE + _PAD + STUB, {}, {card.name: 0})


def words(card: Card) -> tuple[str, ...]:
    """Return the lines in a box, the title first."""
    title = wrapped(card.title.replace("/", "/\0").split("\0"), "")
    return (*title, *(line for part in card.parts for line in wrapped(part, " ")))


def _framed(plan: _Plan) -> Vertex:
    half = plan.width // 2
    vertex = Vertex(f"{plan.frame.name}/", 0, half, plan.width - half, plan.height, fixed=True)
    for source, arrow in plan.frame.arrows.items():
        if arrow.start is None:
            vertex.ports[source, 0] = round(plan.rows.entries[source].x) - half
        if arrow.leaves:
            vertex.outlets[source] = round(plan.rows.ways[source, None, 0][-1].end) - half
    return vertex


def _sized(
    frame: Frame,
    rows: Rows,
    vertices: Mapping[Item, Vertex],
    inner: Mapping[Item, _Plan],
    texts: Mapping[Item, tuple[str, ...]],
) -> _Plan:
    """Give a frame its size, with space for its title beside the arrows that come in, and its rows their tops."""
    left = round(min(vertex.x - vertex.left for row in rows.rows for vertex in row))
    right = round(max(vertex.x + vertex.right for row in rows.rows for vertex in row))
    title_x = 0
    side = _SIDE if frame.title else 0
    left, right = left - side, right + side
    if frame.title:
        space = width(frame.title, FONT_SIZE) + 2 * _PAD
        entries = [round(vertex.x) for vertex in rows.rows[0] if vertex.item is None]
        first, last = min(entries, default=right), max(entries, default=left)
        title_x = left
        if first - left < space <= right - last:
            title_x = right - space
        elif first - left < space:
            title_x = left = first - space
    for row in rows.rows:
        for vertex in row:
            vertex.x -= left
    heights = [max(vertex.height for vertex in row) for row in rows.rows]
    runs = [tracks.assign(links) for links in rows.links]
    tops = [0 if not frame.title or rows.rows[0][0].item is None else _TITLE]
    for number, run in enumerate(runs):
        gap = _HEAD + (_GAP + _TRACK * (max(run.values()) + 1) if run else 0)
        extra = _TITLE - _GAP if frame.title and not number and heights[0] == 0 else 0
        tops.append(tops[-1] + heights[number] + extra + gap)
    closed = frame.title and not any(arrow.leaves for arrow in frame.arrows.values())
    height = tops[-1] + heights[-1] + (_PAD if closed else 0)
    return _Plan(frame, rows, vertices, inner, texts, tops, runs, right - left, height, title_x - left + _PAD)


def _flatten(
    plan: _Plan,
    x: int,
    y: int,
    layout: Layout,
    lines: _Lines,
    depth: int = -1,
) -> None:
    """Put a frame and all in it on the sheet, its left upper corner at (x, y), and its lines into `lines`."""
    if plan.frame.title:
        place = x, y, plan.width, plan.height, x + plan.title_x
        layout.frames.append(PlacedFrame(plan.frame.name, plan.frame.title, *place, depth))
    for item in plan.frame.items:
        vertex = plan.vertices[item]
        corner = x + round(vertex.x) - vertex.left, y + plan.tops[vertex.row]
        if item in plan.inner:
            _flatten(plan.inner[item], *corner, layout, lines, depth + 1)
        else:
            card = plan.frame.cards[item]
            size = vertex.left + vertex.right, vertex.height - STUB
            layout.boxes.append(PlacedBox(card, plan.words[item], *corner, *size))
    for (source, end, number), way in plan.rows.ways.items():
        points = [point for link in way for point in _line(plan, link, x, y)]
        lines[source, end, number, plan.frame.name] = points


def _line(plan: _Plan, link: Link, x: int, y: int) -> list[Point]:
    """Return the points of one piece of an arrow."""
    upper, lower = link.upper, link.lower
    top = plan.tops[upper.row] + (0 if upper.item is None else upper.height)
    if upper.item in plan.frame.cards:
        top -= STUB
    begin, end = x + round(link.begin), x + round(link.end)
    bottom = plan.tops[lower.row]
    track = plan.tracks[upper.row].get(link.source)
    if track is None or begin == end:
        return [(begin, y + top), (end, y + bottom)]
    used = max(plan.tracks[upper.row].values()) + 1
    across = y + bottom - _HEAD - (used - 1 - track) * _TRACK
    return [(begin, y + top), (begin, across), (end, across), (end, y + bottom)]


def _route(
    source: str,
    target: str,
    number: int,
    above: Mapping[str, Sequence[str]],
    lines: _Lines,
) -> list[Point]:
    """Put together the lines of an arrow in the frames that it leaves, in the one that holds both, and inside."""
    leaving, entering = above[source], above[target]
    shared = 0
    while shared < min(len(leaving), len(entering)) and leaving[shared] == entering[shared]:
        shared += 1
    points: list[Point] = []
    for name in reversed(leaving[shared:]):
        points += lines[source, None, 0, name[:-1]]
    inside = [*entering[shared:], target]
    holders = [entering[shared - 1] if shared else "/", *entering[shared:]]
    for holder, item in zip(holders, inside, strict=True):
        points += lines[source, item, number if item == target else 0, holder[:-1]]
    return points


def _simplified(points: Sequence[Point]) -> list[Point]:
    """Leave out points that lie on the line between their neighbours."""
    kept: list[Point] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and any(
            kept[-2][axis] == kept[-1][axis] == point[axis] and kept[-2][1 - axis] <= kept[-1][1 - axis]
            for axis in (0, 1)
        ):
            kept[-1] = point
        else:
            kept.append(point)
    return kept
