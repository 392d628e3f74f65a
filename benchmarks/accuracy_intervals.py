"""Intervals of a mean over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
"""97.5 % quantile of Student's t, by the number of runs."""


def half_width(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of the mean."""
    return STUDENT[len(values)] * statistics.stdev(values) / math.sqrt(len(values))


def interval(shares: Sequence[float]) -> str:
    """Return the mean of some shares in percent, with its interval where there is more than one."""
    mean = f"{100 * statistics.mean(shares):.1f}"
    return f"{mean} ± {100 * half_width(shares):.1f} %" if len(shares) > 1 else f"{mean} %"
