"""ONNX files over HTTP: what PyTorch exports becomes a model like others; what cannot is refused, all of it."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper
from PIL import Image
from safetensors.numpy import load

IMPORT = "/v1/models/import"
SMALL = Path(__file__).parents[1] / "engine" / "golden" / "onnx"
PNG = {"Content-Type": "image/png"}
NEUTRAL = {"mean": [0] * 3, "deviation": [1] * 3}
NAMES = [f"kind {number}" for number in range(5)]


def post(http: httpx.Client, file: bytes, external: bytes | None = None, **fields: Any) -> httpx.Response:
    data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    files = {"file": ("mobile.onnx", file)}
    if external is not None:
        files["external_data"] = ("mobile.onnx.data", external)
    return http.post(IMPORT, files=files, data=data)


def pixels(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def png(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def probabilities(path: Path | bytes, x: np.ndarray) -> np.ndarray:
    """Return by ONNX Runtime the probabilities (N, K) of what a graph takes."""
    session = onnxruntime.InferenceSession(path)
    (scores,) = session.run(None, {session.get_inputs()[0].name: x})
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def graph(nodes: list[Any], initializers: list[Any] = [], sizes: tuple[Any, ...] = ("N", 3, 4, 4)) -> bytes:  # noqa: B006
    """Return a file with `x` going in and `y` coming out."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    made = helper.make_model(
        helper.make_graph(nodes, "g", [x], [y], initializers), opset_imports=[helper.make_opsetid("", 17)]
    )
    content: bytes = made.SerializeToString()
    return content


def classifier() -> list[Any]:
    return [
        helper.make_node("GlobalAveragePool", ["x"], ["means"], name="pool"),
        helper.make_node("Flatten", ["means"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "w"], ["y"], name="last"),
    ]


def weights(outputs: int = 2) -> list[Any]:
    numbers = np.random.default_rng(3).normal(size=(3, outputs)).ravel()
    return [helper.make_tensor("w", TensorProto.FLOAT, [3, outputs], numbers)]


@pytest.mark.parametrize("name", ["mobilenet_v3-torchscript", "shufflenet_v2-dynamo", "convnext-dynamo"])
def test_what_pytorch_exports_predicts_the_same_here(http: httpx.Client, name: str) -> None:
    path = SMALL / f"{name}.onnx"
    answer = post(http, path.read_bytes(), classes=NAMES, input_shape=[32, 32, 3])
    assert answer.status_code == 201, answer.text
    model = answer.json()
    report = model.pop("import")
    assert (report["format"], report["assumed"], report["missing"]) == ("onnx", ["preprocessing"], [])
    assert report["mapped"] > 10
    assert http.get(answer.headers["location"]).json() == model
    assert (model["name"], model["classes"], model["target"]) == ("mobile", NAMES, "class")
    assert model["provenance"]["origin"] == {"format": "onnx"}
    assert (model["preprocessing"]["mean"], model["preprocessing"]["deviation"]) == ([0] * 3, [1] * 3)
    pictures = [pixels(seed) for seed in range(3)]
    x = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32) / 255
    expected = probabilities(path, x)
    seen = http.post(
        f"/v1/models/{model['id']}/predict?top_k=5",
        files=[("files", (f"{n}.png", png(each))) for n, each in enumerate(pictures)],
    ).json()["data"]
    for entry, shares in zip(seen, expected, strict=True):
        found = {each["label"]: each["probability"] for each in entry["top"]}
        assert [found[label] for label in NAMES] == pytest.approx(shares, abs=1e-4)


def test_tensors_may_come_in_a_second_file(http: httpx.Client) -> None:
    name = "mobilenet_v3-dynamo-opset-18"
    file, external = ((SMALL / f"{name}.onnx{end}").read_bytes() for end in ("", ".data"))
    answer = post(http, file, external, input_shape=[32, 32, 3])
    assert answer.status_code == 201, answer.text
    fields = {"file": file, "external_data": external}
    document = {key: base64.b64encode(content).decode() for key, content in fields.items()}
    again = http.post(IMPORT, json=document | {"input_shape": [32, 32, 3], "name": "from json"})
    assert again.status_code == 201, again.text
    assert again.json()["import"] == answer.json()["import"]
    sent = [http.get(f"/v1/models/{one.json()['id']}/weights").content for one in (answer, again)]
    first, second = (load(content) for content in sent)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    missing = post(http, file, input_shape=[32, 32, 3])
    assert missing.status_code == 422
    assert "second" in missing.json()["detail"] or "external" in missing.json()["detail"]


