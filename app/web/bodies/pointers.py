"""JSON pointers (RFC 6901) into the document that a caller sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def locate(document: Any, location: Sequence[str | int], *, missing: bool = False) -> tuple[str | int, ...]:
    """Turn a location of pydantic's into keys of the caller's document.

    Pydantic puts the names of union members and validators among the keys. Walking the document
    along the location tells them apart: what is not there was never the caller's.

    Args:
        document: what the caller sent, parsed.
        location: keys and names, outermost first.
        missing: the last key is one that should have been there; it stays although it is not.
    """
    keys: list[str | int] = []
    here = document
    for position, key in enumerate(location):
        if _holds(here, key):
            here = here[key]
        elif not (missing and position == len(location) - 1):
            continue
        keys.append(key)
    return tuple(keys)


def _holds(value: Any, key: str | int) -> bool:
    if isinstance(key, str):
        return isinstance(value, dict) and key in value
    return isinstance(value, list) and 0 <= key < len(value)


def find(document: Any, keys: Sequence[str | int]) -> Any:
    """Return the value at these keys, None where there is none."""
    here = document
    for key in keys:
        try:
            here = here[key]
        except (KeyError, IndexError, TypeError):
            return None
    return here
