"""Words in boxes: their size, and where lines are broken."""

from __future__ import annotations

from collections.abc import Sequence

from app.pictures.font import width

FONT_SIZE = 11
LINE = 15
"""Pixels from one line to the next."""
_WIDEST = 190
"""Pixels beyond which a line is broken, where it can be."""


def wrapped(pieces: Sequence[str], joint: str) -> list[str]:
    """Return pieces joined to lines; a piece that is wider than a line has one of its own."""
    lines: list[str] = []
    for piece in pieces:
        longer = f"{lines[-1]}{joint}{piece}" if lines else piece
        if lines and width(longer, FONT_SIZE) <= _WIDEST:
            lines[-1] = longer
        else:
            if lines:
                lines[-1] += joint.rstrip()
            lines.append(piece)
    return lines