def test_an_imported_model_is_looked_into_exported_and_asked_by_tensors(http: httpx.Client) -> None:
    path = SMALL / "mobilenet_v3-torchscript.onnx"
    model = post(http, path.read_bytes(), input_shape=[32, 32, 3]).json()["id"]
    picture = pixels(7)
    account = http.post(f"/v1/models/{model}/activations", content=png(picture), headers=PNG)
    assert account.status_code == 200, account.text
    assert len(account.json()["data"][0]["nodes"]) > 10
    map_ = http.post(f"/v1/models/{model}/explain?method=grad_cam", content=png(picture), headers=PNG)
    assert map_.status_code == 200, map_.text
    out = http.get(f"/v1/models/{model}/onnx")
    assert out.status_code == 200, out.text
    x = picture[np.newaxis].transpose(0, 3, 1, 2).astype(np.float32) / 255
    session = onnxruntime.InferenceSession(out.content)
    (again,) = session.run(["predictions"], {"input": x})
    np.testing.assert_allclose(again, probabilities(path, x), atol=1e-5)
    back = post(http, out.content).json()
    assert back["import"]["assumed"] == []
    tensor = {"name": "input_nchw", "shape": list(x.shape), "datatype": "FP32", "data": x.ravel().tolist()}
    served = http.post(f"/v2/models/{back['id']}/infer", json={"inputs": [tensor]})
    assert served.status_code == 200, served.text
    assert served.json()["outputs"][0]["data"] == pytest.approx(again[0], abs=1e-5)


def test_an_imported_model_is_fine_tuned(http: httpx.Client, finished: Any) -> None:
    sizes = ("N", 1, 28, 28)
    rng = np.random.default_rng(5)
    kernel = helper.make_tensor("k", TensorProto.FLOAT, [8, 1, 5, 5], rng.normal(size=200) / 5)
    dense = helper.make_tensor("w", TensorProto.FLOAT, [8, 4], rng.normal(size=32))
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["maps"], name="first", kernel_shape=[5, 5], strides=[2, 2]),
        helper.make_node("Relu", ["maps"], ["positive"], name="psi"),
        helper.make_node("GlobalAveragePool", ["positive"], ["means"], name="pool"),
        helper.make_node("Flatten", ["means"], ["flat"], name="flat"),
        helper.make_node("Gemm", ["flat", "w"], ["y"], name="head"),
    ]
    model = post(http, graph(nodes, [kernel, dense], sizes)).json()["id"]
    job = http.post(
        "/v1/training-jobs", json={"initial_weights": model, "train": "all", "dataset": "digits", "epochs": 1}
    )
    assert job.status_code == 202, job.text
    done = finished(http, job.json()["id"])
    assert done["status"] == "succeeded", done
    made = http.get(f"/v1/models/{done['model_id']}").json()
    assert len(made["classes"]) == 10
    assert [layer["type"] for layer in made["architecture"]["layers"]][:2] == ["conv2d", "relu"]
    digit = http.get("/v1/datasets/digits/images/0").content
    assert http.post(f"/v1/models/{made['id']}/predict", content=digit, headers=PNG).status_code == 200


