"""Slow, plain loops that the engine is tested against; nothing in the product imports them."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Sides = tuple[tuple[int, int], tuple[int, int]]


def convolve(
    x: Array,
    weight: Array,
    bias: Array,
    stride: tuple[int, int],
    padding: Sides,
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> Array:
    """Cross-correlate (N, H, W, C) with (KH, KW, C / groups, F), cell by cell."""
    (top, bottom), (left, right) = padding
    n, h, w, channels = x.shape
    kh, kw, thin, filters = weight.shape
    assert thin * groups == channels
    oh = (h + top + bottom - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (w + left + right - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, oh, ow, filters))
    for image, row, column, f in itertools.product(range(n), range(oh), range(ow), range(filters)):
        total = bias[f]
        first = f // (filters // groups) * thin
        for i, j in itertools.product(range(kh), range(kw)):
            r, c = row * stride[0] + i * dilation[0] - top, column * stride[1] + j * dilation[1] - left
            if 0 <= r < h and 0 <= c < w:
                for channel in range(thin):
                    total += x[image, r, c, first + channel] * weight[i, j, channel, f]
        y[image, row, column, f] = total
    return y


def convolve_transposed(
    x: Array,
    weight: Array,
    bias: Array,
    stride: tuple[int, int],
    padding: Sides,
    size: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
) -> Array:
    """Stamp (KH, KW, C / groups, F) on maps of `size` for each pixel of (N, H, W, C)."""
    (top, _), (left, _) = padding
    n, h, w, channels = x.shape
    kh, kw, thin, filters = weight.shape
    y = np.zeros((n, *size, filters)) + bias
    pixels = itertools.product(range(n), range(h), range(w), range(channels))
    for (image, row, column, channel), i, j in itertools.product(pixels, range(kh), range(kw)):
        r, c = row * stride[0] + i * dilation[0] - top, column * stride[1] + j * dilation[1] - left
        if 0 <= r < size[0] and 0 <= c < size[1]:
            group, own = divmod(channel, thin)
            for f in range(group * filters // groups, (group + 1) * filters // groups):
                y[image, r, c, f] += x[image, row, column, channel] * weight[i, j, own, f]
    return y


def positions(size: int, extent: int, stride: int, before: int, after: int, round_up: bool) -> int:
    """Count the places of a window by trying them: each begins in the map or the padding before it."""
    count, start = 0, -before
    while True:
        fits = start + extent <= size + after
        sticks_out = round_up and start < size and start < size + after
        if not fits and not (sticks_out and start - stride + extent < size + after):
            return count
        count, start = count + 1, start + stride


def windows(
    x: Array,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: Sides,
    dilation: tuple[int, int] = (1, 1),
    *,
    round_up: bool = False,
) -> list[tuple[tuple[int, ...], list[float], int]]:
    """List, for each output cell (n, row, column, channel), the real pixels under its window.

    And how many cells of the padded map the window covers.
    """
    (top, bottom), (left, right) = padding
    n, h, w, c = x.shape
    oh = positions(h, (size[0] - 1) * dilation[0] + 1, stride[0], top, bottom, round_up)
    ow = positions(w, (size[1] - 1) * dilation[1] + 1, stride[1], left, right, round_up)
    found = []
    for image, row, column, channel in itertools.product(range(n), range(oh), range(ow), range(c)):
        cells = [
            (r, k)
            for i, j in itertools.product(range(size[0]), range(size[1]))
            if (r := row * stride[0] + i * dilation[0] - top) < h + bottom
            and (k := column * stride[1] + j * dilation[1] - left) < w + right
        ]
        pixels = [x[image, r, k, channel] for r, k in cells if 0 <= r < h and 0 <= k < w]
        found.append(((image, row, column, channel), pixels, len(cells)))
    return found


def bilinear(line: Array, factor: int) -> Array:
    """Enlarge a line of numbers, each new one between the two old ones whose centres surround its own."""
    enlarged = []
    for number in range(len(line) * factor):
        centre = min(max((number + 0.5) / factor - 0.5, 0), len(line) - 1)
        left = int(centre)
        right = min(left + 1, len(line) - 1)
        enlarged.append(line[left] * (1 - (centre - left)) + line[right] * (centre - left))
    return np.array(enlarged)


def numeric_gradient(function, array: Array, dy: Array, step: float = 1e-6) -> Array:  # type: ignore[no-untyped-def]
    """Central differences of sum(function() * dy) in every cell of `array`, which is changed in place."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = float(np.sum(function() * dy))
        array[index] = kept - step
        below = float(np.sum(function() * dy))
        array[index] = kept
        gradient[index] = (above - below) / (2 * step)
    return gradient


def resample(images: Array, maps: Array, fill: str) -> Array:
    """Look each pixel (N, H, W, C) up through its map (N, 3, 3), bilinearly, one at a time."""
    n, h, w, _ = images.shape
    y = np.zeros_like(images)

    def pixel(image: int, row: int, column: int) -> Array:
        if fill == "edge":
            row, column = min(max(row, 0), h - 1), min(max(column, 0), w - 1)
        elif fill == "reflect":
            row = (h - 1) - abs(h - 1 - row % (2 * (h - 1)))
            column = (w - 1) - abs(w - 1 - column % (2 * (w - 1)))
        elif not (0 <= row < h and 0 <= column < w):
            return np.zeros(images.shape[3])
        return images[image, row, column]

    for image, row, column in itertools.product(range(n), range(h), range(w)):
        seen = maps[image] @ [column - (w - 1) / 2, row - (h - 1) / 2, 1]
        x_place, y_place = seen[0] + (w - 1) / 2, seen[1] + (h - 1) / 2
        left, top = int(np.floor(x_place)), int(np.floor(y_place))
        right, down = x_place - left, y_place - top
        y[image, row, column] = (
            (1 - down) * (1 - right) * pixel(image, top, left)
            + (1 - down) * right * pixel(image, top, left + 1)
            + down * (1 - right) * pixel(image, top + 1, left)
            + down * right * pixel(image, top + 1, left + 1)
        )
    return y
