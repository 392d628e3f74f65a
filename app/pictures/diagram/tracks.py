"""How arrows run between two rows: down, across on a track of their own, and down again."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from app.pictures.diagram.layers import Link

_NEAR = 4
"""Pixels between two lines that would be taken for one."""


def assign(links: Sequence[Link]) -> dict[str, int]:
    """Return the track of each arrow that runs across, by source, from 0 at the top.

    The pieces of one arrow share a track. Two arrows share one where they are apart; an arrow that comes down where
    another goes down is above it.
    """
    groups: dict[str, list[Link]] = defaultdict(list)
    for link in links:
        groups[link.source].append(link)
    spans = {source: span for source, group in groups.items() if (span := _span(group))}
    above = dict(_constraints(groups, spans))
    tracks: dict[str, int] = {}
    taken: list[list[tuple[float, float]]] = []
    for source in _sorted(_preferred(groups, spans), above):
        lowest = max((tracks[other] + 1 for other in above.get(source, ()) if other in tracks), default=0)
        left, right = spans[source]
        track = lowest
        while track < len(taken) and any(
            left <= end + _NEAR and begin <= right + _NEAR for begin, end in taken[track]
        ):
            track += 1
        if track >= len(taken):
            taken += [[] for _ in range(track + 1 - len(taken))]
        taken[track].append((left, right))
        tracks[source] = track
    return tracks


def _span(group: Sequence[Link]) -> tuple[float, float] | None:
    """Return from where to where an arrow runs across, None if it only goes straight down."""
    places = [place for link in group for place in (link.begin, link.end)]
    span = min(places), max(places)
    return span if span[1] - span[0] >= 1 else None


def _constraints(
    groups: Mapping[str, Sequence[Link]], spans: Mapping[str, tuple[float, float]]
) -> Iterator[tuple[str, list[str]]]:
    """Yield for each arrow those that have to be above it: they start where it ends."""
    begins = sorted((groups[source][0].begin, source) for source in spans)
    places = [begin for begin, _ in begins]
    for source in spans:
        found = []
        for link in groups[source]:
            first, last = _range(places, link.end)
            found += [other for _, other in begins[first:last] if other != source]
        yield source, found


def _range(places: Sequence[float], x: float) -> tuple[int, int]:
    return bisect_left(places, x - _NEAR), bisect_right(places, x + _NEAR)


def _preferred(groups: Mapping[str, Sequence[Link]], spans: Iterable[str]) -> list[str]:
    """Return the arrows that run across in an order in which few cross: of two to the right, the right one first."""

    def key(source: str) -> tuple[bool, float]:
        begin = groups[source][0].begin
        leftwards = sum(link.end - begin for link in groups[source]) < 0
        return leftwards, begin if leftwards else -begin

    return sorted(spans, key=key)


def _sorted(order: Iterable[str], above: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the arrows such that each comes after those above it; a circle is broken where it is met."""
    done: dict[str, None] = {}
    open_: set[str] = set()
    for first in order:
        stack = [first]
        while stack:
            source = stack[-1]
            if source in done:
                stack.pop()
                continue
            open_.add(source)
            waiting = [other for other in above[source] if other not in done and other not in open_]
            if waiting:
                stack.append(waiting[0])
            else:
                done[source] = None
                stack.pop()
    return list(done)
