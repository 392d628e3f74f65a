"""Operators that exporters take apart become one layer, and what only looks like them does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from engine.errors import ModelFileError
from engine.layers import Context
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_import.importing import ImportedNetwork, import_network

SHAPE = (6, 4, 5)  # (C, H, W)


class Graph:
    """A graph in the making, from `x` on."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []

    def __call__(self, kind: str, *inputs: str | float | np.ndarray, **attributes: object) -> str:
        """Apply an operator; numbers become nodes Constant."""
        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output

    def constant(self, numbers: float | np.ndarray) -> str:
        array = np.asarray(numbers)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        return self("Constant", value=numpy_helper.from_array(array))


def normalised(
    g: Graph, axes: list[int], *, square: str = "Pow", others: list[int] | None = None, opset: int = 13
) -> str:
    def mean(name: str, over: list[int]) -> str:
        if opset >= 18:
            return g("ReduceMean", name, np.array(over))
        return g("ReduceMean", name, axes=over)

    middle = mean("x", axes)
    centred = g("Sub", "x", middle)
    again = g("Sub", "x", middle) if square == "Mul" else centred
    squared = g("Pow", again, 2.0) if square == "Pow" else g("Mul", again, again)
    return g("Div", centred, g("Sqrt", g("Add", mean(squared, others or axes), 1e-3)))


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def channels_norm(g: Graph) -> str:
    """ConvNeXt's own LayerNorm of maps."""
    y = normalised(g, [1], square="Mul")
    return g("Add", g("Mul", drawn(6, 1, 1), y), drawn(6, 1, 1))


def channels_norm_without_shift(g: Graph) -> str:
    return g("Relu", g("Mul", normalised(g, [1]), drawn(6, 1, 1)))


def norm_scaled_by_one_number(g: Graph) -> str:
    return g("Add", g("Mul", normalised(g, [1]), 1.5), drawn(6, 1, 1))


def picture_norm(g: Graph) -> str:
    return g("Mul", normalised(g, [-3, -2, -1]), drawn(*SHAPE))


def pixel_norm(g: Graph) -> str:
    return g("Add", normalised(g, [2, 3]), drawn(6, 1, 1))


def norm_that_is_read_twice(g: Graph) -> str:
    y = normalised(g, [1])
    return g("Add", g("Mul", y, drawn(6, 1, 1)), y)


def gelu(g: Graph, *, half: float = 0.5, of: str = "x", root: float = math.sqrt(2)) -> str:
    gate = g("Add", g("Erf", g("Div", "x", root)), 1.0)
    return g("Mul", g("Mul", of, gate), half)


def gelu_halved_first(g: Graph) -> str:
    gate = g("Add", 1.0, g("Erf", g("Mul", math.sqrt(0.5), "x")))
    return g("Mul", gate, g("Mul", 0.5, "x"))


def gelu_of_half_a_gate(g: Graph) -> str:
    gate = g("Add", g("Erf", g("Div", "x", math.sqrt(2))), 1.0)
    return g("Mul", "x", g("Mul", gate, 0.5))


def hard_swish(g: Graph, *, limit: float = 6.0, of: str = "x") -> str:
    return g("Div", g("Mul", of, g("Clip", g("Add", "x", 3.0), 0.0, limit)), 6.0)


def mean_of_squares_norm(g: Graph, *, of: str = "x") -> str:
    middle = g("ReduceMean", "x", axes=[1])
    other = middle if of == "x" else g("ReduceMean", of, axes=[1])
    variance = g("Sub", g("ReduceMean", g("Mul", "x", "x"), axes=[1]), g("Mul", other, other))
    return g(
        "Div", g("Sub", "x", middle), g("Sqrt", g("Add", variance, g("Cast", 0.5, to=TensorProto.FLOAT)))
    )


def softmax(g: Graph, *, over: int = 1) -> str:
    raised = g("Exp", g("Sub", "x", g("ReduceMax", "x", axes=[1])))
    return g("Div", raised, g("ReduceSum", raised, np.array([over])))


def log_softmax(g: Graph, *, of: str = "x") -> str:
    lowered = g("Sub", "x", g("ReduceMax", of, axes=[-3]))
    return g("Sub", lowered, g("Log", g("ReduceSum", g("Exp", lowered), np.array([-3]))))


def prelu(g: Graph, *, bound: float = 0.0, of: str = "x") -> str:
    return g("Where", g("Less", "x", bound), g("Mul", drawn(6, 1, 1), of), "x")


def least_and_most(g: Graph) -> str:
    low, high = g.constant(-0.4), g.constant(0.7)
    raised = g("Where", g("Less", "x", low), low, "x")
    return g("Where", g("Less", high, raised), high, raised)


def stretched(g: Graph) -> str:
    """A number for each channel, stretched over the map as it is not needed."""
    return g("Expand", g("Sigmoid", g("GlobalAveragePool", "x")), g("Shape", "x"))


def map_and_stretched(g: Graph) -> str:
    return g("Sub", "x", stretched(g))


def stretched_and_map(g: Graph) -> str:
    return g("Mul", stretched(g), "x")


def elu(g: Graph, *, one: float = 1.0) -> str:
    bent = g("Mul", g("Sub", g("Exp", "x"), one), 0.7)
    return g("Where", g("Less", "x", 0.0), bent, "x")


def softplus(g: Graph, *, one: float = 1.0) -> str:
    return g("Log", g("Add", one, g("Exp", "x")))


