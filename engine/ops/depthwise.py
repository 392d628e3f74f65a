"""Depthwise convolution: one filter for each channel, which sees that channel alone.

y[x, y, c] = sum over i, j of K[i, j, c] * a[s*x + i - p, s*y + j - p, c]

It is the convolution of as many groups as channels (Chollet 2016, "Xception"; Howard et al. 2017, "MobileNets",
section 3.1). Its matrices would be a column wide, so whole maps are multiplied and added instead, once
for each cell of the filter.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.ops import windows
from engine.ops.reduction import channel_sum
from engine.ops.windows import Window
from engine.workspace import Buffers


def applies(channels: int, weight: Array) -> bool:
    """Return whether filters (KH, KW, 1, C) are one for each of `channels`."""
    return channels > 1 and weight.shape[2:] == (1, channels)


def convolve(padded: Array, weight: Array, window: Window, y: Array, buffers: Buffers) -> None:
    """Write the maps of the padded images (N, H, W, C) to `y` (N, OH, OW, C)."""
    share = buffers.scratch("share", y.shape, y.dtype)
    y[...] = 0
    for row, column in np.ndindex(window.kernel):
        tap, factors = windows.tap(padded, window, row, column), weight[row, column, 0]
        if window.width.stride == 1:
            # (N, OH, OW*C): a loop over the few channels of a picture alone would be too short
            tap, factors = tap.reshape(*tap.shape[:2], -1), np.tile(factors, tap.shape[2])
        np.multiply(tap, factors, out=share.reshape(tap.shape))
        y += share


def convolve_backward(
    padded: Array,
    weight: Array,
    dy: Array,
    window: Window,
    dweight: Array | None,
    dpadded: Array | None,
    buffers: Buffers,
) -> None:
    """Write the gradient of the filters to `dweight`, and add that of the padded images to `dpadded`, where given."""
    share = buffers.scratch("share", dy.shape, dy.dtype)
    for row, column in np.ndindex(window.kernel):
        if dweight is not None:
            np.multiply(windows.tap(padded, window, row, column), dy, out=share)
            dweight[row, column, 0] = channel_sum(share)
        if dpadded is not None:
            np.multiply(dy, weight[row, column, 0], out=share)
            target = windows.tap(dpadded, window, row, column)
            target += share
