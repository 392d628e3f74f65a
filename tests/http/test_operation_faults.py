"""Single layers over HTTP: the words of refusals, checks of gradients that are nothing, and what is not allocated."""

from __future__ import annotations

import tracemalloc
from typing import Any

import httpx
import pytest

from app.api.requests.operations import ConvolveRequest
from app.errors import Invalid, TooLarge
from app.operations.convolve import convolve
from app.operations.operation import Limits, Options, prepare, read_inputs
from app.web.answers.operations import check_size
from engine.layers.dense import Dense


@pytest.mark.parametrize(
    ("operation", "body", "pointer", "words"),
    [
        ("convolve", {"input": [[1]], "kernel": "sobel_x"}, "/kernel", "3x3 window"),
        ("convolve", {"input": [[1]], "kernel": [[True]]}, "/kernel/0/0", "true is no number"),
        ("convolve", {"input": [[None]], "kernel": [[1]]}, "/input/0/0", "null is no number"),
        (
            "convolve",
            {"input": [[1]], "kernel": [[1]], "trace": {"positions": [[10**99, 0]]}},
            "",
            "2147483647",
        ),
        ("relu", {"input": [1], "statistics": "moving"}, "/statistics", "the values here are batch, running"),
        (
            "max_pool2d",
            {"input": [[1]], "layer": {"pool_size": "2x2"}},
            "/layer/pool_size",
            "a whole number or a list of two",
        ),
        ("relu", {"image": "AAAA", "channels": 2}, "/channels", "1 or 3"),
        ("relu", {"input": [1], "scale": 2}, "/scale", "for pictures"),
        ("convolve", {"input": [[1]], "kernel": [[1]], "channels": 3}, "/channels", "for pictures"),
    ],
)
def test_faults_are_said_in_the_words_of_the_body(
    http: httpx.Client, operation: str, body: dict[str, Any], pointer: str, words: str
) -> None:
    answer = http.post(f"/v1/operations/{operation}", json=body)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["pointer"].startswith(pointer)
    assert words in f"{fault['detail']}; {fault.get('hint')}"
    assert len(answer.text) < 600


@pytest.mark.parametrize(
    ("operation", "body", "number"),
    [
        ("local_response_norm", {"layer": {"k": 1e308, "beta": 2}}, 0.0),
        ("local_response_norm", {"layer": {"k": 1e-308, "alpha": 0, "beta": 2}}, None),
        ("batch_norm", {"weights": {"running_variance": [-1]}}, None),
        ("batch_norm", {"layer": {"epsilon": 0.5}, "weights": {"running_variance": [-0.5]}}, None),
    ],
)
def test_arithmetic_beyond_all_numbers_is_shown_as_the_layer_has_it(
    http: httpx.Client, operation: str, body: dict[str, Any], number: float | None
) -> None:
    answer = http.post(f"/v1/operations/{operation}", json={"input": [[[1]]], "trace": True} | body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["output"] == [[[number]]]
    assert answer.json()["trace"][0]["output"] == number


def test_slopes_of_nothing_but_rounding_are_no_kinks(http: httpx.Client) -> None:
    """The numbers of a softmax add up to 1 whatever it is given: all gradients of their sum are 0."""
    answer = http.post("/v1/operations/softmax", json={"input": [1, 2, 3], "output_gradient": "ones"}).json()
    check = answer["gradients"]["numeric_check"]
    assert (check["entries"], check["kinks"]) == (3, 0)
    assert check["largest_difference"] < 1e-9


def test_weights_are_drawn_after_the_size_of_the_answer_is_checked() -> None:
    layer = Dense(units=10_000_000)
    tracemalloc.start()
    task = prepare(layer, read_inputs([1.0, 2.0], None), Options(), Limits(50_000_000, 1 << 30, 1 << 31))
    with pytest.raises(TooLarge):
        check_size(task, "application/json")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("operation", "body", "pointer", "hint"),
    [
        ("conv2d", {"input": [[1]], "padding": "same"}, "/padding", 'write it inside of "layer"'),
        ("conv2d", {"input": [[1]], "weight": [[1]]}, "/weight", 'write it inside of "weights"'),
        ("convolve", {"input": [[1]], "kernel": "[[1]]"}, "/kernel", "give lists, without quotes"),
        ("convolve", {"input": [[1]], "kernel": "sobel"}, "/kernel", "did you mean 'sobel_x' or 'sobel_y'?"),
        ("relu", {"input": "[[1]]"}, "/input", "give lists, without quotes"),
        (
            "relu",
            {"input": "cat.jpg"},
            "/input",
            "a picture goes into `image`, in base64, or as a file into the part `file` of a form",
        ),
        ("relu", {"input": [[1]], "trace": [[0, 0]]}, "/trace", 'write {"positions": [[0, 0]]}'),
    ],
)
def test_what_stands_in_another_form_or_place_is_said_where_it_belongs(
    http: httpx.Client, operation: str, body: dict[str, Any], pointer: str, hint: str
) -> None:
    answer = http.post(f"/v1/operations/{operation}", json=body)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert (fault["pointer"], fault["hint"]) == (pointer, hint)


@pytest.mark.parametrize(
    ("path", "part", "words"),
    [
        ("operations/convolve", "range", "?range="),
        ("operations/conv2d", "padding", 'inside of "layer"'),
        ("operations/convolve", "files", "called file here"),
        ("models/model_example/explain", "file", "called files here"),
        ("models/model_example/explain", "method", "?method="),
    ],
)
def test_parts_of_forms_that_belong_elsewhere_are_said_where(
    http: httpx.Client, path: str, part: str, words: str
) -> None:
    query = {"method": "grad_cam"} if "explain" in path else {}
    answer = http.post(f"/v1/{path}", files={part: (None, "same")}, params=query)
    assert answer.status_code == 422, answer.text
    (fault,) = answer.json()["errors"]
    assert fault["parameter"] == part
    assert words in fault["hint"]


def test_a_picture_too_large_to_filter_is_named_by_its_field() -> None:
    inputs = read_inputs([[1.0] * 64] * 64, None)
    request = ConvolveRequest(kernel="sobel_x")
    for limits in (Limits(100, 1, 1 << 31), Limits(100, 1 << 30, 1)):
        with pytest.raises(Invalid) as caught:
            convolve(request, inputs, limits)
        assert caught.value.errors[0].pointer == "/input"
