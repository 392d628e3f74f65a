"""How the gradients at single numbers of a model's nodes come about."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.colour_models import colour_model, imported

MODEL = "/v1/models/model_example"
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def picture(http: httpx.Client) -> bytes:
    """Return a three of the test split."""
    return http.get("/v1/datasets/digits/images/3", params={"split": "test"}).content


def traces(http: httpx.Client, picture: bytes, **query: Any) -> Any:
    answer = http.post(f"{MODEL}/trace", params=query, content=picture, headers=PNG)
    assert answer.status_code == 200, answer.text
    return answer.json()


def gradients(http: httpx.Client, picture: bytes, node: str, **query: Any) -> Any:
    answer = http.post(f"{MODEL}/activations", params={"node": node, **query}, content=picture, headers=PNG)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"][0]


@pytest.mark.parametrize("query", [{"gradient": "score"}, {"gradient": "loss", "class": "8"}])
@pytest.mark.parametrize("node", ["input", "conv2d_1", "conv2d_1/activation", "max_pool2d_1", "dense_2"])
def test_the_contributions_sum_to_the_gradient(
    http: httpx.Client, picture: bytes, node: str, query: dict[str, Any]
) -> None:
    expected = gradients(http, picture, node, **query)
    numbers = np.array(expected["numbers"])
    flat = np.argsort(np.abs(numbers), axis=None)
    places = [np.unravel_index(int(at), numbers.shape) for at in (flat[-1], flat[-2], flat[0])]
    body = traces(http, picture, node=node, position=[",".join(map(str, place)) for place in places], **query)
    assert (body["node"], body["shape"]) == (node, list(numbers.shape))
    assert body["gradient"] == expected["gradient"]
    for place, found in zip(places, body["data"], strict=True):
        assert found["position"] == [int(at) for at in place]
        assert found["gradient"] == pytest.approx(numbers[place], rel=1e-4, abs=1e-6)
        (reader,) = found["readers"]
        products = np.array(reader["gradients"]) * np.array(reader["derivatives"])
        np.testing.assert_array_equal(products, reader["products"])
        assert found["gradient"] == pytest.approx(products.sum(), rel=1e-9, abs=1e-12)


def test_the_window_lies_where_the_readers_are(http: httpx.Client, picture: bytes) -> None:
    """The first layer has six filters of 5x5, and its padding keeps the size of the picture."""
    (found,) = traces(http, picture, node="input", position="13,10,0", gradient="score")["data"]
    (reader,) = found["readers"]
    assert (reader["node"], reader["type"], reader["input"]) == ("conv2d_1", "conv2d", 0)
    assert (reader["begins"], reader["step"]) == ([11, 8, 0], [1, 1, 1])
    weights = np.array(http.get(f"{MODEL}/filters", params={"node": "conv2d_1"}).json()["numbers"])
    np.testing.assert_allclose(reader["derivatives"], weights[::-1, ::-1, 0], rtol=1e-6)
    following = gradients(http, picture, "conv2d_1", gradient="score")
    window = np.array(following["numbers"])[11:16, 8:13]
    np.testing.assert_allclose(reader["gradients"], window, rtol=1e-6)


def test_where_the_way_back_begins_nothing_reads(http: httpx.Client, picture: bytes) -> None:
    body = traces(http, picture, node="dense_3", position=["3", "4"], gradient="score", **{"class": "4"})
    assert [(each["gradient"], each["readers"]) for each in body["data"]] == [(0, []), (1, [])]


@pytest.mark.parametrize(
    ("query", "parameter", "hint"),
    [
        ({"class": "3"}, "class", "gradient=score"),
        ({"gradient": "score", "class": "eleven"}, "class", "name one of"),
        ({"gradient": "slope"}, "gradient", None),
        ({"gradient": "loss", "on_the_way": "true"}, "on_the_way", "leave it out"),
        ({"gradient": "loss", "position": "28,0,0"}, "position", "the last is [27, 27, 5]"),
        ({"gradient": "loss", "node": "convolution"}, "node", "conv2d_1"),
    ],
)
def test_what_does_not_fit_is_refused(
    http: httpx.Client, picture: bytes, query: dict[str, Any], parameter: str, hint: str | None
) -> None:
    whole = {"node": "conv2d_1", "position": "0,0,0"} | query
    answer = http.post(f"{MODEL}/trace", params=whole, content=picture, headers=PNG)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["parameter"].startswith(parameter)
    assert hint is None or hint in fault["hint"]


def test_there_is_no_loss_of_one_label(http: httpx.Client, picture: bytes) -> None:
    tagger = imported(http, colour_model(target="labels"))
    query = {"node": "input", "position": "0,0,0", "gradient": "loss"}
    answer = http.post(f"/v1/models/{tagger}/trace", params=query, content=picture, headers=PNG)
    assert answer.status_code == 422
    (fault,) = answer.json()["errors"]
    assert (fault["parameter"], fault["hint"]) == ("gradient", "ask for gradient=score")
