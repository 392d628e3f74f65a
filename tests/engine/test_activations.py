"""Activation functions against Python's own arithmetic, at their extremes, and as another layer's `activation`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers import AnyLayer, Context
from engine.layers.parameters import ACTIVATIONS, Activation
from engine.ops.erf import erf

PARSE = TypeAdapter(Activation)
SELU_LIMIT = -1.0507009873554805 * 1.6732632423543772


def tanh_gelu(z: float) -> float:
    return z * (1 + math.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2


FUNCTIONS: list[tuple[Any, Any]] = [
    ("relu", lambda z: max(z, 0)),
    ("relu6", lambda z: min(max(z, 0), 6)),
    ("leaky_relu", lambda z: z if z > 0 else 0.01 * z),
    ({"type": "leaky_relu", "slope": 1.5}, lambda z: z if z > 0 else 1.5 * z),
    ("elu", lambda z: z if z > 0 else math.expm1(z)),
    ({"type": "elu", "alpha": 0.3}, lambda z: z if z > 0 else 0.3 * math.expm1(z)),
    ("selu", lambda z: 1.0507009873554805 * z if z > 0 else -SELU_LIMIT * math.expm1(z)),
    ("gelu", lambda z: z * (1 + math.erf(z / math.sqrt(2))) / 2),
    ({"type": "gelu", "form": "tanh"}, tanh_gelu),
    ("silu", lambda z: z / (1 + math.exp(-z))),
    ("hard_swish", lambda z: z * min(max(z + 3, 0), 6) / 6),
    ("softplus", lambda z: max(z, 0) + math.log1p(math.exp(-abs(z)))),
    ("sigmoid", lambda z: 1 / (1 + math.exp(-z))),
    ("tanh", math.tanh),
    ("erf", math.erf),
    ("clip", lambda z: min(max(z, -1), 1)),
    ({"type": "clip", "minimum": 0.25, "maximum": None}, lambda z: max(z, 0.25)),
    ({"type": "clip", "minimum": None, "maximum": -2}, lambda z: min(z, -2)),
    ({"type": "clip", "minimum": None, "maximum": None}, lambda z: z),
    ({"type": "clip", "minimum": 3, "maximum": 3}, lambda z: 3),
    ("hard_sigmoid", lambda z: min(max(z / 6 + 0.5, 0), 1)),
    ({"type": "hard_sigmoid", "alpha": 0.2, "beta": -0.3}, lambda z: min(max(0.2 * z - 0.3, 0), 1)),
]


@pytest.mark.parametrize(("activation", "function"), FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_a_function_is_the_one_it_is_named_after(activation: Any, function: Any) -> None:
    z = np.concatenate([np.linspace(-12, 12, 481), [0.0, 3.0, -3.0, 6.0, 1e-12, -1e-12]])
    y, _ = PARSE.validate_python(activation).forward({}, z, context=Context())
    np.testing.assert_allclose(y, [function(value) for value in z], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_very_large_numbers_stay_finite(kind: Any, dtype: type) -> None:
    layer = kind()
    weights = {name: np.full(spec.shape, 0.25, dtype) for name, spec in layer.weights((4,)).items()}
    z = np.array([[-1e4, -200.0, 200.0, 1e4]], dtype)
    context = Context(statistics="batch", records=True)
    y, saved = layer.forward(weights, z, context=context)
    (dx,), _ = layer.backward(weights, saved, np.ones_like(y), context=context)
    assert np.isfinite(y).all()
    assert np.isfinite(dx).all()


def test_erf_is_that_of_the_standard_library() -> None:
    x = np.concatenate([np.linspace(-7, 7, 20_001), [0.46875, 4.0, 6.0, -0.46875, -4.0, 1e-300, 0.0]])
    expected = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(erf(x), expected, rtol=1e-15, atol=0)
    single = erf(x.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=3e-7)


@given(st.floats(width=64, allow_nan=True))
def test_erf_of_anything(value: float) -> None:
    found = erf(np.array([value]))[0]
    assert found == pytest.approx(math.erf(value), rel=1e-15, nan_ok=True)


def test_prelu_learns_from_negative_numbers_only() -> None:
    layer = PARSE.validate_python("prelu")
    x = np.array([[-2.0, 3.0], [-1.0, -4.0]])
    weights = {"slope": np.array([0.25, 0.5])}
    context = Context(statistics="batch", records=True)
    y, saved = layer.forward(weights, x, context=context)
    assert y.tolist() == [[-0.5, 3], [-0.25, -2]]
    (dx,), gradients = layer.backward(weights, saved, np.array([[1.0, 1.0], [10.0, 100.0]]), context=context)
    assert dx.tolist() == [[0.25, 1], [2.5, 50]]
    assert gradients["slope"].tolist() == [-12, -400]


def conv(activation: Any, **more: Any) -> Any:
    layer = {"type": "conv2d", "filters": 3, "kernel_size": 1, "activation": activation, **more}
    return TypeAdapter(AnyLayer).validate_python(layer)


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("relu", "relu"),
        ({"type": "relu"}, "relu"),
        (None, None),
        ("leaky_relu", {"type": "leaky_relu", "trainable": True, "slope": 0.01}),
        ({"type": "elu", "alpha": 2}, {"type": "elu", "trainable": True, "alpha": 2.0}),
        (
            {"type": "prelu", "trainable": False},
            {"type": "prelu", "trainable": False, "shared": False, "per_pixel": False},
        ),
    ],
)
def test_an_activation_is_stored_with_its_defaults(asked: Any, stored: Any) -> None:
    layer = conv(asked)
    document = layer.model_dump(mode="json")
    assert document["activation"] == stored
    assert TypeAdapter(AnyLayer).validate_python(document) == layer


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("rely", "union_tag_invalid"),
        ({"type": "leaky_relu", "slop": 0.1}, "extra_forbidden"),
        ({"type": "relu", "name": "a"}, "leave out its name"),
        ({"type": "dense", "units": 3}, "union_tag_invalid"),
        ({"type": "clip", "minimum": 2, "maximum": 1}, "the minimum is above the maximum"),
        (3, "model_attributes_type"),
    ],
)
def test_an_activation_that_is_none_is_refused(asked: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        conv(asked)


def test_an_activation_of_a_layer_is_a_node_with_weights_of_its_own() -> None:
    layers = [conv({"type": "prelu", "shared": True}), conv("prelu", trainable=False)]
    network = Network.build(Architecture(input_shape=(4, 4, 2), layers=tuple(layers)))
    specs = network.weight_specs
    assert specs["conv2d_1/activation/slope"].shape == (1,)
    assert specs["conv2d_1/activation/slope"].trainable
    assert not specs["conv2d_1/activation/slope"].decays
    assert specs["conv2d_2/activation/slope"].shape == (3,)
    assert not specs["conv2d_2/activation/slope"].trainable
    assert (network.initial_weights(0)["conv2d_2/activation/slope"] == 0.25).all()
