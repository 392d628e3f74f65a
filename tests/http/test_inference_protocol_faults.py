"""What the Open Inference Protocol (V2) refuses: sizes, shapes, datatypes and names that are not what they say."""

import gzip
from typing import Any

import httpx
import numpy as np
import pytest

from tests.http.inference_tensors import INFER, LENGTH, ask, elements, read, refused, tensor

PIXELS = np.arange(5 * 28 * 28).astype(np.uint8).reshape(5, 28, 28, 1)


def test_what_unpacks_to_too_much_or_is_damaged_is_refused(http: httpx.Client) -> None:
    def send(content: bytes, encoding: str) -> httpx.Response:
        return http.post(INFER, content=content, headers={"Content-Encoding": encoding})

    whole = gzip.compress(b" " * 1000)
    assert "larger than" in refused(send(gzip.compress(bytes(80 << 20)), "gzip"), 413)
    assert "not whole" in refused(send(whole[:-3], "gzip"), 400)
    assert "behind its end" in refused(send(whole + b"more", "gzip"), 400)
    refused(send(b"no gzip", "gzip"), 400)
    refused(send(b"\x08 nor deflate", "deflate"), 400)
    refused(send(b"", "gzip"), 400)
    assert "gzip or deflate" in refused(send(b"{}", "br"), 415)


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "another width": ({"shape": [5, 28, 27, 1]}, "Nx28x28x1"),
    "too few axes": ({"shape": [5, 784]}, "Nx28x28x1"),
    "more pictures than bytes": ({"shape": [6, 28, 28, 1]}, "4704"),
    "beyond all memory": ({"shape": [2**40, 28, 28, 1]}, "at a time"),
    "no pictures": ({"shape": [0, 28, 28, 1]}, "1 or more"),
    "less than none": ({"shape": [-5, 28, 28, 1]}, "1 or more"),
    "no axes": ({"shape": []}, "shape"),
    "another datatype": ({"datatype": "FP32"}, "15680"),
    "an unknown datatype": ({"datatype": "FP99"}, "datatype"),
    "bytes for numbers": ({"datatype": "BYTES"}, "[N]"),
    "more bytes than there are": ({"parameters": {"binary_data_size": 10**12}}, "3920"),
    "fewer": ({"parameters": {"binary_data_size": 3919}}, "3920"),
    "less than no bytes": ({"parameters": {"binary_data_size": -1}}, "0 or more"),
    "no word of bytes": ({"parameters": {}}, "no input claims"),
    "both ways": ({"data": [1]}, "one of them"),
    "another name": ({"name": "image"}, "input_nchw"),
    "channels first": ({"name": "input_nchw"}, "Nx1x28x28"),
}


@pytest.mark.parametrize("lie", LIES)
def test_tensors_that_lie_are_refused(http: httpx.Client, lie: str) -> None:
    changes, said = LIES[lie]
    answer = ask(http, {"inputs": [tensor(PIXELS) | changes]}, PIXELS.tobytes())
    assert said in refused(answer, 422, 413)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("UINT8", [256] + [0] * 783),
        ("UINT8", [-1] + [0] * 783),
        ("UINT8", [0.5] + [0] * 783),
        ("UINT8", [True] + [0] * 783),
        ("FP32", ["1"] + [0] * 783),
        ("FP32", [None] + [0] * 783),
        ("FP32", [1e300] + [0] * 783),
        ("FP16", [1e5] + [0] * 783),
        ("FP64", [10**400] + [0] * 783),
        ("FP32", [10**400] + [0] * 783),
        ("FP32", [[0] * 783, 0]),
        ("FP32", [0] * 783),
        ("FP32", []),
        ("BYTES", [5]),
        ("BYTES", ["no base64!"]),
        ("BYTES", []),
    ],
)
def test_lists_that_are_no_tensor_are_refused(http: httpx.Client, kind: str, data: list[Any]) -> None:
    shape = [1] if kind == "BYTES" else [1, 28, 28, 1]
    refused(ask(http, {"inputs": [{"name": "input", "datatype": kind, "shape": shape, "data": data}]}), 422)


