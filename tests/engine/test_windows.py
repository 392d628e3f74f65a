"""Convolution and pooling against slow loops, over sizes, strides, paddings and dilations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.errors import ShapeError
from engine.layers import Context
from engine.layers.convolution import Conv2D, DepthwiseConv2D
from engine.layers.pooling import AveragePool2D, MaxPool2D
from engine.layers.transposed import TransposedConv2D
from engine.ops import convolution, windows
from tests.engine import reference

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))
KERNELS = st.tuples(st.integers(1, 4), st.integers(1, 4))
STRIDES = st.tuples(st.integers(1, 3), st.integers(1, 3))
SIDES = st.tuples(
    st.tuples(st.integers(0, 3), st.integers(0, 3)), st.tuples(st.integers(0, 3), st.integers(0, 3))
)
DILATIONS = st.tuples(st.integers(1, 2), st.integers(1, 2))
PADDINGS = st.one_of(st.sampled_from(["valid", "same"]), SIDES)


def fitting(layer: Any, shape: tuple[int, ...]) -> windows.Window:
    """Return the layer's window, or leave the example out where it does not fit."""
    try:
        return layer.window(shape)
    except ShapeError:
        assume(False)
        raise


def sides(window: windows.Window) -> reference.Sides:
    return (window.height.before, window.height.after), (window.width.before, window.width.after)


def check_linear(layer: Any, weights: Any, x: np.ndarray, expected: np.ndarray) -> None:
    """Check a forward against loops, and the gradients of a map that is linear in input and weights."""
    context = Context(statistics="batch", records=True)
    y, saved = layer.forward(weights, x, context=context)
    assert y.shape[1:] == layer.output_shape(x.shape[1:]) == expected.shape[1:]
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    # the gradient of a linear map is its transpose: <dy, f(x)> = <dx, x>, and the same in the weights
    dy = np.random.default_rng(1).standard_normal(y.shape)
    (dx,), gradients = layer.backward(weights, saved, dy, context=context)
    without_bias = np.sum(dy * (y - weights.get("bias", 0)))
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(np.sum(dx * x), without_bias, **close)
    if weights:
        np.testing.assert_allclose(np.sum(gradients["weight"] * weights["weight"]), without_bias, **close)
        np.testing.assert_allclose(gradients["bias"], dy.sum(axis=(0, 1, 2)), **close)


def drawn(layer: Any, shape: tuple[int, ...]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    draw = np.random.default_rng(0)
    weights = {name: draw.standard_normal(spec.shape) for name, spec in layer.weights(shape).items()}
    return weights, draw.standard_normal((2, *shape))


@given(SIZES, KERNELS, STRIDES, PADDINGS, DILATIONS, st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))
def test_convolution_equals_the_loops(size, kernel, stride, padding, dilation, groups, thin, filters) -> None:
    layer = Conv2D(
        filters=filters * groups,
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    shape = (*size, thin * groups)
    window = fitting(layer, shape)
    weights, x = drawn(layer, shape)
    expected = reference.convolve(
        x, weights["weight"], weights["bias"], stride, sides(window), dilation, groups
    )
    check_linear(layer, weights, x, expected)


@given(SIZES, KERNELS, STRIDES, PADDINGS, DILATIONS, st.integers(1, 3), st.integers(1, 2))
def test_depthwise_convolution_is_that_of_as_many_groups_as_channels(
    size, kernel, stride, padding, dilation, channels, multiplier
) -> None:
    layer = DepthwiseConv2D(
        kernel_size=kernel, stride=stride, padding=padding, dilation=dilation, multiplier=multiplier
    )
    shape = (*size, channels)
    window = fitting(layer, shape)
    weights, x = drawn(layer, shape)
    expected = reference.convolve(
        x, weights["weight"], weights["bias"], stride, sides(window), dilation, channels
    )
    check_linear(layer, weights, x, expected)


@given(
    SIZES,
    KERNELS,
    STRIDES,
    PADDINGS,
    DILATIONS,
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.sampled_from([1, 3]),
    st.integers(1, 3),
)
def test_transposed_convolution_equals_the_loops(
    size, kernel, stride, padding, dilation, output_padding, channels, groups
) -> None:
    layer = TransposedConv2D(
        filters=2 * groups,
        groups=groups,
        kernel_size=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        output_padding=output_padding,
    )
    shape = (*size, channels * groups)
    window = fitting(layer, shape)
    if padding == "same":
        assert layer.output_shape(shape)[:2] == (size[0] * stride[0], size[1] * stride[1])
    weights, x = drawn(layer, shape)
    expected = reference.convolve_transposed(
        x,
        weights["weight"],
        weights["bias"],
        stride,
        sides(window),
        layer.output_shape(shape)[:2],
        dilation,
        groups,
    )
    check_linear(layer, weights, x, expected)


@given(SIZES, KERNELS, STRIDES, PADDINGS, DILATIONS, st.booleans())
def test_max_pool_equals_the_loops(size, kernel, stride, padding, dilation, ceil_mode) -> None:
    layer = MaxPool2D(
        pool_size=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    shape = (*size, 2)
    window = fitting(layer, shape)
    x = np.random.default_rng(0).permutation(2 * 2 * size[0] * size[1]).reshape(2, *shape) - 100.0
    context = Context(statistics="batch", records=True)
    y, saved = layer.forward({}, x, context=context)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    (dx,), _ = layer.backward({}, saved, dy, context=context)
    expected = np.zeros_like(x)
    cells = reference.windows(x, kernel, stride, sides(window), dilation, round_up=ceil_mode)
    assert len(cells) == y.size
    for (image, row, column, channel), pixels, _ in cells:
        assert y[image, row, column, channel] == max(pixels)
        expected[image, :, :, channel][x[image, :, :, channel] == max(pixels)] += dy[
            image, row, column, channel
        ]
    np.testing.assert_allclose(dx, expected, atol=1e-12)


@given(SIZES, KERNELS, STRIDES, PADDINGS, DILATIONS, st.booleans(), st.booleans())
def test_average_pool_equals_the_loops(
    size, kernel, stride, padding, dilation, count_padding, ceil_mode
) -> None:
    layer = AveragePool2D(
        pool_size=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        count_padding=count_padding,
        ceil_mode=ceil_mode,
    )
    shape = (*size, 2)
    window = fitting(layer, shape)
    x = np.random.default_rng(0).standard_normal((2, *shape))
    expected = np.full((2, *layer.output_shape(shape)), np.nan)
    cells = reference.windows(x, kernel, stride, sides(window), dilation, round_up=ceil_mode)
    for cell, pixels, covered in cells:
        expected[cell] = sum(pixels) / (covered if count_padding else len(pixels))
    check_linear(layer, {}, x, expected)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 5), st.integers(1, 3))
