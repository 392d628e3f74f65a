"""Which explanations are refused, and with what words; what is told of models of classes, labels and values."""

import base64
import io
import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from app.cli.launch import ServerProcess
from tests.conftest import Guarded
from tests.http.colour_models import COLOURS, colour_model, imported
from tests.http.drawn_pictures import png

EXPLAIN = "/v1/models/model_example/explain"
PNG = {"Content-Type": "image/png"}
RED, BLUE, GREY = (230, 20, 20), (20, 20, 230), (120, 120, 120)


@pytest.fixture(scope="module")
def digit(http: httpx.Client) -> bytes:
    return http.get("/v1/datasets/digits/images/3").content


@pytest.fixture(scope="module")
def model(http: httpx.Client) -> str:
    return imported(http, colour_model())


def painted(height: int, width: int, ground: tuple[int, int, int] = GREY, **boxes: Any) -> bytes:
    """Draw boxes (top, bottom, left, right) of a colour on a plain ground."""
    picture = np.full((height, width, 3), ground, np.uint8)
    for name, (top, bottom, left, right) in boxes.items():
        picture[top:bottom, left:right] = {"red": RED, "blue": BLUE}[name]
    return png(picture)


def asked(http: httpx.Client, model: str, content: bytes, **query: Any) -> httpx.Response:
    return http.post(f"/v1/models/{model}/explain", content=content, headers=PNG, params=query)


@pytest.mark.parametrize(
    ("query", "parameter", "words"),
    [
        ({}, "method", "query parameter is required"),
        ({"method": "gradcam"}, "method", "grad_cam"),
        ({"method": "gradient", "steps": 3}, "steps", "it has no options"),
        ({"method": "occlusion", "steps": 3}, "steps", "window, stride, baseline"),
        ({"method": "integrated_gradients", "steps": 0}, "steps", "1 or more"),
        ({"method": "integrated_gradients", "steps": 513}, "steps", "512 or less"),
        ({"method": "integrated_gradients", "steps": "many"}, "steps", "whole number"),
        ({"method": "integrated_gradients", "baseline": "grey"}, "baseline", "mean"),
        ({"method": "smooth_grad", "noise": "nan"}, "noise", "1.0 or less"),
        ({"method": "smooth_grad", "samples": 1001}, "samples", "1000 or less"),
        ({"method": "gradient", "class": "eleven"}, "class", "name one of 0, 1, 2"),
        ({"method": "grad_cam", "node": "conv2d_9"}, "node", "conv2d_1"),
        ({"method": "grad_cam", "node": "dense_1"}, "node", "the last maps of this model are"),
        ({"method": "grad_cam", "channels": True}, "channels", "leave it out"),
        ({"method": "occlusion", "window": 29}, "window", "at most 28"),
        ({"method": "occlusion", "window": 4, "stride": 5}, "stride", "at most 4"),
        ({"method": "gradient", "layer": "conv2d_1"}, "layer", "it takes baseline, channels, class"),
    ],
)
def test_what_is_wrong_is_named(
    http: httpx.Client, digit: bytes, query: dict[str, Any], parameter: str, words: str
) -> None:
    answer = asked(http, "model_example", digit, **query)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == parameter
    assert words.lower() in f"{fault['detail']}; {fault.get('hint')}".lower()


def test_a_class_that_does_not_exist_is_compared_with_those_that_do(http: httpx.Client, model: str) -> None:
    answer = asked(http, model, painted(16, 16), method="gradient", **{"class": "gren"}).json()
    assert answer["type"] == "/problems/unknown-class"
    assert answer["errors"][0]["hint"] == "did you mean 'green'?"


def test_a_model_without_convolution_has_no_maps_to_weigh(http: httpx.Client) -> None:
    file = colour_model(convolution=False)
    plain = imported(http, file)
    answer = asked(http, plain, painted(16, 16), method="grad_cam").json()
    (fault,) = answer["errors"]
    assert (answer["status"], fault["parameter"]) == (422, "method")
    assert "no convolution" in fault["detail"]
    assert "occlusion" in fault["hint"]
    assert asked(http, plain, painted(16, 16), method="gradient").status_code == 200


def test_bad_pictures_and_missing_models_are_refused(http: httpx.Client, digit: bytes) -> None:
    bad = asked(http, "model_example", b"no picture", method="gradient")
    assert (bad.status_code, bad.json()["errors"][0]["parameter"]) == (422, "body")
    assert asked(http, "model_none", digit, method="gradient").status_code == 404
    wrong = http.post(
        EXPLAIN, content=digit, headers={"Content-Type": "text/plain"}, params={"method": "gradient"}
    )
    assert wrong.status_code == 415


