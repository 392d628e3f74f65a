"""A look inside of models: what is answered is what the engine computes."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from engine.graph.network import Network
from engine.layers import Context
from engine.model.model_file import Model, read_model

ACTIVATIONS = "/v1/models/model_example/activations"
PNG = {"Content-Type": "image/png"}


def png(seed: int, side: int = 28) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def example() -> Model:
    return read_model(Path("app/builtin/model_example.safetensors"))


def outputs(model: Model, picture: bytes) -> dict[str, Any]:
    """Run a picture of the model's own size through its network, apart from the service."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)))[None, ..., None]
    x = model.preprocessing.apply(pixels)
    runs = Network.build(model.architecture).run(model.weights, x, Context())
    return {"input": x[0]} | {run.node.name: run.output[0] for run in runs}


@pytest.mark.parametrize("node", ["input", "conv2d_2", "max_pool2d_2", "dense_3"])
def test_the_activations_of_a_node_are_the_engines(http: httpx.Client, example: Model, node: str) -> None:
    answer = http.post(ACTIVATIONS, params={"node": node}, content=png(1), headers=PNG)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    expected = outputs(example, png(1))[node]
    (found,) = body["data"]
    assert body["node"] == node
    assert body["shape"] == list(expected.shape)
    np.testing.assert_allclose(found["numbers"], expected, rtol=1e-5, atol=1e-6)
    assert found["statistics"]["maximum"] == pytest.approx(expected.max())
    assert found["statistics"]["deviation"] == pytest.approx(expected.std(), rel=1e-4)
    assert found["statistics"]["zeros"] == pytest.approx((expected == 0).mean())


def test_an_unknown_node_is_named_with_those_that_there_are(http: httpx.Client) -> None:
    answer = http.post(ACTIVATIONS, params={"node": "conv2d_3"}, content=png(1), headers=PNG)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == "node"
    assert "'conv2d_3'" in fault["detail"]
    assert fault["hint"].startswith("choose one of conv2d_")
    assert fault["hint"].endswith(", input")
    assert "dense_3" in fault["hint"]


@pytest.mark.parametrize(
    ("call", "accepted"),
    [
        ("activations", "application/x-npz"),
        ("filters", "application/x-npz"),
        ("filters", "image/png"),
    ],
)
def test_numbers_of_all_nodes_at_once_are_refused(http: httpx.Client, call: str, accepted: str) -> None:
    url = f"/v1/models/model_example/{call}"
    if call == "filters":
        answer = http.get(url, headers={"Accept": accepted})
    else:
        answer = http.post(url, content=png(1), headers=PNG | {"Accept": accepted})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["parameter"] == "node"


def test_too_many_numbers_are_refused_before_they_are_computed(http: httpx.Client) -> None:
    files = [("files", (f"{number}.png", png(number))) for number in range(22)]
    answer = http.post(ACTIVATIONS, params={"node": "conv2d_1"}, files=files)
    assert answer.status_code == 413
    assert "application/x-npz" in answer.json()["detail"]


def test_activations_as_a_file_hold_every_picture(http: httpx.Client, example: Model) -> None:
    files = [("files", (f"{number}.png", png(number))) for number in range(22)]
    headers = {"Accept": "application/x-npz"}
    answer = http.post(ACTIVATIONS, params={"node": "conv2d_1"}, files=files, headers=headers)
    assert answer.headers["content-type"] == "application/x-npz"
    found = np.load(io.BytesIO(answer.content))["conv2d_1"]
    expected = np.stack([outputs(example, png(number))["conv2d_1"] for number in range(22)])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_account_has_every_node_in_order(http: httpx.Client, example: Model) -> None:
    files = [("files", (f"{number}.png", png(number))) for number in range(2)]
    body = http.post(ACTIVATIONS, files=files).json()
    assert [entry["filename"] for entry in body["data"]] == ["0.png", "1.png"]
    for number, entry in enumerate(body["data"]):
        expected = outputs(example, png(number))
        assert [node["name"] for node in entry["nodes"]] == list(expected)
        for node in entry["nodes"]:
            output = expected[node["name"]]
            assert node["shape"] == list(output.shape)
            assert node["minimum"] == pytest.approx(output.min(), abs=1e-5)
            assert node["mean"] == pytest.approx(output.mean(), rel=1e-3, abs=1e-5)
            assert node["maximum"] == pytest.approx(output.max(), abs=1e-5)
            assert node["zeros"] == pytest.approx((output == 0).mean())
            thumbnail = Image.open(io.BytesIO(base64.b64decode(node["thumbnail"])))
            assert thumbnail.width <= 8 * 34
            assert thumbnail.height <= 32
    assert body["data"][0]["nodes"][0]["type"] == "input"


