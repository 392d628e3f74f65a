"""From numbers to bytes: one range for all numbers of a file, and none that is guessed where several would fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import Invalid

OVERSHOOT = 0.1
"""How far numbers may lie beyond their range, as a share of it: cubic and Lanczos filters overshoot at edges by up to
about so much (Turkowski 1990, Filters for Common Resampling Tasks)."""
DARK = 1 / 8
"""A file whose greatest number is a smaller share of its range is more likely of another range than that dark."""


@dataclass(frozen=True, slots=True)
class _Range:
    """Numbers from `least` to `greatest` become 0 to 255."""

    least: float
    greatest: float

    @property
    def name(self) -> str:
        return f"{self.least:g}..{self.greatest:g}"

    def holds(self, least: float, greatest: float) -> bool:
        slack = OVERSHOOT * (self.greatest - self.least)
        return self.least - slack <= least and greatest <= self.greatest + slack


_UNIT, _BYTES, _WORDS = _Range(0, 1), _Range(0, 255), _Range(0, 65535)
_SIGNED = _Range(-1, 1)
_LEAST_OF_SIGNED = -0.75
"""A file of -1..1 in which nothing is darker than that is more likely one of another range, such as -0.5..0.5."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How the numbers of a file become bytes.

    Attributes:
        note: which range was taken for theirs, for the report; None where their type says it.
    """

    offset: float
    factor: float
    note: str | None = None

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the values as bytes, rounded; what lies outside of the range is clipped."""
        if values.dtype == np.uint8 and self.factor == 1:
            return values
        scaled = (values.astype(np.float64) - self.offset) * self.factor
        return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def choose_scale(what: str, dtypes: Sequence[np.dtype[Any]], chunks: Iterable[NDArray[Any]]) -> Scale:
    """Choose one scale for all arrays of a file, by their types and the least and the greatest of all their numbers.

    Truth values become 0 and 255, and so do integers that are all 0 or 1. Other bytes stay as they are. All other
    numbers have no range of their own: 0..1, -1..1, 0..255 and 0..65535 are recognised, and a file that none of them
    fits well is refused, for it would become black, washed out or clipped.

    Args:
        what: what messages call the arrays.
        dtypes: their types.
        chunks: all their numbers; read only as far as they are needed.

    Raises:
        Invalid: the numbers have no known range, some are not finite, or the arrays hold different kinds of numbers.
    """
    kinds = {_kind(dtype) for dtype in dtypes}
    if len(kinds) > 1:
        listed = ", ".join(sorted(map(str, set(dtypes))))
        raise Invalid(
            f"{what} hold different kinds of numbers ({listed}), which cannot be scaled alike; save them as one type",
            code="unusable-arrays",
        )
    (kind,) = kinds
    if kind == "truth values":
        return Scale(0, 255)
    least, greatest = _extremes(what, chunks, stop=1 if set(dtypes) == {np.dtype(np.uint8)} else None)
    if kind == "integers" and least >= 0 and greatest <= 1:
        return _scale(_UNIT, what, least, greatest)
    if set(dtypes) == {np.dtype(np.uint8)}:
        return Scale(0, 1)
    for candidate in (_BYTES, _WORDS) if kind == "integers" else (_UNIT, _BYTES, _WORDS):
        if candidate.holds(least, greatest) and greatest >= DARK * candidate.greatest:
            return _scale(candidate, what, least, greatest)
    if kind != "integers" and _SIGNED.holds(least, greatest) and least <= _LEAST_OF_SIGNED:
        return _scale(_SIGNED, what, least, greatest)
    raise Invalid(
        f"{what} go from {least:g} to {greatest:g}, which fills none of the ranges that are read; scale them to 0..255 "
        "as uint8, or to 0..1, -1..1 or 0..65535",
        code="unusable-arrays",
    )


def _kind(dtype: np.dtype[Any]) -> str:
    return {"b": "truth values", "f": "fractions"}.get(dtype.kind, "integers")


def _extremes(what: str, chunks: Iterable[NDArray[Any]], stop: float | None) -> tuple[float, float]:
    """Return the least and the greatest number, or those found until one is greater than `stop`."""
    least, greatest = np.inf, -np.inf
    for chunk in chunks:
        low, high = float(chunk.min()), float(chunk.max())
        # A number that is not one makes both ends of its chunk so.
        if not (np.isfinite(low) and np.isfinite(high)):
            raise Invalid(f"{what} hold numbers that are not finite", code="unusable-arrays")
        least, greatest = min(least, low), max(greatest, high)
        if stop is not None and greatest > stop:
            break
    return least, greatest


def _scale(chosen: _Range, what: str, least: float, greatest: float) -> Scale:
    note = f"{what} go from {least:g} to {greatest:g} and were read as {chosen.name}"
    if least < chosen.least or greatest > chosen.greatest:
        note += "; what lies outside was clipped"
    return Scale(chosen.least, 255 / (chosen.greatest - chosen.least), note)
