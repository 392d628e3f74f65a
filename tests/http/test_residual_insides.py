"""A look inside of imported networks with blocks, branches and frozen layers, of classes, labels and values."""

import io
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.inputs.preprocessing import Preprocessing
from engine.layers import Context
from engine.model.model_file import Model, model_bytes
from engine.recipe.losses import AnyLoss

SIDE = 12
LAYERS: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "trainable": False},
    {"type": "batch_norm", "activation": "relu", "trainable": False},
    {
        "type": "residual",
        "layers": [
            {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"},
            {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same"},
        ],
        "shortcut": "identity",
        "activation": "relu",
    },
    {
        "type": "parallel",
        "branches": [
            [{"type": "conv2d", "filters": 2, "kernel_size": 1}],
            [{"type": "depthwise_conv2d", "kernel_size": 3, "padding": "same"}],
        ],
        "merge": "concatenate",
    },
    {"type": "global_average_pool2d"},
    {"type": "dense", "units": 3},
]
LOSSES = {
    "class": ("softmax_cross_entropy", "softmax"),
    "labels": ("binary_cross_entropy", "sigmoid"),
    "values": ("mean_squared_error", None),
}


class Imported(NamedTuple):
    """A model on the server, and the same in this process."""

    url: str
    model: Model
    outputs: dict[str, Any]
    """What each node puts out for the picture."""


def picture() -> Any:
    return np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module", params=list(LOSSES))
def imported(http: httpx.Client, request: pytest.FixtureRequest) -> Imported:
    loss, link = LOSSES[request.param]
    layers = LAYERS if link is None else [*LAYERS, {"type": link}]
    architecture = Architecture.model_validate({"input_shape": [SIDE, SIDE, 3], "layers": layers})
    network = Network.build(architecture)
    random = np.random.default_rng(0)
    weights = {
        name: random.uniform(0.2, 1, spec.shape).astype(np.float32)
        if name.startswith("batch_norm")
        else random.normal(0, 0.4, spec.shape).astype(np.float32)
        for name, spec in network.weight_specs.items()
    }
    model = Model(
        architecture=architecture,
        classes=("blue", "green", "red"),
        preprocessing=Preprocessing(mean=(0.5, 0.4, 0.3), deviation=(0.2, 0.25, 0.3)),
        loss=TypeAdapter(AnyLoss).validate_python({"type": loss}),
        weights=weights,
        metadata={"picture": {"image_shape": [SIDE, SIDE, 3]}},
        target=request.param,
    )
    answer = http.post(
        "/v1/models/import",
        content=model_bytes(model),
        headers={"Content-Type": "application/octet-stream"},
        params={"name": f"inside {request.param}"},
    )
    assert answer.status_code == 201, answer.text
    x = model.preprocessing.apply(picture()[None])
    outputs = {run.node.name: run.output[0] for run in network.run(weights, x, Context())}
    return Imported(f"/v1/models/{answer.json()['id']}", model, outputs)


def post(http: httpx.Client, imported: Imported, what: str, accept: str, **query: Any) -> httpx.Response:
    headers = {"Content-Type": "image/png", "Accept": accept}
    answer = http.post(f"{imported.url}/{what}", params=query, content=png(), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def test_every_node_gives_what_the_engine_computes(http: httpx.Client, imported: Imported) -> None:
    for name, expected in imported.outputs.items():
        body = post(http, imported, "activations", "application/json", node=name).json()
        np.testing.assert_allclose(body["data"][0]["numbers"], expected, rtol=1e-4, atol=1e-5)
    account = post(http, imported, "activations", "application/json").json()["data"][0]
    assert [node["name"] for node in account["nodes"]] == ["input", *imported.outputs]


def test_the_name_of_a_block_stands_for_its_output(http: httpx.Client, imported: Imported) -> None:
    body = post(http, imported, "activations", "application/json", node="residual_1").json()
    assert body["node"] == "residual_1/activation"
    np.testing.assert_allclose(
        body["data"][0]["numbers"], imported.outputs["residual_1/activation"], rtol=1e-4, atol=1e-5
    )


def test_the_last_node_is_what_predictions_say(http: httpx.Client, imported: Imported) -> None:
    """The link that the architecture ends with gives probabilities, the layer before it scores."""
    last = list(imported.outputs)[-1]
    (found,) = post(http, imported, "activations", "application/json", node=last).json()["data"]
    (prediction,) = post(http, imported, "predict", "application/json").json()["data"]
    if imported.model.target == "values":
        expected = [entry["value"] for entry in prediction["values"]]
    else:
        by_label = {entry["label"]: entry["probability"] for entry in prediction["top"]}
        expected = [by_label[name] for name in imported.model.classes]
    np.testing.assert_allclose(found["numbers"], expected, rtol=1e-3, atol=1e-5)


def test_an_embedding_is_what_the_head_reads(http: httpx.Client, imported: Imported) -> None:
    body = post(http, imported, "embedding", "application/json").json()
    assert body["node"] == "global_average_pool2d_1"
    np.testing.assert_allclose(
        body["data"][0]["embedding"], imported.outputs["global_average_pool2d_1"], rtol=1e-4, atol=1e-5
    )


def test_a_residual_sum_is_traced_to_its_two_terms(http: httpx.Client, imported: Imported) -> None:
    body = post(
        http, imported, "trace", "application/json", node="residual_1", position="2,3,1", on_the_way=True
    ).json()
    (found,) = body["data"]
    assert found["trace"]["output"] == pytest.approx(
        float(imported.outputs["residual_1/activation"][2, 3, 1]), abs=1e-4
    )
    total = next(each for each in found["on_the_way"] if each["type"] == "add")
    terms = [source["value"] for source in total["trace"]["sources"]]
    assert len(terms) == 2
    assert sum(terms) == pytest.approx(total["trace"]["output"])


def test_everything_can_be_drawn(http: httpx.Client, imported: Imported) -> None:
    drawn = [post(http, imported, "activations", "image/png").content]
    drawn += [
        post(http, imported, "activations", "image/png", node=name).content for name in imported.outputs
    ]
    listed = http.get(f"{imported.url}/filters").json()["data"]
    for entry in listed:
        answer = http.get(
            f"{imported.url}/filters", params={"node": entry["node"]}, headers={"Accept": "image/png"}
        )
        drawn.append(answer.content)
    for content in drawn:
        Image.open(io.BytesIO(content)).load()
    assert [entry["node"] for entry in listed] == [
        name for name in imported.outputs if f"{name}/weight" in imported.model.weights
    ]


def test_filters_are_those_of_the_file(http: httpx.Client, imported: Imported) -> None:
    weights = imported.model.weights
    for entry in http.get(f"{imported.url}/filters").json()["data"]:
        expected = weights[entry["weight"]]
        assert entry["shape"] == list(expected.shape)
        assert entry["norm"] == pytest.approx(np.linalg.norm(expected), rel=1e-5)
        body = http.get(f"{imported.url}/filters", params={"node": entry["node"]}).json()
        np.testing.assert_array_equal(np.array(body["numbers"], np.float32), expected)
        for number, found in enumerate(body["data"]):
            assert found["bias"] == pytest.approx(float(weights[f"{entry['node']}/bias"][number]))
            assert found["norm"] == pytest.approx(np.linalg.norm(expected[..., number]), rel=1e-5)
        answer = http.get(
            f"{imported.url}/filters",
            params={"node": entry["node"]},
            headers={"Accept": "application/x-npz"},
        )
        with np.load(io.BytesIO(answer.content)) as file:
            np.testing.assert_array_equal(file[entry["weight"]], expected)
