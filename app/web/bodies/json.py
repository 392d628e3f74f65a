"""The one parser of JSON request bodies: RFC 8259 and no more, with numbers that a computer can hold."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from app.errors import FieldError, Invalid, Malformed

MAX_DEPTH = 64
"""Levels of nesting; the deepest useful architecture needs about a third of that."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(body: bytes) -> Any:
    """Parse a request body.

    Raises:
        Malformed: it is not JSON: broken, not UTF-8, the constants NaN or Infinity, a key given twice.
        Invalid: a number beyond the range of 64-bit floats, or nesting deeper than `MAX_DEPTH`.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"the body is not UTF-8: byte {error.start} ({error.reason})") from None
    try:
        document = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"the body is not valid JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        # Python refuses to convert integers of more digits than that; nothing else is left.
        raise Malformed("the body holds an integer of thousands of digits") from None
    if _SURROGATE.search(body):
        _refuse_surrogates(document)
    faults = [
        FieldError.at(
            keys,
            "this number is beyond the range of 64-bit floating point",
            "use a number of magnitude below 1.8e308",
        )
        for keys in _infinite(document)
    ]
    if faults:
        raise Invalid.listing(faults)
    return document


def _refuse_constant(name: str) -> Any:
    raise Malformed(f"the body is not valid JSON: {name} is no JSON number; use null or leave the key out")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"the body gives the key {json.dumps(twice)} twice in one object")
    return members


def _refuse_surrogates(document: Any) -> None:
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("the body holds half of a surrogate pair, which is no character") from None


def _infinite(document: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the place of each number that overflowed to infinity; check the depth on the way."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), [document])]
    while waiting:
        keys, container = waiting.pop()
        if len(keys) > MAX_DEPTH:
            raise _too_deep()
        members = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in members:
            if isinstance(value, dict | list):
                waiting.append(((*keys, key), value))
            elif isinstance(value, float) and math.isinf(value):
                yield (*keys, key)[1:]


def _too_deep() -> Invalid:
    return Invalid.at((), f"the body is nested more than {MAX_DEPTH} levels deep")
