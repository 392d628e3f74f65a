"""The one parser of JSON request bodies: RFC 8259 and no more, with numbers that a computer can hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from app.errors import MOST_FIELDS, FieldError, Invalid, Malformed, TooLarge, shorten
from app.text import has_controls_but_lines

MAX_DEPTH = 64
"""Levels of nesting; the deepest useful architecture needs about a third of that."""

MAX_CONTAINERS = 30_000
"""Objects and lists in one body: the largest network that is taken has 10,000 layers."""
MAX_VALUES = 100_000
"""Values in one body; a picture of 180 x 180 pixels in three colours has as many numbers."""

MAX_KEYS = 100_000
"""Keys of all objects of one body."""

_VALUE_BYTES, _KEY_BYTES, _CONTAINER_BYTES = 80, 300, 250
"""What each takes at most, as measured: a key with its value, in a list at first; a container with its place."""
_WIDEST = 4
"""Bytes of each character of a text that has one from beyond the first planes."""

_SURROGATE = re.compile("[\ud800-\udfff]")

_Place = tuple["_Place | None", str | int]
"""The place of a container, and a key in it."""


def parse(
    body: bytes, *, values: int = MAX_VALUES, containers: int = MAX_CONTAINERS, called: str = "the body"
) -> Any:
    """Parse a request body, or a field of one.

    Args:
        body: the bytes.
        values: how many values are taken.
        containers: how many objects and lists.
        called: what errors call it.

    Raises:
        Malformed: it is not JSON: broken, not UTF-8, the constants NaN or Infinity, a key given twice.
        Invalid: a number beyond the range of 64-bit floats, a text with control characters or changes of the direction
            of writing (`app.text`), or nesting deeper than `MAX_DEPTH`.
        TooLarge: more values, objects or lists than that, or keys than `MAX_KEYS`; they are counted before anything is
            parsed.
    """
    # Signs in strings are counted as well; texts with so many of them are nobody's.
    for count, most, what in (
        (body.count(b"{") + body.count(b"["), containers, "objects and lists"),
        (body.count(b",") + 1, values, "values"),
        (body.count(b":"), MAX_KEYS, "keys"),
    ):
        if count > most:
            raise TooLarge(f"{called} has more than {most:,} {what}, the most that are taken")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{called} is not UTF-8: byte {error.start} ({error.reason})") from None
    try:
        document = json.loads(
            text,
            parse_constant=partial(_refuse_constant, called),
            object_pairs_hook=partial(_unique_keys, called),
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"{called} is not valid JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise _too_deep(called) from None
    except ValueError:
        # Python refuses to convert integers of more digits than that; nothing else is left.
        raise Malformed(f"{called} holds an integer of thousands of digits") from None
    faults = [
        FieldError.at(
            keys,
            "this number is beyond the range of 64-bit floating point",
            "use a number of magnitude below 1.8e308",
        )
        for keys in islice(_infinite(called, document), MOST_FIELDS)
    ]
    # Anything else is written with a backslash or more than ASCII: most bodies are not gone through.
    if b"\\" in body or b"\x7f" in body or not body.isascii():
        faults += [
            FieldError.at(
                keys,
                "it holds control characters, or characters that change the direction of writing",
                "leave them out; tabs and line ends are fine in texts of several lines",
            )
            for keys in islice(_controlled(called, document), MOST_FIELDS)
        ]
    if faults:
        raise Invalid.listing(faults)
    return document


def parsed_bytes(body: bytes) -> int:
    """Return how many bytes of memory `parse` takes at most for a body, beside the body: for its text and its values.

    A text takes as much for each character as for its widest. One with escapes grows while it is put together.
    """
    plain, escapes = body.isascii(), b"\\" in body
    text = len(body) * (1 if plain else _WIDEST)
    strings = len(body) * (1 if plain and b"\\u" not in body else _WIDEST)
    return (
        text * (2 if escapes else 1)
        + strings
        + _VALUE_BYTES * body.count(b",")
        + _KEY_BYTES * body.count(b":")
        + _CONTAINER_BYTES * (body.count(b"{") + body.count(b"["))
    )


def _refuse_constant(called: str, name: str) -> Any:
    raise Malformed(f"{called} is not valid JSON: {name} is no JSON number; use null or leave the key out")


def _unique_keys(called: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                break
            seen.add(name)
        raise Malformed(f"{called} gives the key {json.dumps(shorten(name, 80))} twice in one object")
    return members


def _infinite(called: str, document: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of each number that overflowed to infinity; check the depth on the way."""
    for place, container in _containers(called, document):
        for key, value in _members(container):
            if isinstance(value, float) and math.isinf(value):
                yield _keys((place, key))


def _controlled(called: str, document: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of each text that holds what no text may; of a key that of its object, which can be shown."""
    for place, container in _containers(called, document):
        for key, value in _members(container):
            for text, at in ((key, place), (value, (place, key))):
                if isinstance(text, str):
                    if _SURROGATE.search(text):
                        raise Malformed(f"{called} holds half of a surrogate pair, which is no character")
                    if has_controls_but_lines(text):
                        yield _keys(at)


def _containers(called: str, document: Any) -> Iterator[tuple[_Place | None, dict[str, Any] | list[Any]]]:
    """Yield a list that holds the document, and then each object and list in it with its place."""
    waiting: list[tuple[int, _Place | None, Any]] = [(0, None, [document])]
    while waiting:
        depth, place, container = waiting.pop()
        if depth > MAX_DEPTH:
            raise _too_deep(called)
        yield place, container
        waiting += [
            (depth + 1, (place, key), value)
            for key, value in _members(container)
            if isinstance(value, dict | list)
        ]


def _members(container: dict[str, Any] | list[Any]) -> Iterable[tuple[str | int, Any]]:
    return container.items() if isinstance(container, dict) else enumerate(container)


def _keys(place: _Place | None) -> tuple[str | int, ...]:
    """Return the keys that lead from the document to a place."""
    keys = []
    while place is not None:
        place, key = place
        keys.append(key)
    return tuple(reversed(keys[:-1]))


def _too_deep(called: str) -> Invalid:
    return Invalid.at((), f"{called} is nested more than {MAX_DEPTH} levels deep")
