"""What a prediction comes from, over HTTP: in numbers, as a file, and drawn over the picture as it was sent."""

import io
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from engine.model.explanations import EXPLANATIONS

EXPLAIN = "/v1/models/model_example/explain"
PNG = {"Content-Type": "image/png"}
METHODS = [kind.tag() for kind in EXPLANATIONS]


@pytest.fixture(scope="module")
def digit(http: httpx.Client) -> bytes:
    return http.get("/v1/datasets/digits/images/3").content


def explained(http: httpx.Client, content: bytes, method: str, **options: Any) -> dict[str, Any]:
    answer = http.post(EXPLAIN, content=content, headers=PNG, params={"method": method, **options})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_it_found(http: httpx.Client, digit: bytes, method: str) -> None:
    options = {"steps": 8} if method == "integrated_gradients" else {}
    found = explained(http, digit, method, **options)
    predicted = http.post("/v1/models/model_example/predict", content=digit, headers=PNG).json()["data"][0]
    assert (found["method"], found["class"]) == (method, predicted["label"])
    assert found["class_index"] == predicted["class_index"]
    values = np.array(found["map"])
    assert values.shape == (28, 28)
    assert values.max() > 0
    assert found["signed"] == (values.min() < 0)
    other = explained(http, digit, method, **options, **{"class": "4"})
    assert (other["class"], other["passes"]["forward"]) == ("4", found["passes"]["forward"] - 1)
    assert other["score"] < found["score"]
    assert not np.allclose(other["map"], values)


def test_a_relative_score_is_what_a_class_has_more_than_the_others(http: httpx.Client, digit: bytes) -> None:
    names = [entry["name"] for entry in http.get("/v1/datasets/digits").json()["classes"]]
    scores = {name: explained(http, digit, "grad_cam", **{"class": name})["score"] for name in names}
    for name in ("4", max(scores, key=lambda each: scores[each])):
        found = explained(http, digit, "grad_cam", relative=True, **{"class": name})
        assert found["relative"] is True
        assert found["score"] == pytest.approx(scores[name] - np.mean(list(scores.values())), rel=1e-4)
    # what it says of a class, and of all others together, is opposite
    slopes = [explained(http, digit, "input_x_gradient", relative=True, **{"class": name}) for name in names]
    together = np.sum([each["map"] for each in slopes], axis=0)
    assert np.abs(together).max() < 1e-3 * np.abs(slopes[0]["map"]).max()
    checked = explained(http, digit, "integrated_gradients", relative=True)["checks"]
    assert checked["complete"] is True


def test_integrated_gradients_are_complete(http: httpx.Client, digit: bytes) -> None:
    found = explained(http, digit, "integrated_gradients")
    checks = found["checks"]
    assert checks["complete"] is True
    assert abs(np.sum(found["map"]) - checks["score_difference"]) <= 1e-3 * checks["score_difference"]
    assert found["passes"]["backward"] == sum(32 << n for n in range(5) if 32 << n <= checks["steps"])


@pytest.mark.parametrize("method", METHODS)
def test_the_overlay_shows_the_picture_enlarged(http: httpx.Client, digit: bytes, method: str) -> None:
    headers = PNG | {"Accept": "image/png"}
    answer = http.post(EXPLAIN, content=digit, headers=headers, params={"method": method})
    assert answer.headers["content-type"] == "image/png"
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert drawn.shape[1] == 300
    coloured = drawn[10:290, 10:290].max(axis=2) != drawn[10:290, 10:290].min(axis=2)
    assert coloured.mean() > 0.05
