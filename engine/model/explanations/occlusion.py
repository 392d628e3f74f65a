"""Explanations by covering parts of the picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from engine.arrays import Array, Shape
from engine.errors import EngineError
from engine.graph.network import Network
from engine.model.explanations.base import Baseline, Explained, Explanation, Passes, Steps
from engine.model.explanations.score import Score

_Pixels = Annotated[int, Field(ge=1, le=2048)]


class Window(NamedTuple):
    """A square of the picture, cut where the picture ends."""

    rows: slice
    columns: slice


class Occlusion(Explanation):
    """How much the score falls when a square of the picture is covered.

    The square moves over the picture; a pixel gets the mean of the falls over all squares that covered it. Negative
    values are where the score rises. It asks nothing of the network but its score, and sees only what one square can
    hide: of two things each of which is enough, it finds neither.
    """

    type: Literal["occlusion"] = "occlusion"
    window: _Pixels | None = None
    """Side of the square, in pixels of the picture as the model sees it; by default an eighth of its shorter side."""
    stride: _Pixels | None = None
    """Pixels from one place of the square to the next, at most its side; by default half of its side."""
    baseline: Baseline = "mean"
    """What the square is filled with: `mean` is that of the training pictures."""

    examples: ClassVar = ({"type": "occlusion"}, {"type": "occlusion", "window": 6, "stride": 3})
    formula: ClassVar = "M_ij = mean over the squares W with ij in W of (S(x) - S(x without W))"
    source: ClassVar = (
        "Zeiler & Fergus 2014, Visualizing and understanding convolutional networks, section 4.2"
    )
    signed: ClassVar = True
    per_channel: ClassVar = False
    lower: ClassVar = "use a larger `window` or `stride`, or send fewer pictures"

    def check(self, network: Network) -> None:
        window, stride = self.sizes(network.input_shape)
        sides = min(network.input_shape[:2])
        if window > sides:
            raise EngineError(
                f"a square of {window} pixels does not fit the picture, whose shorter side has {sides}",
                path=("window",),
                hint=f"use at most {sides}",
            )
        if stride > window:
            raise EngineError(
                f"steps of {stride} pixels leave out parts of the picture: the square has {window}",
                path=("stride",),
                hint=f"use at most {window}",
            )

    def sizes(self, shape: Shape) -> tuple[int, int]:
        """Return the side of the square and the stride for pictures of a shape (H, W, C)."""
        window = self.window or max(1, round(min(shape[:2]) / 8))
        return window, self.stride or max(1, window // 2)

    def windows(self, shape: Shape) -> Iterator[Window]:
        """Yield every place of the square on pictures of a shape (H, W, C), row by row."""
        window, stride = self.sizes(shape)
        rows, columns = (
            [slice(first, min(first + window, side)) for first in _starts(side, window, stride)]
            for side in shape[:2]
        )
        return (Window(row, column) for row in rows for column in columns)

    def passes(self, network: Network) -> Passes:
        window, stride = self.sizes(network.input_shape)
        down, right = (len(_starts(side, window, stride)) for side in network.input_shape[:2])
        return Passes(down * right + 1)

    def explain(self, score: Score, x: Array) -> Steps:
        actual = float(score.of(x[np.newaxis])[0])
        yield None
        cover = score.plain(self.baseline).astype(x.dtype)
        windows = list(self.windows(x.shape))
        falls, covered = np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
        for part in score.batches(len(windows)):
            batch = np.repeat(x[np.newaxis], part.stop - part.start, axis=0)
            for picture, window in zip(batch, windows[part], strict=True):
                picture[window] = cover
            for value, window in zip(score.of(batch), windows[part], strict=True):
                falls[window] += actual - float(value)
                covered[window] += 1
            yield None
        values = (falls / covered)[:, :, np.newaxis].astype(x.dtype)
        yield Explained(actual, values, {"windows": len(windows)})


def _starts(side: int, window: int, stride: int) -> range:
    """Return where squares begin on a side, such that every pixel is covered; the last one can be cut."""
    count = -(-(side - window) // stride) + 1
    return range(0, count * stride, stride)
