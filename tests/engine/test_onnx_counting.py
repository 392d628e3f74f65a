"""A Gather whose indices count the pictures of a batch is another shape of the same tensor, or is refused."""

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
from engine.model.onnx_import.importing import ImportedNetwork, import_network

CHANNELS = 3


def written(path: Path, *, start: int = 0, step: int = CHANNELS, order: tuple[int, ...] = (0, 1, 2)) -> Path:
    """Write the graph by which PyTorch's newer exporter makes (N, C, 1, 1) of a mean over pixels."""
    constants = {
        "axes": [2, 3],
        "row": [-1],
        "start": start,
        "one": 1,
        "step": step,
        "behind": [1, 2, 3],
        "order": np.reshape(order, (1, CHANNELS, 1, 1)),
    }
    nodes = [
        helper.make_node("Shape", ["input"], ["shape"], end=1),
        helper.make_node("Squeeze", ["shape"], ["count"]),
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"]),
        helper.make_node("Reshape", ["mean", "row"], ["flat"]),
        helper.make_node("Range", ["start", "count", "one"], ["pictures"]),
        helper.make_node("Mul", ["pictures", "step"], ["starts"]),
        helper.make_node("Unsqueeze", ["starts", "behind"], ["stretched"]),
        helper.make_node("Add", ["stretched", "order"], ["places"]),
        helper.make_node("Gather", ["flat", "places"], ["output"]),
    ]
    return saved(path, nodes, constants, "batch")


def written_for_two(path: Path, places: list[int]) -> Path:
    """Write the same for batches of two pictures: then the indices are constants."""
    constants = {"axes": [2, 3], "row": [-1], "places": np.reshape(places, (2, CHANNELS, 1, 1))}
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"]),
        helper.make_node("Reshape", ["mean", "row"], ["flat"]),
        helper.make_node("Gather", ["flat", "places"], ["output"]),
    ]
    return saved(path, nodes, constants, 2)


def saved(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, Any], batch: int | str) -> Path:
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "view",
        [helper.make_tensor_value_info("input", real, [batch, CHANNELS, 4, 5])],
        [helper.make_tensor_value_info("output", real, [batch, CHANNELS, 1, 1])],
        [numpy_helper.from_array(np.array(each, np.int64), name) for name, each in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def imported(path: Path) -> ImportedNetwork:
    return import_network(read_graph(path, None), max_parameters=1000)


@pytest.mark.parametrize("fixed", [False, True])
def test_a_view_of_each_picture_s_numbers_is_the_same_tensor(fixed: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path = written_for_two(path, list(range(2 * CHANNELS))) if fixed else written(path)
    x = np.random.default_rng(1).standard_normal((2, CHANNELS, 4, 5)).astype(np.float32)
    (expected,) = onnxruntime.InferenceSession(path).run(None, {"input": x})
    read = imported(path)
    y = computed(read, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "operator", "needed"),
    [
        ({"step": CHANNELS - 1}, "Gather", "all numbers of each picture in the order in which they are"),
        ({"order": (0, 2, 1)}, "Gather", "all numbers of each picture in the order in which they are"),
        ({"start": 1}, "Range", "a count of the pictures of a batch from 0 on"),
    ],
)
def test_what_is_no_view_of_each_picture_s_numbers_is_refused(
    change: dict[str, int | tuple[int, ...]], operator: str, needed: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelFileError, match=f"{operator} .* needs {needed}"):
        imported(written(tmp_path / "model.onnx", **change))  # type: ignore[arg-type]


@pytest.mark.parametrize("places", [[3, 4, 5, 0, 1, 2], [0, 2, 1, 3, 5, 4], [0, 1, 2, 0, 1, 2]])
def test_numbers_of_a_fixed_batch_in_another_order_are_refused(places: list[int], tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Gather .* needs all numbers of each picture in the order"):
        imported(written_for_two(tmp_path / "model.onnx", places))
