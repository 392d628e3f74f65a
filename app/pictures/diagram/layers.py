"""Layers of one frame: what stands in which row, in which order, and where long arrows pass.

Sugiyama, Tagawa & Toda 1981, "Methods for visual understanding of hierarchical system structures": rows by the
longest path, order by barycentres.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from app.errors import Invalid
from app.pictures.diagram.tree import Frame, Item

_SWEEPS = 4
_MOST_PIECES = 100_000
"""Rows that all arrows of a frame may run through together, each from its source to its end."""


@dataclass(slots=True, eq=False)
class Vertex:
    """One place in a row: a box, an inner frame, or the point where an arrow passes the row."""

    item: Item | None
    """None for a point."""
    row: int
    left: int = 0
    """From its reference point to its left side, in pixels."""
    right: int = 0
    height: int = 0
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    """Where arrows come in, from the reference point: by source and number of the input."""
    outlets: dict[str, int] = field(default_factory=dict)
    """Where arrows go out, by source."""
    fixed: bool = False
    """Whether arrows come in at its ports as they are, as into a frame; else there is a choice along its top."""
    x: float = 0
    """Where the reference point is."""


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A piece of an arrow from one row to the next."""

    source: str
    upper: Vertex
    lower: Vertex
    number: int = 0
    """Of the input that it ends in."""

    @property
    def begin(self) -> float:
        """Where it leaves the upper row."""
        return self.upper.x + self.upper.outlets.get(self.source, 0)

    @property
    def end(self) -> float:
        """Where it comes into the lower row."""
        return self.lower.x + self.lower.ports.get((self.source, self.number), 0)


@dataclass(slots=True)
class Rows:
    """A frame in rows."""

    rows: list[list[Vertex]]
    links: list[list[Link]]
    """Between each row and the next one."""
    lanes: list[list[Vertex]]
    """For each arrow that is longer than a row, the points where it passes, and the box that it alone begins in."""
    entries: dict[str, Vertex]
    """Where arrows come in from above, by source."""
    ways: dict[tuple[str, Item | None, int], list[Link]]
    """The pieces that lead from a source to an item, to its input of a number; None for the lower side."""
    pieces: int = 0
    """In how many pieces all arrows are."""


def arrange(frame: Frame, vertices: Mapping[Item, Vertex]) -> Rows:
    """Put the items of a frame, whose vertices are of their sizes, into rows, and order each row.

    Where arrows enter there is a first row for them, and where they leave a last one.

    Raises:
        Invalid: arrows are too many and too long.
    """
    entering = any(arrow.start is None for arrow in frame.arrows.values())
    _assign(frame, vertices, first=1 if entering else 0)
    last = max(vertex.row for vertex in vertices.values())
    leaving = any(arrow.leaves for arrow in frame.arrows.values())
    rows: list[list[Vertex]] = [[] for _ in range(last + 1 + leaving)]
    for item in frame.items:
        rows[vertices[item].row].append(vertices[item])
    found = Rows(rows, [[] for _ in rows[1:]], [], {}, {})
    for source, arrow in frame.arrows.items():
        ends: list[tuple[Item | None, int, Vertex]] = [(item, 0, vertices[item]) for item in arrow.ends]
        ends += [(item, number, vertices[item]) for item, number in arrow.inputs]
        if arrow.leaves:
            exit_ = Vertex(None, last + 1)
            rows[last + 1].append(exit_)
            ends.append((None, 0, exit_))
        if arrow.start is None:
            start = found.entries[source] = Vertex(None, 0)
            rows[0].append(start)
        else:
            start = vertices[arrow.start]
        _connect(found, source, start, ends)
    _order(found)
    return found


def _assign(frame: Frame, vertices: Mapping[Item, Vertex], first: int) -> None:
    """Give each item the row after the last one of those that it reads."""
    readers: dict[Item, list[Item]] = defaultdict(list)
    for arrow in frame.arrows.values():
        if arrow.start is not None:
            readers[arrow.start] += [*arrow.ends, *(item for item, _ in arrow.inputs)]
    for item in frame.items:
        vertices[item].row = max(vertices[item].row, first)
        for reader in readers[item]:
            vertices[reader].row = max(vertices[reader].row, vertices[item].row + 1)


def _connect(
    found: Rows, source: str, start: Vertex, ends: Sequence[tuple[Item | None, int, Vertex]]
) -> None:
    """Lead one arrow down, through a point in each row that it passes, to all its ends."""
    lowest = max((end.row for _, _, end in ends), default=start.row)
    found.pieces += sum(end.row - start.row for _, _, end in ends)
    if found.pieces > _MOST_PIECES:
        raise Invalid(
            f"a diagram cannot be drawn in which arrows run past more than {_MOST_PIECES:,} layers; let layers "
            "read those shortly before them, or draw a part of the network"
        )
    line = [start, *(Vertex(None, row) for row in range(start.row + 1, lowest))]
    pieces = [Link(source, upper, lower) for upper, lower in pairwise(line)]
    for piece in pieces:
        found.rows[piece.lower.row].append(piece.lower)
        found.links[piece.upper.row].append(piece)
    if len(line) > 1:
        alone = len(ends) == 1 and start.item is not None and not start.outlets.get(source, 0)
        found.lanes.append(line if alone else line[1:])
    for item, number, end in ends:
        passed = end.row - start.row - 1
        last = Link(source, line[passed], end, number)
        found.links[end.row - 1].append(last)
        found.ways[source, item, number] = [*pieces[:passed], last]


def _order(found: Rows) -> None:
    """Order the rows so that arrows cross as little as barycentres can bring about."""
    best = [list(row) for row in found.rows]
    fewest = _crossings(found)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        down = sweep % 2 == 0
        order = range(1, len(found.rows)) if down else range(len(found.rows) - 2, -1, -1)
        for row in order:
            _sort(found, row, down=down)
        crossings = _crossings(found)
        if crossings < fewest:
            best, fewest = [list(row) for row in found.rows], crossings
    found.rows = best


def _sort(found: Rows, row: int, *, down: bool) -> None:
    """Sort one row by the mean places of the neighbours in the row before it."""
    neighbours = {id(v): place for place, v in enumerate(found.rows[row - 1 if down else row + 1])}
    places: dict[int, list[int]] = defaultdict(list)
    for link in found.links[row - 1 if down else row]:
        own, other = (link.lower, link.upper) if down else (link.upper, link.lower)
        places[id(own)].append(neighbours[id(other)])
    means = {
        id(vertex): sum(places[id(vertex)]) / len(places[id(vertex)]) if id(vertex) in places else place
        for place, vertex in enumerate(found.rows[row])
    }
    found.rows[row].sort(key=lambda vertex: means[id(vertex)])


def _crossings(found: Rows) -> int:
    """Count how often arrows cross between rows."""
    places = {id(vertex): place for row in found.rows for place, vertex in enumerate(row)}
    count = 0
    for links in found.links:
        below: list[int] = []
        for _, lower in sorted((places[id(link.upper)], places[id(link.lower)]) for link in links):
            count += len(below) - bisect_right(below, lower)
            insort(below, lower)
    return count
