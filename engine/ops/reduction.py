"""Sums over everything but the channels."""

from __future__ import annotations

from engine.arrays import Array


def channel_sum(x: Array) -> Array:
    """Return the sum over all leading axes: (..., C) to (C,).

    First within each image, then over images: blocked summation keeps float32's rounding error at
    the square root of what one long running sum collects (Higham 1993, section 3).
    """
    each: Array = x.reshape(x.shape[0], -1, x.shape[-1]).sum(axis=1)  # (N, C)
    total: Array = each.sum(axis=0)
    return total
