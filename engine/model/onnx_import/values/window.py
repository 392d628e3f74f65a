"""The attributes of sliding windows, as convolutions and pools share them."""

from __future__ import annotations

from typing import NamedTuple

from engine.arrays import Shape
from engine.model.onnx_import.values.call import Call
from engine.model.onnx_import.values.value import Computed, Unsupported

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]


class Sliding(NamedTuple):
    """A window, for height and width."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Sides
    """((top, bottom), (left, right)); of a transposed convolution what is cut off."""
    extra: Pair
    """What a transposed convolution adds at the bottom and on the right."""

    @property
    def is_padded(self) -> bool:
        """Whether there is any padding."""
        return any(map(any, self.padding))


def sliding(call: Call, value: Computed, kernel: Shape, *, spreads: bool = False) -> Sliding:
    """Read the attributes of a window over the axes after the second; one over a single axis has a height of 1.

    Args:
        call: the node.
        value: what the window slides over.
        kernel: its size, by axis.
        spreads: whether it is that of a transposed convolution.

    Raises:
        Unsupported: more axes than two, pads below 0, or a rule of padding that does not exist.
    """
    count = len(kernel)
    if not 1 <= count <= 2 or len(value.shape) != count + 2:
        raise Unsupported(f"a window over height and width, where the tensor has {len(value.shape)} axes")
    stated = call.attribute("kernel_shape", kernel)
    strides = call.attribute("strides", (1,) * count)
    dilations = call.attribute("dilations", (1,) * count)
    pads = call.attribute("pads", (0,) * 2 * count)
    extra = call.attribute("output_padding", (0,) * count)
    if (len(strides), len(dilations), len(pads), len(extra), stated) != (
        count,
        count,
        2 * count,
        count,
        kernel,
    ):
        raise Unsupported("attributes of a window that fit its filters and the axes of the map")
    rule = call.attribute("auto_pad", "NOTSET")
    if rule not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"one of the rules of padding and not auto_pad {rule!r}")
    same, upper = rule.startswith("SAME"), rule == "SAME_UPPER"
    sides = list(zip(pads[:count], pads[count:], strict=True)) if rule == "NOTSET" else [(0, 0)] * count
    directions = list(zip(value.shape[2:], kernel, strides, dilations, strict=True))
    if same and not spreads:
        sides = [
            _halves(max((-(-size // s) - 1) * s + (f - 1) * d + 1 - size, 0), upper=upper)
            for size, f, s, d in directions
        ]
    if spreads and (same or call.has("output_shape")):
        outputs = call.attribute("output_shape", tuple(size * s for size, _, s, _ in directions))[-count:]
        sides = [
            _halves((size - 1) * s + (f - 1) * d + 1 + more - output, upper=upper)
            for (size, f, s, d), more, output in zip(directions, extra, outputs, strict=True)
        ]
    if spreads:
        # where less than nothing is to be cut off something is added
        extra = tuple(more + max(-after, 0) for more, (_, after) in zip(extra, sides, strict=True))
        sides = [(before, max(after, 0)) for before, after in sides]
    if any(side < 0 for both in sides for side in both):
        raise Unsupported("pads of at least 0")
    if count == 1:
        return Sliding((1, kernel[0]), (1, strides[0]), (1, dilations[0]), ((0, 0), sides[0]), (0, extra[0]))
    return Sliding(
        (kernel[0], kernel[1]),
        (strides[0], strides[1]),
        (dilations[0], dilations[1]),
        (sides[0], sides[1]),
        (extra[0], extra[1]),
    )


def _halves(total: int, *, upper: bool) -> Pair:
    small = total // 2
    return (small, total - small) if upper else (total - small, small)
