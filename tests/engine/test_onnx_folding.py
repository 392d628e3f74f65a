"""What does not depend on the picture is computed while a file is read, as ONNX Runtime computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.exported.compare import computed
from engine.errors import ModelFileError
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_import.importing import import_network

SHAPE = (6, 4, 5)  # (C, H, W)


def agrees(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any]) -> None:
    """Hold a graph from `x` to `y` to what ONNX Runtime computes."""
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "folding",
        [helper.make_tensor_value_info("x", real, ["N", *SHAPE])],
        [helper.make_tensor_value_info("y", real, None)],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    x = np.random.default_rng(2).standard_normal((3, *SHAPE)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    read = import_network(read_graph(path, None))
    y = computed(read, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("fmod", [0, 1])
@pytest.mark.parametrize(("dividend", "divisor"), [(7, 4), (-7, 4), (7, -4), (-7, -4)])
def test_the_sign_of_a_remainder_is_that_of_onnx(
    fmod: int, dividend: int, divisor: int, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("Mod", ["dividend", "divisor"], ["rest"], fmod=fmod),
        helper.make_node("Cast", ["rest"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "real"], ["y"]),
    ]
    agrees(tmp_path / "model.onnx", nodes, {"dividend": np.int64(dividend), "divisor": np.int64(divisor)})


@pytest.mark.parametrize("limits", [("low", ""), ("", "high"), ("low", "high")])
def test_sizes_are_clipped_as_where_padding_is_computed(limits: tuple[str, str], tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Clip", ["number", *limits], ["clipped"]),
        helper.make_node("Cast", ["clipped"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "real"], ["y"]),
    ]
    for number in (-5, 1, 5):
        constants = {"number": np.int64(number), "low": np.int64(-2), "high": np.int64(3)}
        agrees(tmp_path / "model.onnx", nodes, constants)


def test_a_remainder_by_zero_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Mod", ["sizes", "zero"], ["rests"]),
        helper.make_node("Reshape", ["x", "rests"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "zero",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(4, np.int64), "zero")],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(
        ModelFileError, match=r"Mod .* needs integers, and a division by something else than 0"
    ):
        import_network(read_graph(path, None))


def test_constants_become_the_real_numbers_that_the_picture_is(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("CastLike", ["integers", "x"], ["scale"]),
        helper.make_node("CastLike", ["scale", "double"], ["wide"]),
        helper.make_node("CastLike", ["wide", "x"], ["narrow"]),
        helper.make_node("Mul", ["x", "narrow"], ["scaled"]),
        helper.make_node("CastLike", ["scaled", "x"], ["y"]),
    ]
    scale = np.arange(1, 7).reshape(6, 1, 1)
    agrees(tmp_path / "model.onnx", nodes, {"integers": scale, "double": np.float64(0)})
