"""Padding, stride and size arithmetic: the part that convolution and pooling share.

Notation of the article: an input of size n, a window of size f, padding p on each side, stride s.
The output has floor((n + 2p - f) / s) + 1 rows.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from engine.arrays import Array, Shape
from engine.errors import ShapeError
from engine.workspace import FRESH, Buffers

Pair = tuple[int, int]
PaddingSpec = Literal["valid", "same"] | tuple[Pair, Pair]
"""What a caller may ask for: a rule, or ((top, bottom), (left, right))."""


class Axis(NamedTuple):
    """One direction of a sliding window: sizes in pixels."""

    size: int
    kernel: int
    stride: int
    before: int
    after: int
    dilation: int
    round_up: bool = False
    """Whether a last window that only partly fits counts too ("ceil mode")."""

    @property
    def extent(self) -> int:
        """Pixels from the first to the last tap: f, or (f - 1) * dilation + 1."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def surrounded(self) -> int:
        """The input's size with the padding that was asked for: n + 2p."""
        return self.size + self.before + self.after

    @property
    def padded(self) -> int:
        """The input's size with its padding, and what a last window sticks out of that."""
        return max(self.surrounded, (self.output - 1) * self.stride + self.extent)

    @property
    def output(self) -> int:
        """Number of positions of the window: floor((n + 2p - f) / s) + 1.

        Rounded up it is ceil(...) + 1, but a window never starts beyond the last pixel (as in PyTorch).
        """
        return self._steps if self._overshoots else self._steps + 1

    @property
    def _steps(self) -> int:
        room = self.surrounded - self.extent
        return -(-room // self.stride) if self.round_up else room // self.stride

    @property
    def _overshoots(self) -> bool:
        """Whether the position that rounding up has added lies wholly in the padding."""
        return self.round_up and self._steps * self.stride >= self.size + self.before

    @property
    def formula(self) -> str:
        """The size formula with its numbers put in."""
        padding = f"2*{self.before}" if self.before == self.after else f"{self.before} + {self.after}"
        window = f"{self.kernel}" if self.dilation == 1 else f"({self.dilation}*({self.kernel} - 1) + 1)"
        rule = "ceil" if self.round_up else "floor"
        first = "" if self._overshoots else " + 1"
        return f"{rule}(({self.size} + {padding} - {window})/{self.stride}){first} = {self.output}"

    @property
    def taps(self) -> int:
        """Pairs of a window position and a real input pixel under it; padding is no input."""
        return self._taps_before(self.before + self.size) - self._taps_before(self.before)

    def _taps_before(self, end: int) -> int:
        """Return how many pairs of a position j and a cell i have j * stride + i * dilation < end."""
        begun = min(max(-(-end // self.stride), 0), self.output)
        whole = min(max(-(-(end - self.extent + 1) // self.stride), 0), begun)
        # position j has ceil((end - j * stride) / dilation) such cells; the last position comes first here
        last = end - (begun - 1) * self.stride
        return whole * self.kernel + sum_of_quotients(
            begun - whole, self.stride, last + self.dilation - 1, self.dilation
        )

    @property
    def cells_used(self) -> int:
        """Cells of the window that lie on a real input pixel in at least one position."""
        first = max(-(-(self.before - (self.output - 1) * self.stride) // self.dilation), 0)
        end = min((self.before + self.size - 1) // self.dilation + 1, self.kernel)
        cells = max(end - first, 0)
        if self.size >= self.stride:
            return cells
        # of those, cells step over all pixels unless (i * dilation - before) mod stride < size
        start = (first * self.dilation - self.before) % self.stride + self.stride
        reached, missed = (
            sum_of_quotients(cells, self.dilation, start - less, self.stride) for less in (0, self.size)
        )
        return reached - missed

    @property
    def unseen(self) -> int:
        """Pixels of the input after the last window's end, which no window reaches."""
        return max(0, self.size + self.before - (self.output - 1) * self.stride - self.extent)


class Window(NamedTuple):
    """A window that slides over an (H, W) map."""

    height: Axis
    width: Axis

    @property
    def output(self) -> Pair:
        """(output height, output width)."""
        return self.height.output, self.width.output

    @property
    def kernel(self) -> Pair:
        """(kernel height, kernel width)."""
        return self.height.kernel, self.width.kernel

    @property
    def is_padded(self) -> bool:
        """Whether the window leaves the map on any side."""
        return any(axis.padded > axis.size for axis in self)

    @property
    def connections(self) -> int:
        """Pairs of an output pixel and a real input pixel that it sees, in one channel."""
        return self.height.taps * self.width.taps

    @property
    def exported(self) -> dict[str, tuple[int, ...]]:
        """The window as attributes of ONNX: the pads before both axes come first, then those behind."""
        behind = [axis.padded - axis.size - axis.before for axis in self]
        return {
            "kernel_shape": self.kernel,
            "strides": (self.height.stride, self.width.stride),
            "pads": (self.height.before, self.width.before, *behind),
        }

    @property
    def formula(self) -> dict[str, str]:
        """Both size formulas with their numbers put in."""
        return {"height": self.height.formula, "width": self.width.formula}


def sum_of_quotients(count: int, step: int, start: int, divisor: int) -> int:
    """Return the sum of floor((start + i * step) / divisor) over 0 <= i < count, none of which is negative.

    It takes as long as Euclid's algorithm, however many there are: points of a grid below a line, counted by turns
    from either axis. Graham, Knuth & Patashnik 1994, "Concrete mathematics", section 3.5.
    """
    total = 0
    while count > 0:
        total += count * (count - 1) // 2 * (step // divisor) + count * (start // divisor)
        step, start = step % divisor, start % divisor
        count, start = divmod(count * step + start, divisor)
        step, divisor = divisor, step
    return total


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> Pair:
    """Return (before, after) such that ceil(size / stride) positions result.

    Where the padding is odd the extra pixel goes after, at the bottom or right, as in TensorFlow.
    """
    extent = (kernel - 1) * dilation + 1
    positions = -(-size // stride)
    total = max((positions - 1) * stride + extent - size, 0)
    return total // 2, total - total // 2


def slide(
    shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: PaddingSpec,
    dilation: Pair = (1, 1),
    *,
    round_up: bool = False,
) -> Window:
    """Return the window arithmetic of a map of `shape` (H, W, C).

    Raises:
        ShapeError: the window does not fit the padded input; `path` names the hyperparameter.
    """
    axes = []
    for axis, name in enumerate(("height", "width")):
        size, f, s, d = shape[axis], kernel[axis], stride[axis], dilation[axis]
        if padding == "valid":
            before, after = 0, 0
        elif padding == "same":
            before, after = same_padding(size, f, s, d)
        else:
            before, after = padding[axis]
        one = Axis(size, f, s, before, after, d, round_up)
        if one.extent > one.surrounded:
            raise ShapeError(
                f"a {kernel[0]}x{kernel[1]} window does not fit a {shape[0]}x{shape[1]} input"
                + (f": dilated it is {one.extent} pixels in {name}" if d > 1 else "")
                + (f", padded to {one.surrounded} in {name}" if before or after else ""),
                path=("kernel_size",),
                hint="use a smaller window, more padding, or less stride and pooling before this layer",
            )
        axes.append(one)
    return Window(axes[0], axes[1])


def pad(x: Array, window: Window, value: float = 0.0, buffers: Buffers = FRESH) -> Array:
    """Surround each map of `x` (N, H, W, C) with `value` as the window asks; `x` itself if it asks for none."""
    if not window.is_padded:
        return x
    rows, columns = window
    padded = buffers.buffer("padded", (x.shape[0], rows.padded, columns.padded, x.shape[3]), x.dtype)
    padded[:, : rows.before] = value
    padded[:, rows.before + rows.size :] = value
    padded[:, :, : columns.before] = value
    padded[:, :, columns.before + columns.size :] = value
    unpad(padded, window)[...] = x
    return padded


def unpad(padded: Array, window: Window) -> Array:
    """Return the view of `padded` without its padding, (N, H, W, C)."""
    rows, columns = window
    return padded[:, rows.before : rows.before + rows.size, columns.before : columns.before + columns.size]


def between_sides(padded: Array, window: Window) -> Array:
    """Return the view of `padded` without its padding on the left and right, (N, before + H + after, W, C)."""
    columns = window.width
    return padded[:, :, columns.before : columns.before + columns.size]


def view(padded: Array, window: Window) -> Array:
    """Return every window as a read-only view (N, OH, OW, KH, KW, C) that copies nothing."""
    n, _, _, c = padded.shape
    of_n, of_h, of_w, of_c = padded.strides
    rows, columns = window
    return np.lib.stride_tricks.as_strided(
        padded,
        (n, rows.output, columns.output, rows.kernel, columns.kernel, c),
        (
            of_n,
            of_h * rows.stride,
            of_w * columns.stride,
            of_h * rows.dilation,
            of_w * columns.dilation,
            of_c,
        ),
        writeable=False,
    )


def tap(padded: Array, window: Window, row: int, column: int) -> Array:
    """Return the writeable view (N, OH, OW, C) of the pixel that each window sees at (row, column)."""
    rows, columns = window
    top, left = row * rows.dilation, column * columns.dilation
    return padded[
        :,
        top : top + (rows.output - 1) * rows.stride + 1 : rows.stride,
        left : left + (columns.output - 1) * columns.stride + 1 : columns.stride,
    ]