def test_several_pictures_are_explained_in_order(http: httpx.Client, model: str) -> None:
    pictures = [painted(16, 16, RED), painted(16, 16, BLUE)]
    images = [base64.b64encode(picture).decode() for picture in pictures]
    path, query = f"/v1/models/{model}/explain", {"method": "grad_cam"}
    several = http.post(path, json={"images": images}, params=query).json()["data"]
    assert [found["class"] for found in several] == ["red", "blue"]
    files = [("files", (f"{number}.png", picture)) for number, picture in enumerate(pictures)]
    named = http.post(path, files=files, params=query).json()["data"]
    assert [found["filename"] for found in named] == ["0.png", "1.png"]
    assert [found["map"] for found in named] == [found["map"] for found in several]
    drawn = http.post(path, files=files, params=query, headers={"Accept": "image/png"})
    assert (drawn.status_code, "one is drawn at a time" in drawn.json()["detail"]) == (422, True)
    accept = {"Accept": "application/x-npz"}
    file = http.post(path, files=files, params={"method": "integrated_gradients"}, headers=accept)
    assert file.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(file.content), allow_pickle=False) as arrays:
        assert arrays["values"].shape == (2, 16, 16, 3)
        assert arrays["classes"].tolist() == ["red", "blue"]
        assert arrays["class_indices"].tolist() == [0, 2]
        np.testing.assert_allclose(arrays["maps"], arrays["values"].sum(axis=3), rtol=1e-5, atol=1e-6)
        single = asked(http, model, pictures[1], method="integrated_gradients", channels=True).json()
        np.testing.assert_allclose(arrays["values"][1], single["map"], rtol=1e-5)
        assert arrays["scores"][1] == pytest.approx(single["score"])


def test_labels_and_values_are_explained_by_name(http: httpx.Client) -> None:
    both = painted(16, 16, GREY, red=(0, 8, 0, 16), blue=(8, 16, 0, 8))
    tagger, meter = (imported(http, colour_model(target=target)) for target in ("labels", "values"))
    red = asked(http, tagger, both, method="grad_cam").json()
    blue = asked(http, tagger, both, method="grad_cam", **{"class": "blue"}).json()
    assert (red["class"], blue["class"]) == ("red", "blue")
    assert np.array(red["map"])[:8].min() > 0 == np.array(red["map"])[8:].max()
    assert np.array(blue["map"])[8:, :8].min() > 0 == np.array(blue["map"])[:8].max()
    missing = asked(http, meter, both, method="gradient").json()
    assert (missing["status"], missing["errors"][0]["parameter"]) == (422, "class")
    assert missing["errors"][0]["hint"] == f"name one of {', '.join(COLOURS)}"
    value = asked(http, meter, both, method="gradient", **{"class": "green"}).json()
    predicted = http.post(f"/v1/models/{meter}/predict", content=both, headers=PNG).json()["data"][0]
    assert value["score"] == pytest.approx(predicted["values"][1]["value"], rel=1e-5)
    single = imported(http, colour_model(target="values", classes=("redness",)))
    assert asked(http, single, both, method="occlusion").json()["class"] == "redness"


def coloured(content: bytes) -> Any:
    """Return where a drawn overlay is not grey: a quarter of all pixels, or more."""
    drawn = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    return drawn.max(axis=2) - drawn.min(axis=2) > 40