@pytest.mark.parametrize("query", [{}, {"node": "conv2d_2"}, {"node": "flatten_1"}, {"node": "dense_3"}])
def test_one_picture_is_drawn_at_a_time(http: httpx.Client, query: dict[str, str]) -> None:
    headers = {"Accept": "image/png"}
    answer = http.post(ACTIVATIONS, params=query, content=png(1), headers=PNG | headers)
    assert answer.headers["content-type"] == "image/png"
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 10
    files = [("files", ("1.png", png(1))), ("files", ("2.png", png(2)))]
    assert http.post(ACTIVATIONS, params=query, files=files, headers=headers).status_code == 422


def test_one_scale_for_all_maps_draws_another_picture(http: httpx.Client) -> None:
    drawn = [
        http.post(
            ACTIVATIONS,
            params={"node": "conv2d_2", "scale": scale},
            content=png(1),
            headers=PNG | {"Accept": "image/png"},
        ).content
        for scale in ("map", "shared")
    ]
    assert drawn[0] != drawn[1]


EMBEDDING = "/v1/models/model_example/embedding"


def test_an_embedding_is_what_the_head_reads(http: httpx.Client, example: Model) -> None:
    files = [("files", (f"{number}.png", png(number))) for number in range(3)]
    body = http.post(EMBEDDING, files=files).json()
    assert body["node"] == "dense_2/activation"
    assert body["dimensions"] == 84
    for number, entry in enumerate(body["data"]):
        expected = outputs(example, png(number))["dense_2/activation"]
        assert entry["filename"] == f"{number}.png"
        np.testing.assert_allclose(entry["embedding"], expected, rtol=1e-5, atol=1e-5)


def test_the_embedding_of_a_map_is_the_mean_of_each_channel(http: httpx.Client, example: Model) -> None:
    headers = PNG | {"Accept": "application/x-npz"}
    answer = http.post(EMBEDDING, params={"node": "max_pool2d_2"}, content=png(1), headers=headers)
    found = np.load(io.BytesIO(answer.content))["embeddings"]
    expected = outputs(example, png(1))["max_pool2d_2"].mean(axis=(0, 1))
    np.testing.assert_allclose(found, expected[None], rtol=1e-5, atol=1e-6)


TRACE = "/v1/models/model_example/trace"


def test_the_trace_of_a_number_ends_in_that_number(http: httpx.Client, example: Model) -> None:
    expected = outputs(example, png(1))
    positions = [(3, 4, 0), (0, 27, 5)]
    query = {"node": "conv2d_1", "position": [",".join(map(str, position)) for position in positions]}
    answer = http.post(TRACE, params=query, content=png(1), headers=PNG)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["shape"] == [28, 28, 6]
    for position, found in zip(positions, body["data"], strict=True):
        trace = found["trace"]
        products = np.array(trace["window"]) * np.array(trace["factors"])
        assert trace["position"] == list(position)
        assert trace["output"] == pytest.approx(products.sum() + trace["bias"])
        assert trace["output"] == pytest.approx(expected["conv2d_1"][position], abs=1e-4)
        assert found["through"]["trace"]["output"] == pytest.approx(
            expected["conv2d_1/activation"][position], abs=1e-4
        )


@pytest.mark.parametrize(
    ("query", "parameter", "hint"),
    [
        ({"node": "conv2d_1", "position": "28,0,0"}, "position", "the last is [27, 27, 5]"),
        ({"node": "dense_3", "position": "1,2,3"}, "position", "[index]"),
        ({"node": "conv2d_1", "position": "-1,0,0"}, "position", "3,4,0"),
        ({"node": "conv2d_1", "position": ["0,0,0"] * 65}, "position", None),
        ({"node": "conv2d_1"}, "position", None),
        ({"node": "input", "position": "0,0,0"}, "node", "choose one of conv2d_1"),
    ],
)
def test_positions_that_are_none_are_refused(
    http: httpx.Client, query: dict[str, Any], parameter: str, hint: str | None
) -> None:
    answer = http.post(TRACE, params=query, content=png(1), headers=PNG)
    assert answer.status_code == 422, answer.text
    fault = answer.json()["errors"][0]
    assert fault["parameter"].startswith(parameter)
    assert hint is None or hint in fault["hint"]


def test_a_node_without_filters_is_refused_with_those_that_have_some(http: httpx.Client) -> None:
    answer = http.get("/v1/models/model_example/filters", params={"node": "max_pool2d_1"})
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == "node"
    assert "conv2d_1" in fault["hint"]
    assert "flatten" not in fault["hint"]
