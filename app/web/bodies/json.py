"""The one parser of JSON request bodies: RFC 8259 and no more, with numbers that a computer can hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from app.errors import MOST_FIELDS, FieldError, Invalid, Malformed, TooLarge, shorten

MAX_DEPTH = 64
"""Levels of nesting; the deepest useful architecture needs about a third of that."""

MAX_CONTAINERS = 30_000
"""Objects and lists in one body: the largest network that is taken has 10,000 layers."""
MAX_VALUES = 100_000
"""Values in one body; a picture of 180 x 180 pixels in three colours has as many numbers."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


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
        Invalid: a number beyond the range of 64-bit floats, or nesting deeper than `MAX_DEPTH`.
        TooLarge: more values, objects or lists than that; they are counted before anything is parsed.
    """
    # Signs in strings are counted as well; texts with so many of them are nobody's.
    if body.count(b"{") + body.count(b"[") > containers:
        raise TooLarge(f"{called} has more than {containers:,} objects and lists, the most that are taken")
    if body.count(b",") >= values:
        raise TooLarge(f"{called} has more than {values:,} values, the most that are taken")
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
    if _SURROGATE.search(body):
        _refuse_surrogates(called, document)
    faults = [
        FieldError.at(
            keys,
            "this number is beyond the range of 64-bit floating point",
            "use a number of magnitude below 1.8e308",
        )
        for keys in islice(_infinite(called, document), MOST_FIELDS)
    ]
    if faults:
        raise Invalid.listing(faults)
    return document


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


def _refuse_surrogates(called: str, document: Any) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed(f"{called} holds half of a surrogate pair, which is no character") from None


def _infinite(called: str, document: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of each number that overflowed to infinity; check the depth on the way."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), [document])]
    while waiting:
        keys, container = waiting.pop()
        if len(keys) > MAX_DEPTH:
            raise _too_deep(called)
        members = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in members:
            if isinstance(value, dict | list):
                waiting.append(((*keys, key), value))
            elif isinstance(value, float) and math.isinf(value):
                yield (*keys, key)[1:]


def _too_deep(called: str) -> Invalid:
    return Invalid.at((), f"{called} is nested more than {MAX_DEPTH} levels deep")
