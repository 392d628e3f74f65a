"""Small maps and gradients of all nodes, as the activations of a model."""

import base64
import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.http.colour_models import colour_model, imported

ACTIVATIONS = "/v1/models/model_example/activations"
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def picture(http: httpx.Client) -> bytes:
    """Return a three of the test split."""
    answer = http.get("/v1/datasets/digits/images/3", params={"split": "test"})
    assert answer.headers["Image-Label"] == "3"
    return answer.content


def numbers_of(maps: dict[str, Any]) -> Any:
    small = np.frombuffer(base64.b64decode(maps["data"]), np.int8).reshape(maps["shape"])
    return small / 127 * np.array(maps["most"])[:, None, None]


def account(http: httpx.Client, picture: bytes, **query: Any) -> dict[str, Any]:
    answer = http.post(ACTIVATIONS, params=query, content=picture, headers=PNG)
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["data"]
    return dict(found)


def node(http: httpx.Client, picture: bytes, name: str, **query: Any) -> Any:
    answer = http.post(
        ACTIVATIONS,
        params={"node": name, **query},
        content=picture,
        headers=PNG | {"Accept": "application/x-npz"},
    )
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))[name][0]


@pytest.mark.parametrize("query", [{}, {"gradient": "score"}, {"gradient": "loss", "class": "7"}])
def test_small_maps_are_the_numbers_of_the_nodes_to_a_127th(
    http: httpx.Client, picture: bytes, query: dict[str, Any]
) -> None:
    found = account(http, picture, maps=8, **query)
    assert found["nodes"][0]["name"] == "input"
    for each in found["nodes"]:
        assert each["thumbnail"] is None
        exact = node(http, picture, each["name"], **query)
        rows = exact[..., :8].transpose(2, 0, 1) if exact.ndim == 3 else exact.reshape(1, 1, -1)
        shown = numbers_of(each["maps"])
        assert shown.shape == rows.shape
        most = np.abs(rows).max(axis=(1, 2), keepdims=True)
        assert (np.abs(shown - rows) <= most / 254 * 1.001 + 1e-12).all()
        assert each["maximum"] == pytest.approx(exact.max())


def test_the_gradient_of_a_score_at_the_last_layer_is_its_weight(http: httpx.Client, picture: bytes) -> None:
    filters = http.get("/v1/models/model_example/filters", params={"node": "dense_3"}).json()
    found = node(http, picture, "dense_2/activation", gradient="score", **{"class": "8"})
    np.testing.assert_allclose(found, np.array(filters["numbers"])[:, 8], rtol=1e-5)


def test_the_gradient_of_the_loss_at_the_scores_is_prediction_less_truth(
    http: httpx.Client, picture: bytes
) -> None:
    predicted = http.post(
        "/v1/models/model_example/predict", params={"top_k": 10}, content=picture, headers=PNG
    ).json()["data"][0]
    probability = np.zeros(10)
    for candidate in predicted["top"]:
        probability[candidate["class_index"]] = candidate["probability"]
    answer = http.post(
        ACTIVATIONS,
        params={"node": "dense_3", "gradient": "loss", "class": "8"},
        content=picture,
        headers=PNG,
    )
    (found,) = answer.json()["data"]
    np.testing.assert_allclose(found["numbers"], probability - np.eye(10)[8], atol=1e-5)
    said = found["gradient"]
    assert (said["of"], said["class"], said["class_index"]) == ("loss", "8", 8)
    assert said["value"] == pytest.approx(-np.log(probability[8]), rel=1e-3)


def test_by_default_it_is_of_the_predicted_class(http: httpx.Client, picture: bytes) -> None:
    said = account(http, picture, gradient="score")["gradient"]
    assert said["class"] == "3"
    assert account(http, picture)["gradient"] is None


def test_large_maps_are_reduced_to_means(http: httpx.Client) -> None:
    model = imported(http, colour_model((48, 96)))
    pixels = np.random.default_rng(1).integers(0, 256, (48, 96, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    answer = http.post(
        f"/v1/models/{model}/activations", params={"maps": 2}, content=buffer.getvalue(), headers=PNG
    )
    maps = answer.json()["data"][0]["nodes"][0]["maps"]
    assert maps["shape"] == [2, 16, 32]
    x = (pixels[..., :2] / 255 - 0.5) / 0.25
    means = x.reshape(16, 3, 32, 3, 2).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(numbers_of(maps) - means).max() < np.abs(means).max() / 200


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"class": "3"}, "class"),
        ({"gradient": "score", "class": "eleven"}, "class"),
        ({"maps": 8, "node": "conv2d_1"}, "maps"),
        ({"maps": 0}, "maps"),
        ({"gradient": "slope"}, "gradient"),
    ],
)
def test_what_does_not_fit_is_refused(
    http: httpx.Client, picture: bytes, query: dict[str, Any], parameter: str
) -> None:
    answer = http.post(ACTIVATIONS, params=query, content=picture, headers=PNG)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == parameter


def test_there_is_no_loss_of_one_label(http: httpx.Client, picture: bytes) -> None:
    tagger = imported(http, colour_model(target="labels"))
    answer = http.post(
        f"/v1/models/{tagger}/activations", params={"gradient": "loss"}, content=picture, headers=PNG
    )
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert fault["hint"] == "ask for gradient=score"
    assert account_of(http, tagger, picture)["gradient"]["of"] == "score"


def account_of(http: httpx.Client, model: str, picture: bytes) -> dict[str, Any]:
    answer = http.post(
        f"/v1/models/{model}/activations", params={"gradient": "score"}, content=picture, headers=PNG
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"][0])


def test_gradients_are_drawn_too(http: httpx.Client, picture: bytes) -> None:
    for query in ({}, {"node": "conv2d_1"}):
        answer = http.post(
            ACTIVATIONS,
            params={"gradient": "score", **query},
            content=picture,
            headers=PNG | {"Accept": "image/png"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.content.startswith(b"\x89PNG")