@pytest.mark.parametrize(
    "behind", [b"\x01", b"\xff\xff\xff\xffPNG", elements([b"no picture"]), b"", bytes(4)]
)
def test_elements_that_are_no_pictures_are_refused(http: httpx.Client, behind: bytes) -> None:
    entry = {
        "name": "input",
        "datatype": "BYTES",
        "shape": [1],
        "parameters": {"binary_data_size": len(behind)},
    }
    refused(ask(http, {"inputs": [entry]}, behind), 422)


@pytest.mark.parametrize(
    ("number", "dtype"), [(np.nan, "float32"), (np.inf, "float16"), (np.nan, "float64"), (1e300, "float64")]
)
def test_numbers_that_are_not_finite_are_refused(http: httpx.Client, number: float, dtype: str) -> None:
    array = np.full((1, 28, 28, 1), number, dtype)
    assert "finite" in refused(ask(http, {"inputs": [tensor(array)]}, array.tobytes()), 422)


@pytest.mark.parametrize("kind", ["BF16", "BOOL", "INT8", "INT64", "UINT16"])
@pytest.mark.parametrize("binary", [False, True])
def test_datatypes_that_are_not_taken_are_refused_by_name(
    http: httpx.Client, kind: str, binary: bool
) -> None:
    behind = bytes(1 * 28 * 28 * 8) if binary else b""
    entry = {"name": "input", "datatype": kind, "shape": [1, 28, 28, 1]}
    entry |= {"parameters": {"binary_data_size": len(behind)}} if binary else {"data": [0] * 784}
    said = refused(ask(http, {"inputs": [entry]}, behind), 422)
    assert kind in said
    assert "FP16" in said


@pytest.mark.parametrize("length", ["-1", "1e3", "99999", "x" * 500, "٣"])
def test_a_length_of_the_json_that_is_none_is_refused(http: httpx.Client, length: str) -> None:
    headers = {LENGTH.encode(): length.encode()}
    assert LENGTH in refused(http.post(INFER, content=b"{}", headers=headers), 400)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([{"name": "conv2d_9"}], "conv2d_1"),
        ([{"name": "conv2d_9"}], "outputs: "),
        ([{"name": "outputs"}], "choose one of output,"),
        ([{"name": "output"}, {"name": "output"}], "twice"),
        ([{"name": "conv2d_1", "parameters": {"classification": 2}}], "classification"),
        ([{"name": "output", "parameters": {"classification": -2}}], "0 or more"),
        ([{"name": "output", "parameters": {"classification": "two"}}], "whole number"),
    ],
)
def test_outputs_that_there_are_not_are_refused(http: httpx.Client, outputs: Any, said: str) -> None:
    document = {"inputs": [tensor(PIXELS)], "outputs": outputs}
    assert said in refused(ask(http, document, PIXELS.tobytes()), 422)


def test_too_much_is_refused_before_it_is_computed(http: httpx.Client) -> None:
    many = np.zeros((256, 28, 28, 1), np.uint8)
    outputs = [{"name": "conv2d_1"}]
    assert "binary_data" in refused(
        ask(http, {"inputs": [tensor(many)], "outputs": outputs}, many.tobytes()), 413
    )
    more = np.zeros((257, 28, 28, 1), np.uint8)
    assert "256" in refused(ask(http, {"inputs": [tensor(more)]}, more.tobytes()), 413)
    assert len(read(ask(http, {"inputs": [tensor(many)]}, many.tobytes()))["output"]) == 256


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/models/nothing", 404),
        ("GET", "/v2/nothing/at/all", 404),
        ("GET", INFER, 405),
        ("POST", "/v2/models/nothing/infer", 404),
        ("POST", "/v2/repository/models/nothing/load", 404),
        ("POST", INFER, 400),
        ("GET", "/v2?verbose=1", 422),
    ],
)
def test_errors_have_the_form_of_the_protocol(
    http: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path)
    assert refused(answer, status)
    assert answer.headers["content-type"] == "application/json"
    assert "x-request-id" in answer.headers


def test_an_address_that_there_is_not_leads_to_the_description_of_the_protocol(http: httpx.Client) -> None:
    said = refused(http.get("/v2/model"), 404)
    assert "there is nothing at /v2/model; the Open Inference Protocol lists" in said
    assert "; /docs lists" in http.get("/v1/model").json()["detail"]