WHOLE: list[tuple[Callable[[Graph], str], list[str]]] = [
    (channels_norm, ["layer_norm"]),
    (channels_norm_without_shift, ["layer_norm", "affine", "relu"]),
    (norm_scaled_by_one_number, ["layer_norm", "affine", "affine"]),
    (picture_norm, ["layer_norm", "affine"]),
    (pixel_norm, ["instance_norm", "affine"]),
    (gelu, ["gelu"]),
    (gelu_halved_first, ["gelu"]),
    (gelu_of_half_a_gate, ["gelu"]),
    (hard_swish, ["hard_swish"]),
    (mean_of_squares_norm, ["layer_norm"]),
    (softmax, ["softmax"]),
    (log_softmax, ["log_softmax"]),
    (prelu, ["prelu"]),
    (least_and_most, ["clip", "clip"]),
    (map_and_stretched, ["global_average_pool2d", "sigmoid", "subtract"]),
    (stretched_and_map, ["global_average_pool2d", "sigmoid", "multiply"]),
    (elu, ["elu"]),
    (softplus, ["softplus"]),
]
OTHERS: list[Callable[[Graph], str]] = [
    lambda g: gelu(g, half=0.4),
    lambda g: gelu(g, root=1.5),
    lambda g: gelu(g, of=g("Relu", "x")),
    lambda g: hard_swish(g, limit=5.0),
    lambda g: hard_swish(g, of=g("Relu", "x")),
]
WITHOUT_LAYERS: list[tuple[Callable[[Graph], str], str]] = [
    (lambda g: mean_of_squares_norm(g, of=g("Mul", "x", 0.5)), "Sqrt"),
    (lambda g: softmax(g, over=2), "Exp"),
    (lambda g: log_softmax(g, of=g("Tanh", "x")), "Exp"),
    (lambda g: prelu(g, bound=0.1), "Less"),
    (lambda g: elu(g, one=0.9), "Exp"),
    (lambda g: softplus(g, one=1.5), "Exp"),
    (lambda g: prelu(g, of=g("Tanh", "x")), "Less"),
]
"""What looks like a pattern, and has parts for which there is no layer."""


def imported(
    make: Callable[[Graph], str], folder: Path, opset: int = 13
) -> tuple[ImportedNetwork, np.ndarray, np.ndarray]:
    """Return the network, and what it and ONNX Runtime compute."""
    g = Graph()
    output = make(g)
    real = TensorProto.FLOAT
    border = [helper.make_tensor_value_info(name, real, ["N", *SHAPE]) for name in ("x", output)]
    graph = helper.make_graph(g.nodes, "pattern", border[:1], border[1:])
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    x = 2 * drawn(3, *SHAPE)
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    read = import_network(read_graph(path, None))
    y = read.network.forward(read.weights, read.input.from_onnx(x), Context()).output
    return read, read.output.to_onnx(y), expected


def types(read: ImportedNetwork) -> list[str]:
    return [node.layer.type for node in read.network.nodes if node.layer is not None]


@pytest.mark.parametrize(("make", "layers"), WHOLE, ids=lambda each: getattr(each, "__name__", ""))
def test_what_was_taken_apart_becomes_one_layer(
    make: Callable[[Graph], str], layers: list[str], tmp_path: Path
) -> None:
    read, y, expected = imported(make, tmp_path)
    assert types(read) == layers
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_axes_that_are_an_input_are_read(tmp_path: Path) -> None:
    read, y, expected = imported(lambda g: normalised(g, [1], opset=18), tmp_path, opset=18)
    assert types(read) == ["layer_norm"]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


@pytest.mark.parametrize("make", OTHERS)
def test_what_only_looks_like_a_pattern_stays_what_it_is(
    make: Callable[[Graph], str], tmp_path: Path
) -> None:
    read, y, expected = imported(make, tmp_path)
    assert not {"gelu", "hard_swish"} & set(types(read))
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


@pytest.mark.parametrize(("make", "part"), WITHOUT_LAYERS)
def test_what_looks_like_a_pattern_is_refused_where_it_has_parts_without_layers(
    make: Callable[[Graph], str], part: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=rf"{part} .* needs"):
        imported(make, tmp_path)


@pytest.mark.parametrize("kind", ["softplus", "prelu", "max"])
def test_a_pattern_of_constants_alone_is_computed_while_the_file_is_read(kind: str, tmp_path: Path) -> None:
    def shifted(g: Graph) -> str:
        c = g.constant(drawn(6, 1, 1))
        if kind == "softplus":
            return g("Add", "x", g("Log", g("Add", g("Exp", c), 1.0)))
        if kind == "prelu":
            return g("Add", "x", g("Where", g("Less", c, 0.0), g("Mul", c, 0.3), c))
        return g("Mul", "x", g("Where", g("Less", c, 0.5), g.constant(0.5), c))

    read, y, expected = imported(shifted, tmp_path)
    assert types(read) == ["affine"]
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_a_normalisation_that_is_read_twice_is_right_in_both_places(tmp_path: Path) -> None:
    _, y, expected = imported(norm_that_is_read_twice, tmp_path)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * float(np.abs(expected).max()))


def test_a_variance_over_other_axes_is_no_layer_norm(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Sqrt .* needs"):
        imported(lambda g: normalised(g, [1], others=[2, 3]), tmp_path)
