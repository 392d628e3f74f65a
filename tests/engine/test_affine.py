"""Scales and shifts, against what they are left of and where they cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from engine.errors import ShapeError
from engine.layers import Context
from engine.layers.activation import PReLU
from engine.layers.affine import Affine
from engine.layers.normalization import BatchNorm


def test_a_batch_norm_of_known_statistics_is_a_scale_and_a_shift() -> None:
    draw = np.random.default_rng(0)
    norm = BatchNorm(epsilon=0.01)
    weights = {name: np.abs(draw.standard_normal(4)) + 0.1 for name in norm.weights((3, 2, 4))}
    x = draw.standard_normal((2, 3, 2, 4))
    scale = weights["scale"] / np.sqrt(weights["running_variance"] + 0.01)
    affine = {"scale": scale, "shift": weights["shift"] - weights["running_mean"] * scale}
    wanted, _ = norm.forward(weights, x, context=Context())
    found, _ = Affine().forward(affine, x, context=Context())
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("kind", [Affine, PReLU])
def test_weights_are_stretched_over_channels_and_pixels(kind: Any) -> None:
    sizes = {
        (shared, per_pixel): {
            spec.shape for spec in kind(shared=shared, per_pixel=per_pixel).weights((3, 2, 4)).values()
        }
        for shared in (False, True)
        for per_pixel in (False, True)
    }
    assert sizes == {
        (False, False): {(4,)},
        (True, False): {(1,)},
        (False, True): {(3, 2, 4)},
        (True, True): {(3, 2, 1)},
    }
    with pytest.raises(ShapeError, match="takes a map"):
        kind(per_pixel=True).output_shape((4,))


def test_a_layer_scale_starts_from_what_it_is_told_and_adds_nothing() -> None:
    specs = Affine(shift=False, initial_scale=1e-6).weights((2, 2, 3))
    assert {name: spec.initializer for name, spec in specs.items()} == {"scale": 1e-6}
    assert not specs["scale"].decays
    with pytest.raises(ValidationError, match="neither a scale nor a shift"):
        Affine(scale=False, shift=False)
