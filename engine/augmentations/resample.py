"""Pictures seen through affine maps: one pass over the batch, whatever made the maps."""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Indices
from engine.augmentations.base import Fill
from engine.workspace import FRESH, Buffers


def resample(
    images: Array, maps: Array, fill: Fill = "black", *, exact: bool = False, buffers: Buffers = FRESH
) -> Array:
    """Return each picture as seen through its map.

    Between pixels the result is bilinear: the mean of the four pixels around, each weighted by how near it is.

    Args:
        images: (N, H, W, C), bytes or float32.
        maps: (N, 3, 3), from (x, y, 1) in the result to its place in the picture; 0 is the middle of the picture.
        fill: what is seen where the picture ends.
        exact: the maps send pixels to pixels without turning the picture; the bytes stay what they are.
        buffers: where results live.

    Returns:
        (N, H, W, C), float32, or of the dtype of `images` if `exact`.
    """
    height, width = images.shape[1:3]
    x = np.arange(width) - (width - 1) / 2
    y = np.arange(height) - (height - 1) / 2
    centre = ((width - 1) / 2, (height - 1) / 2)
    # where the pixel (row, column) of the result comes from, as a sum of a part by column and a part by row
    by_column = maps[:, :2, :1] * x  # (N, 2, W)
    by_row = maps[:, :2, 1:2] * y + maps[:, :2, 2:] + np.array(centre)[:, np.newaxis]  # (N, 2, H)
    if exact:
        return _gather(
            images, by_column[:, 0], by_row[:, 1], (by_row[:, 0, 0], by_column[:, 1, 0]), fill, buffers
        )
    return _interpolate(images, by_column.astype(np.float32), by_row.astype(np.float32), fill, buffers)


def _gather(
    images: Array,
    x: Array,
    y: Array,
    origin: tuple[Array, Array],
    fill: Fill,
    buffers: Buffers,
) -> Array:
    """Take pixels: column x + origin[0] and row y + origin[1], each as long as the picture is."""
    count, height, width, channels = images.shape
    columns = _inside(x + origin[0][:, np.newaxis], width, fill)  # (N, W), whole numbers
    rows = _inside(y + origin[1][:, np.newaxis], height, fill)  # (N, H)
    padded = buffers.scratch("padded", (count, height + 3, width + 3, channels), images.dtype)
    _put(padded, images)
    base = np.arange(count)[:, np.newaxis] * (height + 3)
    starts = (base + rows.astype(np.int64)) * (width + 3)  # (N, H)
    index = buffers.scratch("index", images.shape[:3], np.int64)
    np.add(starts[:, :, np.newaxis], columns.astype(np.int64)[:, np.newaxis, :], out=index)
    out = buffers.buffer("resampled", images.shape, images.dtype)
    return np.take(padded.reshape(-1, channels), index, axis=0, out=out, mode="clip")


def _interpolate(images: Array, by_column: Array, by_row: Array, fill: Fill, buffers: Buffers) -> Array:
    count, height, width, channels = images.shape
    grid = (count, height, width)
    index = buffers.scratch("index", grid, np.int64)
    whole = buffers.scratch("whole", grid, np.int64)
    fractions = []
    index[...] = np.arange(count).reshape(-1, 1, 1) * (height + 3)
    for axis, size in ((1, height), (0, width)):
        place = buffers.scratch(f"place {axis}", grid, np.float32)
        np.add(by_row[:, axis, :, np.newaxis], by_column[:, axis, np.newaxis, :], out=place)
        place = _inside(place, size, fill, place)
        rounded = np.floor(place, out=buffers.scratch("tap 0", grid, np.float32))
        place -= rounded
        np.copyto(whole, rounded, casting="unsafe")
        index += whole
        if axis == 1:
            index *= width + 3
        fractions.append(place)
    down, right = fractions
    # channel by channel, so that all work is on long rows of numbers
    plane = buffers.scratch("plane", (count, height + 3, width + 3), np.float32)
    out = buffers.buffer("resampled float", images.shape, np.float32)
    upper, lower, other = (buffers.scratch(f"tap {tap}", grid, np.float32) for tap in range(3))
    for channel in range(channels):
        _put(plane, images[..., channel])
        flat = plane.reshape(-1)
        _take_between(flat, index, 0, right, upper, other)
        _take_between(flat, index, width + 3, right, lower, other)
        lower -= upper
        lower *= down
        np.add(upper, lower, out=out[..., channel])
    return out


def _take_between(flat: Array, index: Indices, offset: int, right: Array, out: Array, other: Array) -> None:
    """Set out to flat[index + offset] + right * (the pixel to the right of it - it)."""
    np.take(flat[offset:], index, out=out, mode="clip")
    np.take(flat[offset + 1 :], index, out=other, mode="clip")
    other -= out
    other *= right
    out += other


def _inside(place: Array, size: int, fill: Fill, out: Array | None = None) -> Array:
    """Move places into a picture with one pixel of black before it and two after, by the rule of `fill`."""
    if fill == "black":
        place = np.clip(place, -1, size, out=out)
    elif fill == "edge":
        place = np.clip(place, 0, size - 1, out=out)
    else:
        # up to the last pixel and back again
        last = max(size - 1, 1)
        place = np.mod(place, 2 * last, out=out)
        place -= last
        place = np.abs(place, out=out)
        np.subtract(last, place, out=place)
        place = np.clip(place, 0, size - 1, out=place)
    place += 1
    return place


def _put(padded: Array, images: Array) -> None:
    """Copy pictures (N, H, W, ...) into the room that `_inside` counts in."""
    height, width = images.shape[1:3]
    padded[:, 0] = 0
    padded[:, height + 1 :] = 0
    padded[:, :, 0] = 0
    padded[:, :, width + 1 :] = 0
    padded[:, 1 : height + 1, 1 : width + 1] = images
