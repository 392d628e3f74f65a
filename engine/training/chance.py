"""What chance makes of counts: intervals of shares, and whether two models differ by more than it."""

from __future__ import annotations

import math

import numpy as np

_Z = 1.959964
"""Of a normal distribution 95 % lie within so many deviations."""


def wilson(right: int, of: int) -> tuple[float, float] | None:
    """Return where a share lies with a probability of 95 %, least and greatest; None of nothing.

    Wilson 1927, Probable inference, the law of succession, and statistical inference: unlike the share plus or minus
    some deviations it holds for few pictures, and for a share of 0 or 1.
    """
    if not of:
        return None
    share, square = right / of, _Z * _Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, round(middle - half, 4)), min(1.0, round(middle + half, 4))


def mcnemar(only_first: int, only_second: int) -> float:
    """Return how probable it is that two equally good models differ at least so much.

    McNemar 1947, Note on the sampling error of the difference between correlated proportions: pictures that both are
    right or wrong about say nothing. Each of the others is as likely to be the first's as the second's, so that their
    number is binomial: p = min(1, 2 sum_{i <= k} C(n, i) / 2^n), exactly, with n of them and k the smaller share.

    Args:
        only_first: how many pictures only the first is right about.
        only_second: how many only the second is right about.
    """
    n, k = only_first + only_second, min(only_first, only_second)
    steps = np.arange(k)
    # log C(n, i) from one to the next: numbers as large as these are not to be written out
    logs = np.concatenate([[0.0], np.cumsum(np.log(n - steps) - np.log1p(steps))]) - n * math.log(2)
    largest = logs.max()
    return min(1.0, 2 * float(np.exp(largest) * np.exp(logs - largest).sum()))
