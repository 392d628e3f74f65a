"""Bodies of requests to compute single layers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from engine.layers.base import Statistics
from engine.layers.parameters import Activation, Padding
from engine.spec import Flag, NonNegativeInt, Seed, Size2D, Spec, Stride2D, describe

Numbers = Annotated[
    list[Any],
    Field(
        description="Numbers of a map, as lists (H, W) or (H, W, C), or of a vector (C). A map (H, W) has one channel; "
        "what comes of it is also (H, W) where it has one channel."
    ),
]


class WeightsRequest(Spec):
    """Arrays by their names, such as `weight` and `bias`; of a block also where they are, `body/conv2d_1/weight`.

    Axes of length 1 at the end can be left out, so that one filter of one channel is (f, f). What is not given is
    drawn from `seed`, as the first weights of a network would be.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=describe)

    seed: Seed = 0
    """What weights that are not given are drawn from, and what dropout drops."""

    @property
    def arrays(self) -> dict[str, Any]:
        """The arrays that are given."""
        return dict(self.model_extra or {})


Position = Annotated[list[NonNegativeInt], Field(min_length=1, max_length=3)]


class TraceRequest(Spec):
    """Which numbers of the output to take apart."""

    positions: list[Position] = Field(min_length=1, max_length=256, examples=[[[0, 1, 0]]])
    """[row, column, channel] of a map, where the channel can be left out if there is one; [index] of a vector."""


class _Traced(Spec):
    """What requests have that can ask for traces."""

    trace: Flag | TraceRequest = Field(False, examples=[True])
    """Asks for the arithmetic of single numbers: true for the first ones, at most 64, or their positions."""

    @property
    def trace_positions(self) -> bool | list[Position]:
        """The positions that are asked for; true for the first ones."""
        return self.trace.positions if isinstance(self.trace, TraceRequest) else self.trace


class Pictured(Spec):
    """What requests have that take a picture in place of numbers."""

    image: Annotated[str, Field(min_length=1)] | None = None
    """A picture file in base64, in place of `input`: pixels from 0 to 255 as (H, W, 3), or (H, W) of a grey one."""
    channels: Literal[1, 3] | None = None
    """Makes the picture grey, 1, or coloured, 3; by default it stays what it is."""
    scale: Annotated[float, Field(strict=True, allow_inf_nan=False)] = 1.0
    """What the pixels are multiplied by first, such as 0.00392157 for 1/255."""


class OperationRequest(_Traced, Pictured):
    """One layer or block, and what to apply it to.

    Numbers are computed with in 64-bit floating point, pictures in 32-bit.
    """

    input: Numbers | None = Field(None, examples=[[[1, 2], [3, 4]]])
    """The input."""
    inputs: list[Numbers] | None = Field(None, min_length=1, max_length=64)
    """Several inputs, for layers that take them: in place of `input`."""
    layer: dict[str, Any] = Field(default_factory=dict)
    """The layer's hyperparameters, without its `type`."""
    weights: WeightsRequest = WeightsRequest()
    """What the layer has learned."""
    statistics: Statistics = "running"
    """Which mean and variance batch normalisation uses, and whether dropout drops: `running` as in inference, `batch`
    as in training, where this input is the whole batch."""
    output_gradient: Literal["ones"] | Numbers | None = None
    """Gradient of the output, dL/dy: asks for those of the inputs and weights. `ones` is that of the sum."""


class ConvolveRequest(_Traced, Pictured):
    """A picture and a filter."""

    input: Numbers | None = Field(None, examples=[[[1, 2], [3, 4]]])
    """The picture as numbers."""
    kernel: str | list[Any] = Field(examples=["vertical_edge"])
    """The filter: a name, or numbers. One of (f, f) is applied to each channel by itself; one of (f, f, C) to all
    channels together, whose products are summed to one channel."""
    padding: Padding = "valid"
    """Zeros around the picture, p."""
    stride: Stride2D = (1, 1)
    """Pixels from one position of the window to the next, s."""
    dilation: Size2D = (1, 1)
    """Pixels from one cell of the filter to the next."""
    bias: Annotated[float, Field(strict=True)] = 0.0
    """A number that is added to each sum, b."""
    activation: Activation | None = None
    """The article's psi, applied to each number at the end."""
    flip: Flag = False
    """Whether the filter is turned by 180 degrees first: convolution as mathematics defines it. In the article, and in
    all of this field, it is not."""
