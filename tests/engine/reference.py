"""Slow, plain loops that the engine is tested against; nothing in the product imports them."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Sides = tuple[tuple[int, int], tuple[int, int]]


def convolve(
    x: Array, weight: Array, bias: Array, stride: tuple[int, int], padding: Sides, dilation: tuple[int, int]
) -> Array:
    """Cross-correlate (N, H, W, C) with (KH, KW, C, F), cell by cell."""
    (top, bottom), (left, right) = padding
    n, h, w, _ = x.shape
    kh, kw, _, filters = weight.shape
    oh = (h + top + bottom - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (w + left + right - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    y = np.zeros((n, oh, ow, filters))
    for image, row, column, f in itertools.product(range(n), range(oh), range(ow), range(filters)):
        total = bias[f]
        for i, j in itertools.product(range(kh), range(kw)):
            r, c = row * stride[0] + i * dilation[0] - top, column * stride[1] + j * dilation[1] - left
            if 0 <= r < h and 0 <= c < w:
                for channel in range(x.shape[3]):
                    total += x[image, r, c, channel] * weight[i, j, channel, f]
        y[image, row, column, f] = total
    return y


def windows(
    x: Array, size: tuple[int, int], stride: tuple[int, int], padding: Sides
) -> list[tuple[tuple[int, ...], list[float]]]:
    """List, for each output cell (n, row, column, channel), the real pixels under its window."""
    (top, bottom), (left, right) = padding
    n, h, w, c = x.shape
    oh = (h + top + bottom - size[0]) // stride[0] + 1
    ow = (w + left + right - size[1]) // stride[1] + 1
    found = []
    for image, row, column, channel in itertools.product(range(n), range(oh), range(ow), range(c)):
        pixels = [
            x[image, r, k, channel]
            for i, j in itertools.product(range(size[0]), range(size[1]))
            if 0 <= (r := row * stride[0] + i - top) < h and 0 <= (k := column * stride[1] + j - left) < w
        ]
        found.append(((image, row, column, channel), pixels))
    return found


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
