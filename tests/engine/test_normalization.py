"""Normalisations of a single picture, local response, and the layers that drop, against their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ShapeError
from engine.layers import Context
from engine.layers.dropout import SpatialDropout2D, StochasticDepth
from engine.layers.local_response import LocalResponseNorm
from engine.layers.normalization import GroupNorm, InstanceNorm, LayerNorm
from engine.ops import local_response


def normalized(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def run(layer: Any, x: np.ndarray, **weights: np.ndarray) -> np.ndarray:
    shapes = {name: spec.shape for name, spec in layer.weights(x.shape[1:]).items()}
    assert {name: weight.shape for name, weight in weights.items()} == shapes
    y: np.ndarray = layer.forward(weights, x, context=Context())[0]
    return y


X = np.random.default_rng(0).standard_normal((2, 3, 4, 6)) * 3 + 1


def test_layer_norm_of_channels_normalises_each_pixel() -> None:
    scale, shift = np.arange(6.0), np.arange(6.0) - 2
    expected = np.empty_like(X)
    for place in np.ndindex(X.shape[:3]):
        expected[place] = normalized(X[place]) * scale + shift
    np.testing.assert_allclose(run(LayerNorm(), X, scale=scale, shift=shift), expected, rtol=1e-12)


def test_layer_norm_of_a_picture_has_a_scale_for_each_number() -> None:
    scale, shift = np.random.default_rng(1).standard_normal((2, 3, 4, 6))
    expected = np.stack([normalized(picture) * scale + shift for picture in X])
    np.testing.assert_allclose(
        run(LayerNorm(over="picture"), X, scale=scale, shift=shift), expected, rtol=1e-11
    )


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm_normalises_neighbouring_channels_together(groups: int) -> None:
    expected = np.empty_like(X)
    each = 6 // groups
    for picture in range(2):
        for first in range(0, 6, each):
            here = (picture, slice(None), slice(None), slice(first, first + each))
            expected[here] = normalized(X[here])
    np.testing.assert_allclose(run(GroupNorm(groups=groups, affine=False), X), expected, rtol=1e-12)
    if groups == 6:
        np.testing.assert_allclose(run(InstanceNorm(affine=False), X), expected, rtol=1e-12)


def test_channels_that_do_not_fall_into_groups_are_refused() -> None:
    with pytest.raises(ShapeError, match="6 channels cannot be divided into 4") as caught:
        GroupNorm(groups=4).output_shape((3, 4, 6))
    assert caught.value.path == ("groups",)
    with pytest.raises(ShapeError, match="takes a map"):
        InstanceNorm().output_shape((6,))


def test_variance_is_exact_beside_a_large_mean() -> None:
    x = (10_000 + np.random.default_rng(0).standard_normal((4, 16, 16, 4))).astype(np.float32)
    for layer in (GroupNorm(groups=2, affine=False), InstanceNorm(affine=False)):
        assert run(layer, x).std() == pytest.approx(1, abs=1e-3)


@given(st.integers(1, 8), st.integers(1, 7))
def test_local_response_equals_the_loops(size: int, channels: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, 1, channels))
    expected = np.empty_like(x)
    for c in range(channels):
        near = x[..., max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        expected[..., c] = x[..., c] / (1.5 + 0.3 * (near**2).sum(axis=-1)) ** 0.7
    layer = LocalResponseNorm(size=size, k=1.5, alpha=0.3, beta=0.7)
    np.testing.assert_allclose(run(layer, x), expected, rtol=1e-12)


@given(st.integers(1, 8), st.integers(1, 5))
def test_local_response_of_any_size_has_the_numeric_gradient(size: int, channels: int) -> None:
    draw = np.random.default_rng(0)
    x, direction, dy = draw.standard_normal((3, 2, channels))
    y, damping = local_response.local_response(x, size, 1.5, 0.3, 0.7)
    dx = local_response.local_response_backward(x, y, damping, dy, size, 0.3, 0.7)
    step = 1e-6
    above, below = (
        local_response.local_response(x + side * step * direction, size, 1.5, 0.3, 0.7)[0] for side in (1, -1)
    )
    slope = np.sum((above - below) * dy) / (2 * step)
    assert np.sum(dx * direction) == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_spatial_dropout_drops_whole_channels_and_stochastic_depth_whole_pictures() -> None:
    x = np.ones((200, 3, 4, 10), np.float32)
    context = Context(statistics="batch", records=True, node="n")
    channels, _ = SpatialDropout2D(rate=0.3).forward({}, x, context=context)
    assert (channels == channels[:, :1, :1]).all()
    assert np.mean(channels[:, 0, 0] == 0) == pytest.approx(0.3, abs=0.04)
    assert channels.mean() == pytest.approx(1, abs=0.05)
    pictures, _ = StochasticDepth(rate=0.3).forward({}, x, context=context)
    assert (pictures == pictures[:, :1, :1, :1]).all()
    assert np.mean(pictures[:, 0, 0, 0] == 0) == pytest.approx(0.3, abs=0.1)
    for layer in (SpatialDropout2D(), StochasticDepth()):
        np.testing.assert_array_equal(layer.forward({}, x, context=Context(node="n"))[0], x)
