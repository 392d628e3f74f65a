"""Maps padded, shrunk, enlarged and rearranged, against slow loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.errors import ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.layers import Context
from engine.layers.pooling import GlobalMaxPool2D
from engine.layers.resampling import AdaptiveAveragePool2D
from engine.layers.reshape import Flatten, Pad2D, Reshape
from engine.layers.upsampling import Upsample2D
from tests.engine import reference

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 7))
SIDE = st.integers(0, 4)


def check(layer: Any, x: np.ndarray, expected: np.ndarray) -> None:
    """Check a linear map without weights: what it gives, and that its gradient is its transpose."""
    context = Context(statistics="batch", records=True)
    y, saved = layer.forward({}, x, context=context)
    assert y.shape[1:] == layer.output_shape(x.shape[1:])
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    dy = np.random.default_rng(1).standard_normal(y.shape)
    (dx,), _ = layer.backward({}, saved, dy, context=context)
    other = np.random.default_rng(2).standard_normal(x.shape)
    forward = layer.forward({}, other, context=Context())[0]
    np.testing.assert_allclose(np.sum(dx * other), np.sum(dy * forward), rtol=1e-9, atol=1e-9)


def maps(size: tuple[int, int], channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, *size, channels))


@given(SIZES, st.tuples(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE)))
@pytest.mark.parametrize(
    ("mode", "known"),
    [("constant", "constant"), ("reflect", "reflect"), ("replicate", "edge"), ("wrap", "wrap")],
)
def test_padding_equals_that_of_numpy(mode, known, size, sides) -> None:
    layer, x = Pad2D(padding=sides, mode=mode), maps(size)
    most = {"reflect": -1, "wrap": 0}.get(mode, 9)
    if any(max(side) > n + most for side, n in zip(sides, size, strict=True)):
        with pytest.raises(ShapeError, match="to mirror" if mode == "reflect" else "to repeat") as caught:
            layer.output_shape(x.shape[1:])
        assert caught.value.path == ("padding",)
        assume(False)
    check(layer, x, np.pad(x, ((0, 0), *sides, (0, 0)), mode=known))


def test_padding_of_older_documents_is_read() -> None:
    old = Pad2D.model_validate({"padding": 1, "mode": "zero"})
    assert old == Pad2D.model_validate({"padding": 1})
    assert old.mode == "constant"


def test_padding_holds_any_number() -> None:
    x = maps((2, 3))
    y, _ = Pad2D(padding=((1, 0), (0, 2)), value=-7.5).forward({}, x, context=Context())
    np.testing.assert_array_equal(y, np.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=-7.5))


@given(SIZES, SIZES)
def test_adaptive_average_equals_the_loops(size, bins) -> None:
    x = maps(size)
    expected = np.empty((2, *bins, 2))
    for row, column in np.ndindex(bins):
        top, bottom = math.floor(row * size[0] / bins[0]), math.ceil((row + 1) * size[0] / bins[0])
        left, right = math.floor(column * size[1] / bins[1]), math.ceil((column + 1) * size[1] / bins[1])
        expected[:, row, column] = x[:, top:bottom, left:right].mean(axis=(1, 2))
    check(AdaptiveAveragePool2D(output_size=bins), x, expected)


@given(st.integers(1, 40), st.integers(1, 40))
def test_adaptive_average_knows_what_it_sees(size, bins) -> None:
    lengths = [math.ceil((at + 1) * size / bins) - math.floor(at * size / bins) for at in range(bins)]
    layer, shape = AdaptiveAveragePool2D(output_size=(bins, 1)), (size, 3, 2)
    assert layer.connections(shape) == sum(lengths) * 3 * 2
    assert layer.reach(shape).size == (max(lengths), 3)


@given(SIZES, st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_enlarging_equals_the_loops(size, factor) -> None:
    x = maps(size)
    check(Upsample2D(factor=factor), x, x.repeat(factor[0], axis=1).repeat(factor[1], axis=2))
    tall = np.apply_along_axis(reference.bilinear, 1, x, factor[0])
    expected = np.apply_along_axis(reference.bilinear, 2, tall, factor[1])
    check(Upsample2D(factor=factor, mode="bilinear"), x, expected)


def test_a_reshaped_map_is_read_in_the_order_of_flatten() -> None:
    x = maps((2, 3), 4)
    flat, _ = Flatten().forward({}, x, context=Context())
    back, _ = Reshape(shape=(2, 3, 4)).forward({}, flat, context=Context())
    np.testing.assert_array_equal(back, x)
    with pytest.raises(ShapeError, match=r"24 numbers of 2x3x4 .* 5x5x1, which has 25") as caught:
        Reshape(shape=(5, 5, 1)).output_shape((2, 3, 4))
    assert caught.value.path == ("shape",)


def test_a_global_maximum_sends_its_gradient_to_one_pixel() -> None:
    context = Context(statistics="batch", records=True)
    y, saved = GlobalMaxPool2D().forward({}, np.full((1, 2, 3, 2), 7.0), context=context)
    assert y.tolist() == [[7, 7]]
    (dx,), _ = GlobalMaxPool2D().backward({}, saved, np.array([[1.0, 5.0]]), context=context)
    assert dx.reshape(6, 2).tolist() == [[1, 5], *[[0, 0]] * 5]


def test_enlarging_divides_the_jump() -> None:
    layers = [
        {"type": "conv2d", "filters": 1, "kernel_size": 3, "stride": 2},
        {"type": "upsample2d", "factor": 4},
        {"type": "conv2d", "filters": 1, "kernel_size": 3},
        {"type": "transposed_conv2d", "filters": 1, "kernel_size": 4, "stride": 2},
    ]
    network = Network.build(Architecture.model_validate({"input_shape": [9, 9, 1], "layers": layers}))
    summary = summarize(network)
    assert [layer.jump[0] for layer in summary.layers] == [2, 0.5, 0.5, 0.25]
    assert [layer.receptive_field[0] for layer in summary.layers] == [3, 3, 4, 5]
    assert summary.layers[-1].formula["height"] == "(14 - 1)*2 - 2*0 + 1*(4 - 1) + 1 + 0 = 30"
