"""Files whose numbers are stored, or computed, in other precisions than the one that is computed in here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.exported.compare import computed
from engine.arrays import Array
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_import.importing import import_network

SHAPE = (3, 9, 8)  # (C, H, W)
WEIGHTS = {"filters": (6, 3, 3, 3), "bias": (6,), "matrix": (5, 6), "shift": (5,)}
X = np.random.default_rng(5).standard_normal((2, *SHAPE)).astype(np.float32)


def drawn() -> dict[str, Array]:
    draw = np.random.default_rng(4)
    # what half precision holds exactly
    return {
        name: (0.4 * draw.standard_normal(shape)).astype(np.float16).astype(np.float32)
        for name, shape in WEIGHTS.items()
    }


def model(
    kind: int, stored: list[onnx.TensorProto], names: dict[str, str], casts: list[onnx.NodeProto]
) -> bytes:
    """A small network that computes in the precision `kind` with these weights."""
    nodes = [
        *casts,
        helper.make_node("Conv", ["x", names["filters"], names["bias"]], ["z"], strides=[2, 2]),
        helper.make_node("Relu", ["z"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["vector"]),
        helper.make_node("Gemm", ["vector", names["matrix"], names["shift"]], ["y"], transB=1),
    ]
    border = [
        helper.make_tensor_value_info("x", kind, ["N", *SHAPE]),
        helper.make_tensor_value_info("y", kind, ["N", 5]),
    ]
    graph = helper.make_graph(nodes, "precision", border[:1], border[1:], stored)
    opset = helper.make_opsetid("", 17)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


def as_stored(arrays: dict[str, Array], kind: int) -> list[onnx.TensorProto]:
    if kind == TensorProto.BFLOAT16:
        # the upper half of each float32
        return [
            helper.make_tensor(
                name, kind, array.shape, (array.view(np.uint32) >> 16).astype("<u2").tobytes(), raw=True
            )
            for name, array in arrays.items()
        ]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    return [numpy_helper.from_array(array.astype(dtype), name) for name, array in arrays.items()]


def theirs(content: bytes, x: Array) -> Array:
    (y,) = onnxruntime.InferenceSession(content).run(None, {"x": x})
    return np.asarray(y, np.float32)


def ours(content: bytes, folder: Path) -> Array:
    path = folder / "model.onnx"
    path.write_bytes(content)
    read = import_network(read_graph(path, None))
    assert {weight.dtype for weight in read.weights.values()} == {np.dtype(np.float32)}
    return computed(read, X)


def plain(kind: int) -> bytes:
    return model(kind, as_stored(drawn(), kind), {name: name for name in WEIGHTS}, [])


def test_a_network_in_half_precision_gives_what_it_gives_in_single_precision(tmp_path: Path) -> None:
    found = ours(plain(TensorProto.FLOAT16), tmp_path)
    np.testing.assert_allclose(found, theirs(plain(TensorProto.FLOAT), X), rtol=0, atol=1e-5)
    half = theirs(plain(TensorProto.FLOAT16), X.astype(np.float16))
    np.testing.assert_allclose(found, half, rtol=0, atol=5e-3)


def test_a_network_in_double_precision_is_computed_in_single(tmp_path: Path) -> None:
    found = ours(plain(TensorProto.DOUBLE), tmp_path)
    # ONNX Runtime has no such convolution
    np.testing.assert_allclose(found, theirs(plain(TensorProto.FLOAT), X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE])
def test_weights_that_the_graph_brings_to_single_precision_are_read(kind: int, tmp_path: Path) -> None:
    casts = [helper.make_node("Cast", [name], [f"{name} single"], to=TensorProto.FLOAT) for name in WEIGHTS]
    names = {name: f"{name} single" for name in WEIGHTS}
    content = model(TensorProto.FLOAT, as_stored(drawn(), kind), names, casts)
    np.testing.assert_allclose(ours(content, tmp_path), theirs(content, X), rtol=0, atol=1e-5)
