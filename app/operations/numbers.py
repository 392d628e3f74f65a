"""Nested lists of numbers to arrays, and where in them a fault is."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Invalid, shorten

Keys = tuple[str | int, ...]


def array(value: Any, place: Keys, axes: Sequence[int]) -> NDArray[np.float64]:
    """Return nested lists as an array.

    Args:
        value: a number, or lists of numbers, as JSON has them.
        place: where it stands in the body.
        axes: how many levels of lists there may be.

    Raises:
        Invalid: lists of unequal length, an empty one, something that is no finite number, another number of levels.
    """
    shape: list[int] = []
    inner = value
    while isinstance(inner, list):
        if not inner:
            raise Invalid.at((*place, *[0] * len(shape)), "this list is empty", "write at least one number")
        shape.append(len(inner))
        inner = inner[0]
        if len(shape) > max(axes):
            break
    if len(shape) not in axes:
        found = f"more than {max(axes)}" if len(shape) > max(axes) else str(len(shape))
        raise Invalid.at(place, f"lists that are nested {found} deep", f"nest lists {_either(axes)} deep")
    members: list[Any] = [value]
    for depth, size in enumerate(shape):
        for number, member in enumerate(members):
            if not isinstance(member, list):
                raise _no_list(member, _place(place, shape[:depth], number))
            if len(member) != size:
                raise Invalid.at(
                    _place(place, shape[:depth], number),
                    f"a list of {len(member)} beside lists of {size}",
                    "give all lists of one level the same length",
                )
        members = [inner for member in members for inner in member]
    for number, member in enumerate(members):
        if isinstance(member, bool) or not isinstance(member, int | float):
            raise _no_number(member, _place(place, shape, number))
    try:
        return np.array(members, np.float64).reshape(shape)
    except OverflowError:
        number = next(number for number, member in enumerate(members) if abs(member) > sys.float_info.max)
        raise Invalid.at(
            _place(place, shape, number),
            "this number is beyond the range of 64-bit floating point",
            "use a number of magnitude below 1.8e308",
        ) from None


def narrowed(numbers: NDArray[np.float64], place: Keys) -> NDArray[np.float32]:
    """Return numbers in 32 bits.

    Raises:
        Invalid: one is too large for them.
    """
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    if not np.isfinite(narrow).all():
        detail = "a number is beyond the range of 32-bit floating point"
        raise Invalid.at(place, detail, "use numbers of magnitude below 3.4e38")
    return narrow


def written(shape: Sequence[int]) -> str:
    """Write a shape as NumPy does: (3, 3, 1, 2)."""
    return str(tuple(shape))


def _place(place: Keys, shape: Sequence[int], number: int) -> Keys:
    """Return the keys of a member by its number among all of its level."""
    keys: list[int] = []
    for size in reversed(shape):
        number, key = divmod(number, size)
        keys.append(key)
    return (*place, *reversed(keys))


def _no_list(member: Any, place: Keys) -> Invalid:
    return Invalid.at(
        place, f"{quoted(member)} beside lists", "nest all lists equally deep: (H, W), (H, W, C) or (C)"
    )


def _no_number(member: Any, place: Keys) -> Invalid:
    if isinstance(member, list):
        return Invalid.at(place, "a list beside numbers", "nest all lists equally deep")
    return Invalid.at(place, f"{quoted(member)} is no number", "write a finite number")


def quoted(value: Any) -> str:
    """Write a value of a body for an error: as JSON has it, cut where it is long."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return "an object" if isinstance(value, dict) else shorten(json.dumps(value, ensure_ascii=False), 80)


def _either(axes: Sequence[int]) -> str:
    *first, last = map(str, axes)
    return f"{', '.join(first)} or {last}" if first else last