@pytest.mark.parametrize("size", [(300, 600), (600, 300), (300, 300), (3, 7)])
@pytest.mark.parametrize("fit", ["contain", "cover", "stretch"])
def test_the_map_lies_where_its_pixels_come_from(http: httpx.Client, fit: str, size: tuple[int, int]) -> None:
    """A red box on grey: what is painted is the box, whichever way the picture was fitted to the model."""
    height, width = size
    top, bottom, left, right = height // 3, 2 * height // 3, 3 * width // 7, 4 * width // 7
    content = painted(height, width, red=(top, bottom, left, right))
    model = imported(http, colour_model((32, 24), fit=fit))
    answer = http.post(
        f"/v1/models/{model}/explain",
        content=content,
        headers=PNG | {"Accept": "image/png"},
        params={"method": "grad_cam", "class": "red"},
    )
    scale = max(1, 280 // max(size))
    drawn = coloured(answer.content)
    page = drawn.shape[1]
    start = (page - width * scale) // 2
    area = drawn[10 : 10 + height * scale, start : start + width * scale]
    rows, columns = np.nonzero(area)
    slack = max(scale, 2 * max(height / 32, width / 24)) * (2 if fit == "contain" else 1)
    for found, box in ((rows, (top, bottom)), (columns, (left, right))):
        assert abs(found.min() - box[0] * scale) <= slack
        assert abs(found.max() + 1 - box[1] * scale) <= slack


def test_what_is_cut_off_is_shown_as_it_is(http: httpx.Client) -> None:
    model = imported(http, colour_model(fit="cover"))
    content = painted(300, 500, (20, 160, 40))
    headers = PNG | {"Accept": "image/png"}
    answer = http.post(
        f"/v1/models/{model}/explain", content=content, headers=headers, params={"method": "gradient"}
    )
    drawn = np.asarray(Image.open(io.BytesIO(answer.content)))[10:310, 10:510]
    for plain in (drawn[:, :99], drawn[:, 401:]):
        assert (plain == (20, 160, 40)).all()
    assert not (drawn[:, 101:399] == (20, 160, 40)).all(axis=2).any()


def test_what_takes_too_many_passes_says_how_many(http: httpx.Client) -> None:
    model = imported(http, colour_model((512, 512)))
    files = [("files", (f"{number}.png", painted(4, 4))) for number in range(200)]
    path = f"/v1/models/{model}/explain"
    answer = http.post(
        path, files=files, params={"method": "integrated_gradients"}, headers={"Accept": "application/x-npz"}
    )
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "/problems/too-many-passes")
    assert problem["numbers"]["passes"] == 200 * (994 + 992 + 1)
    each = 512 * 512 * 9 + 9
    assert problem["numbers"]["limit_passes"] == 200_000_000_000 // each
    (fault,) = problem["errors"]
    assert fault["parameter"] == "method"
    assert f"{problem['numbers']['passes']:,}" in fault["detail"]
    assert "fewer `steps`" in fault["hint"]
    too_long = http.post(path, files=files[:1], params={"method": "gradient"})
    assert (too_long.status_code, "application/x-npz" in too_long.json()["detail"]) == (413, True)


LONG = {"method": "integrated_gradients", "steps": 512}
NPZ = {"Accept": "application/x-npz"}


@pytest.mark.slow
def test_an_explanation_ends_with_its_caller(
    guarded_server: Guarded, digit: bytes, connect: Callable[..., Any], wait_for: Callable[..., Any]
) -> None:
    files = [("files", ("d.png", digit))] * 150

    def ended() -> list[int]:
        lines = [
            json.loads(line) for line in guarded_server.log.read_text().splitlines() if "/explain" in line
        ]
        return [line["status"] for line in lines if line["event"] == "request"]

    with connect(guarded_server.url, Authorization=f"Bearer {guarded_server.key}") as client:
        assert asked(client, "model_example", digit, method="gradient").status_code == 200
        wait_for(ended, "the line of a call in the log, which follows its answer")
        for seconds in (2, 6, 18):
            before = len(ended())
            with pytest.raises(httpx.ReadTimeout):
                client.post(EXPLAIN, files=files, params=LONG, headers=NPZ, timeout=seconds)
            wait_for(
                lambda count=before: len(ended()) > count, "the end of an explanation whose caller has gone"
            )
            status = ended()[-1]
            if status == 499:
                break
            assert status == 400  # on a busy machine it had not been read yet, and was cut short
    assert status == 499


@pytest.mark.slow
def test_a_server_that_stops_ends_explanations(start: Callable[..., ServerProcess], digit: bytes) -> None:
    files = [("files", ("d.png", digit))] * 150
    answers: list[httpx.Response] = []
    server = start()
    with server as url, httpx.Client(base_url=url, timeout=300, trust_env=False) as client:
        sending = threading.Thread(
            target=lambda: answers.append(client.post(EXPLAIN, files=files, params=LONG, headers=NPZ))
        )
        sending.start()
        # a prediction gets its turn between the passes
        for _ in range(3):
            seen = client.post("/v1/models/model_example/predict", content=digit, headers=PNG)
            assert seen.status_code == 200
        assert not answers
        server.stop()
        sending.join()
    assert (answers[0].status_code, answers[0].json()["type"]) == (503, "/problems/unavailable")


def test_limits_are_those_of_the_operator(start: Callable[..., ServerProcess], digit: bytes) -> None:
    limits = {"MAX_TRAINING_BYTES": "50000", "MAX_EXPLANATION_MULTIPLY_ADDS": "50000000"}
    with start(**limits) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        memory = asked(client, "model_example", digit, method="gradient").json()
        assert memory["type"] == "/problems/memory-limit-exceeded"
        assert memory["numbers"]["needed_bytes"] > memory["numbers"]["limit_bytes"] == 50_000
        passes = asked(client, "model_example", digit, method="occlusion").json()
        assert passes["type"] == "/problems/too-many-passes"
        assert passes["numbers"]["passes"] == 171 > passes["numbers"]["limit_passes"]
        fewer = asked(client, "model_example", digit, method="occlusion", window=7, stride=7)
        assert fewer.json()["passes"] == {"forward": 18, "backward": 0}
