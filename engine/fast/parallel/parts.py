"""How a batch is cut into parts, in training and in predictions."""

from __future__ import annotations

from itertools import pairwise


class ShareLost(RuntimeError):
    """Another share of the batch failed."""


def bounds(pictures: int, shares: int) -> list[tuple[int, int]]:
    """Cut a batch into as many equal runs as there are shares, fewer if it is too small."""
    shares = min(shares, pictures)
    return list(pairwise(pictures * share // shares for share in range(shares + 1)))
