"""What leaves as an ONNX file comes back: layers and blocks, presets, models with all that is beside their graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.operation import Operation
from engine.inputs.preprocessing import Preprocessing
from engine.layers import LAYERS, AnyLayer, Context, Example
from engine.model.inference import Predictor
from engine.model.model_file import Model
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_format.write import OnnxFile, export_model, export_network
from engine.model.onnx_import.converters import COUNTS, FOLDS, RULES, table
from engine.model.onnx_import.importing import Imported, ImportedNetwork, import_network, import_onnx
from engine.presets import Preset
from engine.recipe.losses import LOSSES, AnyLoss, Loss
from tests.engine.test_onnx_format import drawn, sizes

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
    source = np.moveaxis(x, -1, 1)
    ours = np.ascontiguousarray(imported.input.from_onnx(source))
    found = imported.output.to_onnx(imported.network.forward(imported.weights, ours, Context()).output)
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(np.moveaxis(found, 1, -1) / scale, wanted / scale, atol=tolerance, rtol=0)


NOT_YET = {
    "adaptive_average_pool2d": "it is written as products with matrices, which are not recognised",
    "pad2d-5": "what goes on at the other end is written as indices, for which there is no layer",
    "upsample2d-6": "averages of several pixels are written as products with matrices, which are not recognised",
    "local_response_norm-1": "a window of even size is written as a power of sums, for which there is no layer",
}


@pytest.mark.parametrize("example", CASES)
def test_a_layer_comes_back(example: Example, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if len(example.inputs) > 1:
        pytest.skip("a graph that is imported has one input; layers of several are tested in networks")
    for name, reason in NOT_YET.items():
        if f"[{name}" in request.node.name:
            pytest.skip(reason)
    network = Operation.build(PARSE.validate_python(example.layer), example.inputs).network
    weights = drawn(network, np.random.default_rng(3))
    graph = read_graph(written(export_network(network, weights), tmp_path))
    compare(network, import_network(graph), weights, TOLERANCE)


@pytest.mark.parametrize("preset", sizes())
def test_a_preset_comes_back(preset: Preset, tmp_path: Path) -> None:
    side = max(preset.smallest, 32)
    network = Network.build(preset.architecture((side, side + 3, 3), 7))
    weights = drawn(network, np.random.default_rng(3))
    graph = read_graph(written(export_network(network, weights), tmp_path))
    compare(network, import_network(graph), weights, 1e-4)


def test_two_rules_for_one_operator_and_version_are_refused() -> None:
    assert table(RULES)
    assert table(FOLDS)
    assert table(COUNTS)
    with pytest.raises(ValueError, match="two rules for"):
        table((*RULES, RULES[0]))


PREPROCESSING = Preprocessing(mean=(0.4, 0.5, 0.3), deviation=(0.2, 0.3, 0.25))
LAYERS_OF_MODEL = [
    {"type": "conv2d", "filters": 4, "name": "pixels", "activation": "relu"},
    {"type": "max_pool2d"},
    {"type": "flatten"},
    {"type": "dense", "units": 3, "name": "predictions"},
]


def model(loss: Loss, *last: dict[str, str]) -> Model:
    architecture = Architecture.model_validate(
        {"input_shape": (9, 8, 3), "layers": [*LAYERS_OF_MODEL, *last]}
    )
    weights = drawn(Network.build(architecture), np.random.default_rng(2))
    target = loss.targets[-1]
    picture = {"image_size": [9, 8], "channels": 3, "fit": "stretch"}
    return Model(
        architecture, ("cat", "dög", "cow"), PREPROCESSING, loss, weights, {"picture": picture}, target
    )


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