def test_same_padding_gives_the_ceiling_and_the_odd_pixel_goes_after(size, kernel, stride, dilation) -> None:
    before, after = windows.same_padding(size, kernel, stride, dilation)
    axis = windows.Axis(size, kernel, stride, before, after, dilation)
    if axis.extent <= axis.padded:
        assert axis.output == -(-size // stride)
    assert after - before in (0, 1)


@given(
    st.integers(1, 12),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(1, 5),
    st.booleans(),
)
def test_taps_count_the_pixels_under_the_window(
    size, kernel, stride, before, after, dilation, round_up
) -> None:
    axis = windows.Axis(size, kernel, stride, before, after, dilation, round_up)
    assume(axis.extent <= axis.surrounded)
    counted = [
        sum(0 <= position * stride - before + cell * dilation < size for position in range(axis.output))
        for cell in range(kernel)
    ]
    assert axis.taps == sum(counted)
    assert axis.cells_used == np.count_nonzero(counted)


@pytest.mark.parametrize("kind", [MaxPool2D, AveragePool2D])
def test_a_window_that_could_see_nothing_but_padding_is_refused(kind: Any) -> None:
    spread = kind(pool_size=(2, 1), dilation=(4, 1), padding=((2, 2), (0, 0)), stride=1)
    with pytest.raises(ShapeError, match="a dilation of 4 with 3 pixels between padding") as caught:
        spread.output_shape((3, 3, 1))
    assert caught.value.path == ("dilation",)
    assert spread.output_shape((4, 3, 1)) == (4, 3, 1)
    with pytest.raises(ShapeError, match="padding of 5 with a window of 5"):
        kind(pool_size=3, dilation=2, padding=5).output_shape((9, 9, 1))


def test_a_tie_sends_its_gradient_to_one_cell() -> None:
    layer = MaxPool2D(pool_size=2)
    context = Context(statistics="batch", records=True)
    _, saved = layer.forward({}, np.zeros((1, 2, 2, 1), np.float32), context=context)
    (dx,), _ = layer.backward({}, saved, np.ones((1, 1, 1, 1), np.float32), context=context)
    assert dx.ravel().tolist() == [1, 0, 0, 0]


def test_max_pool_pads_with_minus_infinity_not_zero() -> None:
    y, _ = MaxPool2D(pool_size=3, stride=1, padding=1).forward(
        {}, np.full((1, 3, 3, 1), -5.0, np.float32), context=Context()
    )
    assert (y == -5).all()


def test_a_window_over_256_cells_remembers_its_winner() -> None:
    layer = MaxPool2D(pool_size=20)
    x = np.arange(400.0).reshape(1, 20, 20, 1)
    context = Context(statistics="batch", records=True)
    _, saved = layer.forward({}, x, context=context)
    (dx,), _ = layer.backward({}, saved, np.ones((1, 1, 1, 1)), context=context)
    assert np.flatnonzero(dx).tolist() == [399]


def test_tiles_of_a_large_batch_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Conv2D(filters=3, kernel_size=3, padding="same")
    draw = np.random.default_rng(0)
    x = draw.standard_normal((7, 6, 5, 2))
    weights = {name: draw.standard_normal(spec.shape) for name, spec in layer.weights((6, 5, 2)).items()}

    def run() -> list[np.ndarray]:
        context = Context(statistics="batch", records=True)
        y, saved = layer.forward(weights, x, context=context)
        (dx,), gradients = layer.backward(weights, saved, np.cos(y), context=context)
        return [y, dx, gradients["weight"], gradients["bias"]]

    whole = run()
    monkeypatch.setattr(convolution, "_TILE_BYTES", 2 * 30 * 18 * 8)  # two pictures at a time
    for tiled, expected in zip(run(), whole, strict=True):
        np.testing.assert_allclose(tiled, expected, rtol=1e-12, atol=1e-12)
