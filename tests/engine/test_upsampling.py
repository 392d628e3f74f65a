"""Maps brought to other sizes, against ONNX's own reference implementation of Resize."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from pydantic import ValidationError

from engine.errors import ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.layers import Context
from engine.layers.upsampling import Upsample2D
from engine.ops import interpolation
from tests.engine.test_resampling import maps

MODES = {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic"}
COORDINATES = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]
SIDE = st.integers(1, 5)


def resized(x: np.ndarray, layer: Upsample2D) -> np.ndarray:
    """Return what version 19 of the operator makes of maps (N, H, W, C)."""
    attributes: dict[str, Any] = {
        "mode": MODES[layer.mode],
        "coordinate_transformation_mode": layer.coordinates,
        "nearest_mode": layer.rounding,
        "cubic_coeff_a": layer.cubic_coefficient,
        "exclude_outside": int(layer.exclude_outside),
        "antialias": int(layer.antialias),
        "axes": [2, 3],
    }
    wanted = "scales" if layer.size is None else "sizes"
    names = ["x", "", "scales"] if wanted == "scales" else ["x", "", "", "sizes"]
    kind = TensorProto.FLOAT if wanted == "scales" else TensorProto.INT64
    graph = helper.make_graph(
        [helper.make_node("Resize", names, ["y"], **attributes)],
        "resize",
        [
            helper.make_tensor_value_info("x", TensorProto.DOUBLE, [None] * 4),
            helper.make_tensor_value_info(wanted, kind, [2]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None] * 4)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    sides = np.array(layer.factor, np.float32) if wanted == "scales" else np.array(layer.size, np.int64)
    (y,) = ReferenceEvaluator(model).run(None, {"x": np.moveaxis(x, -1, 1), wanted: sides})
    return np.moveaxis(np.asarray(y), 1, -1)


@settings(max_examples=100)
@given(
    size=st.tuples(SIDE, SIDE),
    target=st.tuples(SIDE, SIDE)
    | st.sampled_from([(0.5, 2), (1.5, 0.75), (2.5, 1.25), (3, 1), (0.25, 1.75), (1, 4)]),
    scaled=st.booleans(),
    mode=st.sampled_from(list(MODES)),
    coordinates=st.sampled_from(COORDINATES),
    rounding=st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    coefficient=st.sampled_from([-0.75, -0.5]),
    outside=st.booleans(),
    antialias=st.booleans(),
)
def test_a_map_is_resized_as_onnx_says(
    size: tuple[int, int],
    target: tuple[float, float],
    scaled: bool,
    mode: Any,
    coordinates: Any,
    rounding: Any,
    coefficient: float,
    outside: bool,
    antialias: bool,
) -> None:
    scaled = scaled or not all(isinstance(side, int) for side in target)
    layer = Upsample2D.model_validate(
        {"factor" if scaled else "size": target}
        | {"mode": mode, "coordinates": coordinates, "rounding": rounding}
        | {"cubic_coefficient": coefficient, "exclude_outside": outside and mode == "bicubic"}
        | {"antialias": antialias and mode != "nearest"}
    )
    lengths = np.multiply(size, target) if scaled else np.array(target)
    # where the reference differs from ONNX Runtime and PyTorch: it aligns the corners of lengths that are no whole
    # numbers, and has a single new pixel lie outside of the map; symmetric ones are not exact enough to be rounded,
    # nor to tell a pixel on the rim from one outside
    assume(coordinates != "align_corners" or (lengths % 1 == 0).all())
    assume(coordinates != "pytorch_half_pixel" or lengths.min() >= 2)
    assume(coordinates != "half_pixel_symmetric" or not (mode == "nearest" or layer.exclude_outside))
    x = maps(size)
    try:
        shape = layer.output_shape(x.shape[1:])
    except ShapeError:
        assert lengths.min() < 1
        return
    y, _ = layer.forward({}, x, context=Context())
    assert y.shape[1:] == shape
    np.testing.assert_allclose(y, resized(x, layer), rtol=1e-5, atol=1e-5)


def test_between_two_pixels_tensorflow_has_gone_to_the_next() -> None:
    """Version 11 of the operator has coordinates that later ones have not: (x + 0.5) / scale."""
    layer = Upsample2D(size=(1, 2), coordinates="tf_half_pixel_for_nn", rounding="floor")
    y, _ = layer.forward({}, np.arange(5.0).reshape(1, 1, 5, 1), context=Context())
    assert y.ravel().tolist() == [1, 3]


@given(st.integers(1, 400), st.integers(1, 400))
def test_the_factor_to_a_size_leads_there(size: int, count: int) -> None:
    factor = interpolation.exact_factor(size, count, count / size)
    assert interpolation.scaled(size, factor) == count == int(factor * size)


def test_a_factor_is_what_it_says_in_decimals() -> None:
    assert Upsample2D(factor=(0.7, 0.29)).output_shape((10, 100, 1)) == (7, 29, 1)


def test_sizes_are_explained() -> None:
    layers = [
        {"type": "upsample2d", "factor": [1.5, 2]},
        {"type": "upsample2d", "size": 4, "mode": "bicubic"},
    ]
    network = Network.build(Architecture.model_validate({"input_shape": [5, 4, 1], "layers": layers}))
    first, last = summarize(network).layers
    assert first.formula == {"height": "floor(1.5*5) = 7", "width": "2*4 = 8"}
    assert last.formula == {"size": "size = 4x4"}
    assert (first.jump, last.receptive_field) == ([5 / 7, 0.5], [4, 3])


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"factor": 0}, "greater than"),
        ({"factor": True}, "a number or a list of two"),
        ({"size": 0}, "greater"),
    ],
)
def test_what_is_no_size_is_refused(layer: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Upsample2D.model_validate(layer)
    with pytest.raises(ShapeError, match="nothing is left of 3x3") as caught:
        Upsample2D(factor=(0.2, 1)).output_shape((3, 3, 1))
    assert caught.value.path == ("factor",)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_sizes_beyond_all_memory_are_known_without_any(mode: str) -> None:
    layers = [{"type": "upsample2d", "factor": [16384, 1], "mode": mode}] * 2
    tracemalloc.start()
    network = Network.build(Architecture.model_validate({"input_shape": [5, 4, 1], "layers": layers}))
    assert summarize(network).output_shape == [5 * 16384**2, 4, 1]
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
