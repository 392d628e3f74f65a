"""What a kernel is: how a convolution is computed, forward and backward, tile by tile."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from engine.arrays import Array, Shape
from engine.fast.layout.places import Call, Place
from engine.ops.windows import Window


class Case(NamedTuple):
    """What a kernel has to do."""

    batch: int
    window: Window
    weight: Shape
    """(KH, KW, channels that a filter sees, O)."""
    channels: int
    training: bool
    """Whether it has new filters at every step, or takes them once and for all."""
    wants_dx: bool = False
    """Whether the gradient of the input is wanted; only in training."""
    wants_dw: bool = False
    """Whether the gradient of the filters is wanted; only in training."""
    pooled: bool = False
    """Whether 2x2 max-pooling of stride 2 follows."""

    @property
    def filters(self) -> int:
        """Channels of the output."""
        return self.weight[3]

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel has a filter of its own."""
        return self.channels > 1 and self.weight[2] == 1

    @property
    def sides(self) -> set[tuple[int, int, int, int, int]]:
        """Kernel, stride, padding before and after, and dilation: one such thing where height and width are alike."""
        return {(axis.kernel, axis.stride, axis.before, axis.after, axis.dilation) for axis in self.window}


class Kernel(Protocol):
    """Computes a convolution, and in its case a 2x2 maximum; a tile is `tile` images, which divides the batch.

    What is not wanted is not computed: without `Case.wants_dw` there is no dW, and nothing is kept for it.
    """

    name: str
    tile: int

    def prepare(self, weight: Array, bias: Array | None) -> list[Call]:
        """Take filters (KH, KW, C, O), and what is added to each output channel (O,), which stay where they are.

        Returns what to call, after `bind`, whenever their numbers have changed.
        """

    def prepare_backward(self, weight: Array) -> None:
        """Take filters for dX, and begin a new dW."""

    @property
    def entry(self) -> Place | None:
        """Where a tile is put before anything else is done with it, or all tiles; None if it is used as it lies."""

    @property
    def margins(self) -> Array:
        """Where a tile is put, with the padding above and below: (T, before + H + after, W, C)."""

    def bind(self, tile: slice, x: Array, y: Place) -> list[Call]:
        """Return what computes x (T, H, W, C), the pictures `tile` of the batch, into y (T, OH, OW, O).

        Both stay where they are; y is halved by a pool. In training what the way back needs is kept.
        """

    def backward(self, tile: slice, x: Array, dy: Array, dx: Array | None) -> None:
        """Add the pictures `tile` of the batch to dW, and give their dX, each if it is wanted."""

    def weight_gradient(self, dweight: Array) -> None:
        """Write dW (KH, KW, C, O) of all tiles since `prepare_backward`."""


class InputGradient(Protocol):
    """Computes dX of one tile."""

    def prepare(self, weight: Array) -> None:
        """Take filters (KH, KW, C, O)."""

    def run(self, dy: Array, dx: Array) -> None:
        """Turn dy (T, OH, OW, O) into dx (T, H, W, C)."""
