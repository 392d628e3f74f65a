"""First weights: of the right size, and written as a word or as a record."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from engine import draws
from engine.errors import ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.layers.convolution import Conv2D
from engine.layers.initializers import INITIALIZERS, Constant, InitializerRecord, TruncatedNormal, initialize

SHAPE = (3, 3, 40, 60)
FAN_IN, FAN_OUT = 360, 540


def drawn(kind: str | InitializerRecord, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return initialize(kind, shape, draws.generator(1, "weight"), np.float64)


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("he", math.sqrt(2 / FAN_IN)),
        ("glorot", math.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("lecun", math.sqrt(1 / FAN_IN)),
    ],
)
def test_scaled_draws_have_their_deviation(name: str, deviation: float) -> None:
    normal, uniform = drawn(f"{name}_normal"), drawn(f"{name}_uniform")
    assert normal.mean() == pytest.approx(0, abs=0.01 * deviation * 5)
    assert normal.std() == pytest.approx(deviation, rel=0.02)
    assert np.abs(normal).max() > 3 * deviation
    assert uniform.std() == pytest.approx(deviation, rel=0.02)
    assert deviation * 1.70 < np.abs(uniform).max() <= deviation * math.sqrt(3)


def test_a_dense_weight_has_its_rows_as_fan_in() -> None:
    assert drawn("he_normal", (500, 40)).std() == pytest.approx(math.sqrt(2 / 500), rel=0.02)
    assert drawn("glorot_uniform", (500, 40)).std() == pytest.approx(math.sqrt(2 / 540), rel=0.02)


def test_a_truncated_normal_ends_at_two_deviations() -> None:
    weights = drawn(TruncatedNormal(deviation=0.1))
    assert np.abs(weights).max() <= 0.2
    assert np.abs(weights).max() > 0.19
    assert weights.std() == pytest.approx(0.088, rel=0.02)


def test_constants() -> None:
    assert (drawn("zeros") == 0).all()
    assert (drawn("ones") == 1).all()
    assert (drawn(Constant(value=-0.25)) == -0.25).all()


def test_dirac_passes_a_picture_on() -> None:
    weight = drawn("dirac", (3, 3, 2, 3))
    assert weight.sum() == 2
    assert weight[1, 1, 0, 0] == weight[1, 1, 1, 1] == 1
    with pytest.raises(ShapeError, match="four axes"):
        drawn("dirac", (3, 3))


def test_a_layer_that_cannot_start_so_is_refused_before_anything_is_drawn() -> None:
    layers = [{"type": "flatten"}, {"type": "dense", "units": 3, "weight_initializer": "dirac"}]
    with pytest.raises(ShapeError, match="four axes") as caught:
        Network.build(Architecture.model_validate({"input_shape": [4, 4, 1], "layers": layers}))
    assert caught.value.path == ("layers", 1, "weight_initializer")


@pytest.mark.parametrize("kind", INITIALIZERS)
def test_every_initializer_can_be_written_into_a_layer(kind: type[InitializerRecord]) -> None:
    assert kind.__doc__
    assert kind.formula
    assert kind.source
    for example in kind.examples:
        layer = Conv2D.model_validate({"filters": 2, "weight_initializer": example})
        again = Conv2D.model_validate_json(layer.model_dump_json(serialize_as_any=True))
        assert again == layer
        (spec, _) = layer.weights((5, 5, 3)).values()
        weight = initialize(spec.initializer, spec.shape, draws.generator(0, "w"))
        assert (weight.shape, weight.dtype) == ((3, 3, 3, 2), np.float32)
        np.testing.assert_array_equal(
            weight, initialize(kind(**example), spec.shape, draws.generator(0, "w"))
        )


def test_a_word_stays_a_word() -> None:
    layer = Conv2D.model_validate({"filters": 2, "weight_initializer": "lecun_normal"})
    assert json.loads(layer.model_dump_json())["weight_initializer"] == "lecun_normal"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("constant", "he_normal"),
        ("no_such", "he_normal"),
        (3, "give a name"),
        ({"type": "constant"}, "Field required"),
        ({"type": "no_such"}, "he_normal"),
        ({"type": "zeros", "value": 1.0}, "Extra inputs"),
    ],
)
def test_what_is_no_initializer_is_refused(given: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Conv2D.model_validate({"filters": 2, "weight_initializer": given})
