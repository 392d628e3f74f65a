"""What leaves as an ONNX file comes back: layers and blocks, presets, models with all that is beside their graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from pydantic import TypeAdapter

from benchmarks.exported.compare import computed
from engine.errors import EngineError, ModelFileError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.node import Node
from engine.graph.operation import Operation
from engine.layers import LAYERS, AnyLayer, Context, Example
from engine.layers.local_response import LocalResponseNorm
from engine.model.inference import Predictor
from engine.model.model_file import Model
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_format.write import OnnxFile, export_model, export_network
from engine.model.onnx_import.converters import COUNTS, FOLDS, RULES, table
from engine.model.onnx_import.importing import Imported, ImportedNetwork, import_network, import_onnx
from engine.presets import Preset
from engine.recipe.losses import LOSSES, AnyLoss, Loss
from tests.engine.test_onnx_format import blocks, drawn, model, sizes

PARSE = TypeAdapter(AnyLayer)
CASES = [
    pytest.param(example, id=f"{kind.tag()}-{number}")
    for kind in LAYERS
    for number, example in enumerate(kind.examples)
]
TOLERANCE = 1e-5


def written(file: OnnxFile, folder: Path) -> Path:
    path = folder / "file.onnx"
    path.write_bytes(b"".join(file.pieces()))
    return path


def compare(network: Network, imported: ImportedNetwork, weights: dict[str, Any], tolerance: float) -> None:
    x = np.random.default_rng(5).standard_normal((3, *network.input_shape)).astype(np.float32)
    wanted = network.forward(weights, x, Context()).output
    found = computed(imported, np.moveaxis(x, -1, 1))
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(np.moveaxis(found, 1, -1) / scale, wanted / scale, atol=tolerance, rtol=0)


NOT_COMING_BACK = {
    "local_response_norm-1": "a window of even size is written as a power of sums, for which there is no layer",
}


def fed(example: Example) -> Network:
    """Return a network of one layer; one of several inputs reads parts of the picture in their shapes."""
    if len(example.inputs) == 1:
        return Operation.build(PARSE.validate_python(example.layer), example.inputs).network
    layers: list[dict[str, Any]] = []
    first = 0
    for number, shape in enumerate(example.inputs):
        count = int(np.prod(shape))
        part = {"type": "slice", "name": f"part-{number}", "channels": [first, first + count]}
        layers += [part | {"inputs": ["input"]}, {"type": "reshape", "name": f"x-{number}", "shape": shape}]
        first += count
    layers.append(example.layer | {"inputs": [f"x-{number}" for number in range(len(example.inputs))]})
    return Network.build(Architecture.model_validate({"input_shape": (1, 1, first), "layers": layers}))


@pytest.mark.parametrize("example", CASES)
def test_a_layer_comes_back(example: Example, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for name, reason in NOT_COMING_BACK.items():
        if f"[{name}" in request.node.name:
            pytest.skip(reason)
    network = fed(example)
    weights = drawn(network, np.random.default_rng(3))
    graph = read_graph(written(export_network(network, weights), tmp_path))
    compare(network, import_network(graph), weights, TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("group_norm", (3, 4, 64)),
        ("layer_norm", (3, 4, 8)),
        ("instance_norm", (3, 4, 8)),
        ("gelu", (5,)),
        ("silu", (5,)),
        ("hard_swish", (3, 4, 2)),
        ("adaptive_average_pool2d", (7, 5, 2)),
        ("affine", (4, 3, 6)),
        ("prelu", (4, 3, 6)),
    ],
)
def test_a_layer_that_is_written_in_parts_comes_back_as_one(
    kind: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    more = {"adaptive_average_pool2d": {"output_size": [3, 5]}}
    record = PARSE.validate_python({"type": kind, **more.get(kind, {})})
    network = Operation.build(record, [shape]).network
    weights = drawn(network, np.random.default_rng(3))
    imported = import_network(read_graph(written(export_network(network, weights), tmp_path)))
    assert [node.layer.type for node in imported.network.nodes if node.layer.type != "flatten"] == [kind]


@pytest.mark.parametrize("preset", sizes())
def test_a_preset_comes_back(preset: Preset, tmp_path: Path) -> None:
    side = max(preset.smallest, 32)
    network = Network.build(preset.architecture((side, side + 3, 3), 7))
    weights = drawn(network, np.random.default_rng(3))
    graph = read_graph(written(export_network(network, weights), tmp_path))
    compare(network, import_network(graph), weights, 1e-4)


def written_as_power(node: Node) -> bool:
    """Tell whether a layer is written by an operator for which there is no layer: the power of any number."""
    layer = node.layer
    return isinstance(layer, LocalResponseNorm) and (layer.size % 2 == 0 or len(node.input_shapes[0]) == 1)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)),
    candidates=st.lists(blocks, min_size=3, max_size=8),
    seed=st.integers(0, 2**16),
)
def test_a_network_by_chance_comes_back(
    shape: tuple[int, int, int],
    candidates: list[dict[str, Any]],
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    network, layers = None, []
    for candidate in candidates:
        try:
            built = Network.build(
                Architecture.model_validate({"input_shape": shape, "layers": [*layers, candidate]})
            )
        except (EngineError, ValueError):
            continue
        if not any(written_as_power(node) for node in built.nodes):
            network, layers = built, [*layers, candidate]
    if network is not None:
        weights = drawn(network, np.random.default_rng(seed))
        graph = read_graph(written(export_network(network, weights), tmp_path_factory.getbasetemp()))
        compare(network, import_network(graph), weights, 1e-4)


def test_two_rules_for_one_operator_and_version_are_refused() -> None:
    assert table(RULES)
    assert table(FOLDS)
    assert table(COUNTS)
    with pytest.raises(ValueError, match="two rules for"):
        table((*RULES, RULES[0]))


def as_model(imported: Imported) -> Model:
    assert imported.classes is not None
    assert imported.preprocessing is not None
    return Model(
        imported.architecture,
        imported.classes,
        imported.preprocessing,
        imported.loss,
        imported.weights,
        {"picture": imported.picture},
        imported.target,
    )


@pytest.mark.parametrize("last", [(), ({"type": "softmax"},)], ids=["scores", "softmax"])
@pytest.mark.parametrize("inside", [False, True], ids=["prepared outside", "prepared inside"])
@pytest.mark.parametrize("kind", LOSSES, ids=lambda kind: kind.tag())
def test_a_model_comes_back_and_predicts_the_same(
    kind: type[Loss], inside: bool, last: tuple[dict[str, str], ...], tmp_path: Path
) -> None:
    whole = model(TypeAdapter(AnyLoss).validate_python(kind.examples[0]), *last)
    path = written(export_model(whole, preprocessing_inside=inside), tmp_path)
    imported = import_onnx(path, max_parameters=10_000)
    pictures = np.random.default_rng(1).integers(0, 256, (3, 9, 8, 3), np.uint8)
    found = Predictor(as_model(imported)).predict(pictures)
    np.testing.assert_allclose(found, Predictor(whole).predict(pictures), atol=TOLERANCE)
    assert (imported.classes, imported.target) == (whole.classes, whole.target)
    assert imported.preprocessing == whole.preprocessing
    assert imported.picture == whole.metadata["picture"]
    assert imported.outputs == 3
    if not last and kind.tag() != "mean_squared_error":
        assert [layer.name for layer in imported.architecture.layers] == [
            "pixels",
            "pixels_activation",
            "max_pool2d_1",
            "flatten_1",
            "predictions",
        ]


def test_a_graph_of_others_that_prepares_bytes_itself_takes_them_as_they_are(tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    stored = {
        "full": np.array(255, np.float32),
        "mean": np.array([0.4, 0.5, 0.3], np.float32),
        "filters": draw.standard_normal((4, 3, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=int(TensorProto.FLOAT)),
        helper.make_node("Div", ["numbers", "full"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "mean"], ["centred"]),
        helper.make_node("Transpose", ["centred"], ["maps"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["maps", "filters"], ["found"]),
        helper.make_node("GlobalAveragePool", ["found"], ["averages"]),
        helper.make_node("Flatten", ["averages"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["predictions"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 9, 8, 3])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
    )
    content = helper.make_model(
        graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
    ).SerializeToString()
    path = tmp_path / "file.onnx"
    path.write_bytes(content)
    imported = replace(import_onnx(path), classes=("a", "b", "c", "d"))
    pictures = draw.integers(0, 256, (3, 9, 8, 3), np.uint8)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"pixels": pictures})
    np.testing.assert_allclose(Predictor(as_model(imported)).predict(pictures), expected, atol=TOLERANCE)
    assert [layer.type for layer in imported.architecture.layers][:2] == ["affine", "affine"]


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "Sigmoid", None])
def test_what_a_graph_ends_with_says_what_it_tells(last: str | None, tmp_path: Path) -> None:
    weight = numpy_helper.from_array(
        np.random.default_rng(1).standard_normal((12, 4)).astype(np.float32), "w"
    )
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["s"])]
    nodes += [helper.make_node(last, ["s"], ["y"])] if last else []
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 2, 2])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["N", 4])],
        [weight],
    )
    path = tmp_path / "file.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    )
    imported = import_onnx(path)
    target, loss = (
        ("labels", "binary_cross_entropy") if last == "Sigmoid" else ("class", "softmax_cross_entropy")
    )
    assert (imported.target, imported.loss.type) == (target, loss)
    assert [layer.type for layer in imported.architecture.layers] == ["flatten", "dense"]
    assert import_onnx(path, target="values").loss.type == "mean_squared_error"
    kept = [layer.type for layer in import_onnx(path, target="values").architecture.layers[2:]]
    assert kept == (
        [{"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}[last]] if last else []
    )
    if last == "Softmax":
        with pytest.raises(ModelFileError, match="ends with softmax, which does not give labels"):
            import_onnx(path, target="labels")
