"""How a batch is cut into parts, in training and in predictions."""

from __future__ import annotations

from itertools import pairwise

Cuts = list[tuple[int, int]]
"""The first picture of each share of a batch, and the one after its last."""


class ShareLost(RuntimeError):
    """Another share of the batch failed."""


def bounds(pictures: int, shares: int) -> Cuts:
    """Cut a batch into as many equal runs as there are shares, fewer if it is too small."""
    shares = min(shares, pictures)
    return list(pairwise(pictures * share // shares for share in range(shares + 1)))
