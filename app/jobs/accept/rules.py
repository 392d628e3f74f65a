"""What is chosen for those who give only pictures, each choice by a rule with its reason."""

from __future__ import annotations

SIDES = {224: 50.0, 160: 26.0, 128: 16.0, 96: 9.0}
"""Sides of square pictures, and milliseconds that the features of one take (MobileNetV2, one core without AVX-512)."""
_PATIENCE_MS = 30_000.0


def picture_side(pictures: int, side: int) -> tuple[int, str]:
    """Return the side that pictures are scaled to for transfer, and why.

    Larger pictures show more, as long as they are that large and looking at all of them takes less than half a minute.

    Args:
        pictures: how many there are.
        side: the median of their shorter sides.
    """
    least = min(SIDES)
    quick = max((size for size, cost in SIDES.items() if pictures * cost <= _PATIENCE_MS), default=least)
    enough = min((size for size in SIDES if size >= side), default=max(SIDES))
    if enough < quick:
        return enough, f"the pictures are about {side} pixels high or wide"
    if quick < max(SIDES):
        return quick, f"there are {pictures} pictures, and larger ones would take long to look at"
    return quick, "the pretrained model has learned on pictures of this size"
