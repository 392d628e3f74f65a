"""Weights that are stretched over a map: a number for each channel or one for all, for each pixel or one for all."""

from __future__ import annotations

from engine.arrays import Array, Shape, Weights
from engine.layers.base import Axis, Layer, WeightSpec, require_map
from engine.layers.export import Constant, per_channel
from engine.layers.trace import Position
from engine.spec import Flag


class StretchedLayer(Layer):
    """What layers with such weights share."""

    shared: Flag = False
    """Whether all channels have one number together."""
    per_pixel: Flag = False
    """Whether each pixel of a map has numbers of its own."""

    def output_shape(self, *inputs: Shape) -> Shape:
        self.weight_shape(inputs[0])
        return inputs[0]

    def weight_shape(self, shape: Shape) -> Shape:
        """Return the shape of the weights: (C,) or (1,), per pixel (H, W, C) or (H, W, 1); raises ShapeError."""
        channels = 1 if self.shared else shape[-1]
        if not self.per_pixel:
            return (channels,)
        require_map(shape, f"{self.type} with numbers for each pixel")
        return (*shape[:2], channels)

    def weight(self, shape: Shape, start: float) -> WeightSpec:
        """Return a weight for inputs of a shape, all of which starts from one number and does not decay."""
        axes: tuple[Axis, ...] = ("height", "width", "channels")
        numbers = self.weight_shape(shape)
        return WeightSpec(numbers, axes[-len(numbers) :], start, self.trainable, decays=False)


def number_at(array: Array, position: Position) -> float:
    """Return the number that goes with a position of the input."""
    place = position[-array.ndim :]
    return float(array[tuple(min(at, size - 1) for at, size in zip(place, array.shape, strict=True))])


def exported(weights: Weights, name: str, shape: Shape) -> Constant:
    """Return a weight such that ONNX stretches it over inputs of this shape."""
    array = weights[name]
    if array.ndim == 1:
        return per_channel(array, shape, name)
    return Constant(array.transpose(2, 0, 1), name)