def test_all_that_is_missing_is_listed_by_operator_and_node(http: httpx.Client) -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["a"], name="wave one"),
        helper.make_node("Sin", ["a"], ["b"], name="wave two"),
        helper.make_node("Det", ["b"], ["c"], name="volume"),
        helper.make_node("Flatten", ["c"], ["y"], name="flat"),
    ]
    answer = post(http, graph(nodes))
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["type"].endswith("unsupported-graph")
    faults = {error["detail"].split(" ")[0]: error for error in problem["errors"]}
    assert set(faults) == {"Sin", "Det"}
    assert all(name in faults["Sin"]["detail"] for name in ("wave one", "wave two"))
    assert all(error["parameter"] == "file" and error["hint"] for error in problem["errors"])


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"classes": ["a", "b", "c"]}, "classes", "2 outputs"),
        ({"input_shape": [5, 5, 3]}, "", "input_shape"),
        ({"target": "nothing"}, "target", "class"),
        ({"preprocessing": {"mean": [0.5], "deviation": [0.5]}}, "preprocessing.mean", "3 channels"),
        ({"preprocessing": NEUTRAL | {"picture": {"fit": "no"}}}, "preprocessing.picture.fit", ""),
        ({"preset": "resnet-18"}, "preset", "an ONNX file"),
        ({"classes": "a, b"}, "classes", "this is not valid JSON"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_file_is_said_where_it_is(
    http: httpx.Client, fields: dict[str, Any], place: str, words: str
) -> None:
    answer = post(http, graph(classifier(), weights()), **fields)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert words in problem["detail"] or words in json.dumps(problem["errors"])
    if place:
        assert problem["errors"][0]["parameter"] == place
    assert "body" not in json.dumps(problem)


@pytest.mark.parametrize("fields", [{"target": "class"}, {"external": b"tensors"}])
def test_what_an_onnx_file_alone_has_is_refused_with_others(
    http: httpx.Client, fields: dict[str, Any]
) -> None:
    name = "external_data" if "external" in fields else "target"
    model_file = http.get("/v1/models/model_example/weights").content
    for preset in ({}, {"preset": "resnet-18"}):
        answer = post(http, model_file, **fields, **preset)
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["parameter"], error["hint"]) == (name, "leave it out")
        assert "belongs to an ONNX file" in error["detail"]
    damaged = post(http, b"hello, this is no network", **fields)
    assert damaged.status_code == 422
    assert "neither a safetensors nor an ONNX file" in damaged.json()["detail"]


def ones(inputs: int, outputs: int, number: float = 1.0) -> list[Any]:
    return [helper.make_tensor("w", TensorProto.FLOAT, [inputs, outputs], [number] * inputs * outputs)]


def _claimed(size: int) -> bytes:
    model = ModelProto.FromString(graph(classifier(), weights()))
    model.graph.initializer[0].dims[:] = [size, size]
    content: bytes = model.SerializeToString()
    return content


def _outside() -> bytes:
    model = ModelProto.FromString(graph(classifier(), weights()))
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    content: bytes = model.SerializeToString()
    return content


def _two_inputs() -> bytes:
    model = ModelProto.FromString(graph(classifier(), weights()))
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", 3, 4, 4]))
    content: bytes = model.SerializeToString()
    return content


WRONG = {
    "a text": lambda: b"hello, this is no network\n" * 9,
    "a text that begins like a field": lambda: b"2 + 2 = 4, more or less\n" * 9,
    "nothing": lambda: b"",
    "cut short": lambda: graph(classifier(), weights())[:-20],
    "a picture": lambda: png(pixels(1)),
    "sizes beyond all": lambda: _claimed(1 << 40),
    "more numbers than there are": lambda: _claimed(1000),
    "a place outside": _outside,
    "two inputs": _two_inputs,
    "a recurrent network": lambda: graph([helper.make_node("LSTM", ["x", "w", "w"], ["y"], name="l")], weights()),
    "a circle": lambda: graph([helper.make_node("Add", ["x", "y"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]),
    "two channels": lambda: graph(classifier(), ones(2, 2), ("N", 2, 4, 4)),
    "an output that is a map": lambda: graph([helper.make_node("Relu", ["x"], ["y"], name="psi")]),
    "weights that are not finite": lambda: graph(classifier(), ones(3, 2, float("nan"))),
    "sizes left open": lambda: graph(classifier(), weights(), ("N", 3, "H", "W")),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_no_model_is_refused_in_words_and_leaves_nothing(
    http: httpx.Client, kind: str
) -> None:
    before = http.get("/v1/models?limit=200").json()["data"]
    answer = post(http, WRONG[kind]())
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert len(problem["detail"]) > 20
    assert "Traceback" not in answer.text
    assert "/tmp" not in answer.text  # noqa: S108 - no path of the server is told
    assert [each["id"] for each in http.get("/v1/models?limit=200").json()["data"]] == [
        each["id"] for each in before
    ]
