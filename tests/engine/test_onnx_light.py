"""The networks that come with the library of ONNX: files of a few kilobytes, whose nodes compute their weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, helper, numpy_helper

from benchmarks.exported.compare import computed
from engine.errors import LimitError
from engine.model.onnx_format.read import read_graph
from engine.model.onnx_import.importing import import_network, import_onnx

FILES = sorted((Path(onnx.__file__).parent / "backend/test/data/light").glob("light_*.onnx"))
LARGE = ("light_bvlc_alexnet", "light_vgg19", "light_zfnet512")
FOUND = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in LARGE else []) for path in FILES
]


def test_all_nine_are_there() -> None:
    assert len(FILES) == 9


@pytest.mark.parametrize("path", FOUND)
def test_it_becomes_a_model_of_a_thousand_classes(path: Path) -> None:
    imported = import_onnx(path, max_parameters=150_000_000)
    assert (imported.outputs, imported.target, imported.loss.type) == (1000, "class", "softmax_cross_entropy")
    with pytest.raises(LimitError, match="at most 1,000,000 are allowed"):
        import_onnx(path, max_parameters=1_000_000)


def drawn(path: Path) -> ModelProto:
    """Return a network with weights by chance, for with equal ones all classes are alike, and without its softmax."""
    model = onnx.load(path)
    shapes = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    draw = np.random.default_rng(1)
    kept = []
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            shape = [int(size) for size in shapes[node.input[0]]]
            scale = 1 / np.sqrt(max(np.prod(shape[1:]), 1))
            numbers = draw.standard_normal(shape) * scale if len(shape) > 1 else draw.uniform(0.5, 1.5, shape)
            model.graph.initializer.append(
                numpy_helper.from_array(numbers.astype(np.float32), node.output[0])
            )
        elif node.op_type != "Softmax":
            kept.append(node)
    last = kept[-1].output[0]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None))
    return model


@pytest.mark.parametrize("path", FOUND)
def test_it_computes_what_onnx_runtime_does(path: Path, tmp_path: Path) -> None:
    content = drawn(path).SerializeToString()
    file = tmp_path / "drawn.onnx"
    file.write_bytes(content)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(2).standard_normal((1, 3, 224, 224)).astype(np.float32)
    (expected,) = session.run(None, {session.get_inputs()[0].name: x})
    assert expected.std() > 1e-3 * np.abs(expected).max()
    found = computed(import_network(read_graph(file)), x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * float(np.abs(expected).max()))
