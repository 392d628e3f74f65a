"""Where things stand in their rows: as straight below one another as their widths allow."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from app.pictures.diagram.layers import Link, Rows, Vertex

_BETWEEN = 18
"""Pixels between neighbours in a row."""
_BETWEEN_PORTS = 28
"""Pixels between the heads of two arrows, where there is space."""
_EDGE = 8
"""Pixels that heads keep from the sides of a box."""
_ASIDE = 8
"""Pixels from the middle of a box at which a single arrow still comes in straight."""
_CHAIN, _JOIN, _FORK, _PASS = 1e4, 1e2, 1.0, 1e-4
"""How much a piece of an arrow is to be straight: the only one between two boxes or points most of all."""
_BOX_WEIGHT, _LANE_WEIGHT, _POINT_WEIGHT = 1e4, 1e2, 1.0
"""How much each keeps its place where there is not enough space."""


def place(found: Rows) -> None:
    """Give every vertex its x: first below what it reads, then between all neighbours, then long arrows straight."""
    strengths = _strengths(found)
    for row in found.rows:
        spread(row, [0.0] * len(row), [1.0] * len(row))
    downwards, upwards = range(len(found.rows)), range(len(found.rows) - 1, -1, -1)
    for order, below in ((downwards, False), (upwards, True), (downwards, True), (upwards, True)):
        _sweep(found, order, strengths, below=below)
    for _ in range(2):
        _straighten(found)
    for row in found.rows:
        for vertex in row:
            vertex.x = math.floor(vertex.x + 0.52)  # halves, and what is nearly a half, to one side
    _place_ports(found)


def _strengths(found: Rows) -> dict[int, float]:
    """Return how much each piece of an arrow is to be straight, by its id."""
    ends = Counter(source for source, _, _ in found.ways)
    strengths = {}
    for links in found.links:
        begun = Counter((id(link.upper), link.source) for link in links)
        ended = Counter(id(link.lower) for link in links)
        for link in links:
            if begun[id(link.upper), link.source] == ended[id(link.lower)] == 1:
                strength = _CHAIN
            elif ends[link.source] == 1:
                strength = _JOIN
            else:
                strength = _PASS if link.upper.item is None is link.lower.item else _FORK
                if link.lower.item is None or (link.upper.item is None and ended[id(link.lower)] > 1):
                    strength = _PASS
            strengths[id(link)] = strength
    return strengths


def _sweep(found: Rows, order: Iterable[int], strengths: dict[int, float], *, below: bool) -> None:
    """Move each row in turn to where its neighbours above, and those below if that is asked for, want it."""
    for number in order:
        wishes: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for link in found.links[number - 1] if number else ():
            shift = link.lower.ports.get((link.source, link.number), 0) if link.lower.fixed else 0
            wishes[id(link.lower)].append((link.begin - shift, strengths[id(link)]))
        for link in found.links[number] if below and number < len(found.links) else ():
            shift = link.upper.outlets.get(link.source, 0)
            end = link.end if link.lower.fixed else link.lower.x
            wishes[id(link.upper)].append((end - shift, strengths[id(link)]))
        row = found.rows[number]
        wanted = [_mean(wishes[id(vertex)], vertex.x) for vertex in row]
        spread(row, wanted, [_POINT_WEIGHT if vertex.item is None else _BOX_WEIGHT for vertex in row])


def _mean(wishes: Sequence[tuple[float, float]], otherwise: float) -> float:
    total = sum(weight for _, weight in wishes)
    return sum(wish * weight for wish, weight in wishes) / total if total else otherwise


def _straighten(found: Rows) -> None:
    """Move each long arrow as far out as the widest row that it passes."""
    wanted: dict[int, float] = {}
    side: dict[int, int] = {}
    for row in found.rows:
        boxes = [place for place, vertex in enumerate(row) if vertex.item is not None]
        middle = sum(boxes) / len(boxes) if boxes else len(row) / 2
        side |= {id(vertex): 1 if place > middle else -1 for place, vertex in enumerate(row)}
    for lane in found.lanes:
        right = sum(side[id(vertex)] for vertex in lane) > 0
        x = (max if right else min)(vertex.x for vertex in lane)
        wanted |= {id(vertex): x for vertex in lane}
    for row in found.rows:
        weights = [
            _BOX_WEIGHT
            if vertex.item is not None
            else _LANE_WEIGHT
            if id(vertex) in wanted
            else _POINT_WEIGHT
            for vertex in row
        ]
        spread(row, [wanted.get(id(vertex), vertex.x) for vertex in row], weights)


def _place_ports(found: Rows) -> None:
    """Let arrows come into a box side by side; a single one, or one from just above it, straight if it can."""
    incoming: dict[int, list[Link]] = defaultdict(list)
    for links in found.links:
        for link in links:
            if link.lower.item is not None and not link.lower.fixed:
                incoming[id(link.lower)].append(link)
    for links in incoming.values():
        links.sort(key=lambda link: (link.begin, link.number))
        vertex = links[0].lower
        half = vertex.right - _EDGE
        between = min(_BETWEEN_PORTS, 2 * half / max(len(links) - 1, 1))
        shifts = [between * place for place in range(len(links))]
        near = min(half, between * len(links) / 2)
        wanted = [min(max(link.begin - vertex.x, -near), near) for link in links]
        if len(links) == 1 and abs(links[0].begin - vertex.x) > _ASIDE:
            wanted = [0.0]
        places = isotonic(wanted, shifts, [1.0] * len(links))
        for link, place, shift in zip(links, places, shifts, strict=True):
            inside = min(max(place - shift, -half), half - shifts[-1])
            vertex.ports[link.source, link.number] = round(inside + shift)


def spread(row: Sequence[Vertex], wanted: Sequence[float], weights: Sequence[float]) -> None:
    """Put neighbours as near to where they want to be as leaves space between them, in the order that they have."""
    shifts = [0.0] * min(1, len(row))
    for left, right in pairwise(row):
        shifts.append(shifts[-1] + left.right + _BETWEEN + right.left)
    for vertex, x in zip(row, isotonic(wanted, shifts, weights), strict=True):
        vertex.x = x


def isotonic(wanted: Sequence[float], shifts: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return places that come nearest to those wanted, each as far from the first as `shifts` says or farther.

    The least sum of squares under these bounds: isotonic regression by pooling adjacent violators (Barlow et al. 1972).
    """
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, count
    for wish, shift, weight in zip(wanted, shifts, weights, strict=True):
        total, heavy, count = (wish - shift) * weight, weight, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / heavy:
            before = pools.pop()
            total, heavy, count = total + before[0], heavy + before[1], count + before[2]
        pools.append((total, heavy, count))
    values = [total / weight for total, weight, count in pools for _ in range(count)]
    return [value + shift for value, shift in zip(values, shifts, strict=True)]
