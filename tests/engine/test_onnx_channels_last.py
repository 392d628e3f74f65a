"""Graphs as tf2onnx writes Keras's networks: channels last at the border and in between, first in convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.exported.compare import computed
from engine.arrays import Array
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_import.importing import import_network

HEIGHT, WIDTH, CHANNELS = 13, 10, 3
FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Written:
    """A graph in the making, opset 13."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.draws = np.random.default_rng(7)

    def drawn(self, *shape: int) -> str:
        return self.kept(self.draws.standard_normal(shape).astype(np.float32) * np.float32(0.4))

    def kept(self, array: Array) -> str:
        name = f"const_fold_opt__{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def integers(self, *numbers: int) -> str:
        return self.kept(np.array(numbers, np.int64))

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"StatefulPartitionedCall/model/{kind.lower()}_{len(self.nodes)}/{kind}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}:0"], name=name, **attributes))
        return f"{name}:0"

    def convolution(self, x: str, filters: int, channels: int, side: int, **attributes: Any) -> str:
        """A convolution with a bias, channels first."""
        weight = self.drawn(filters, channels // attributes.get("group", 1), side, side)
        return self.node("Conv", x, weight, self.drawn(filters), **attributes)

    def model(self, output: str, shape: list[int | str]) -> onnx.ModelProto:
        """The model, whose output is called as that of a node."""
        real = TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "tf2onnx",
            [helper.make_tensor_value_info("input_1", real, ["unk__61", HEIGHT, WIDTH, CHANNELS])],
            [helper.make_tensor_value_info(output, real, shape)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def plain() -> onnx.ModelProto:
    """Padding by itself, asymmetric SAME, a flattened map in the order of Keras, products with a bias behind."""
    made = Written()
    x = made.node("Pad", "input_1", made.integers(0, 1, 2, 0, 0, 1, 1, 0))
    x = made.node("Transpose", x, perm=FIRST)
    x = made.node("Relu", made.convolution(x, 6, 3, 3, strides=[2, 2]))
    x = made.convolution(x, 8, 6, 3, strides=[2, 2], pads=[0, 0, 1, 1])
    x = made.node("Transpose", x, perm=LAST)
    x = made.node("LeakyRelu", made.node("Add", x, made.drawn(8)), alpha=0.3)
    x = made.node("Transpose", x, perm=FIRST)
    x = made.node("MaxPool", x, kernel_shape=[2, 2], auto_pad="SAME_UPPER", strides=[2, 2])
    x = made.node("Transpose", x, perm=LAST)
    x = made.node("Reshape", x, made.integers(-1, 2 * 2 * 8))
    x = made.node("Relu", made.node("Add", made.node("MatMul", x, made.drawn(32, 7)), made.drawn(7)))
    x = made.node("Add", made.node("MatMul", x, made.drawn(7, 4)), made.drawn(4))
    return made.model(made.node("Softmax", x, axis=-1), ["unk__62", 4])


def gated() -> onnx.ModelProto:
    """Depthwise convolution, batch norm, squeeze-and-excitation, a sum and a join of maps with channels last."""
    made = Written()
    x = made.node("Transpose", "input_1", perm=FIRST)
    x = made.convolution(x, 6, 3, 3, strides=[2, 2], pads=[1, 0, 1, 1])
    x = made.node("Clip", x, made.kept(np.float32(0)), made.kept(np.float32(6)))
    y = made.convolution(x, 6, 6, 3, group=6, pads=[1, 1, 1, 1])
    spread = made.kept(made.draws.random(6).astype(np.float32) + np.float32(0.5))
    y = made.node("BatchNormalization", y, made.drawn(6), made.drawn(6), made.drawn(6), spread)
    y = made.node("Mul", y, made.node("Sigmoid", y))
    mean = made.node("ReduceMean", y, axes=[2, 3], keepdims=0)
    mean = made.node("Transpose", made.node("Reshape", mean, made.integers(-1, 1, 1, 6)), perm=FIRST)
    gate = made.convolution(made.node("Relu", made.convolution(mean, 2, 6, 1)), 6, 2, 1)
    y = made.node("Mul", y, made.node("Sigmoid", gate))
    x, y = (made.node("Transpose", each, perm=LAST) for each in (x, y))
    z = made.node("Concat", made.node("Add", y, x), x, axis=3)
    z = made.node("Transpose", z, perm=FIRST)
    z = made.node("Squeeze", made.node("GlobalAveragePool", z), made.integers(2, 3))
    return made.model(made.node("Add", made.node("MatMul", z, made.drawn(12, 5)), made.drawn(5)), ["unk", 5])


@pytest.mark.parametrize("make", [plain, gated])
def test_a_graph_with_channels_last_gives_what_onnx_runtime_gives(make: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(make(), path)
    x = np.random.default_rng(3).standard_normal((3, HEIGHT, WIDTH, CHANNELS)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"input_1": x})
    read = import_network(read_graph(path, None))
    assert read.network.input_shape == (HEIGHT, WIDTH, CHANNELS)
    y = computed(read, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))
