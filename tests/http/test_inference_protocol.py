"""The Open Inference Protocol (V2), by bodies as stock clients write them."""

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from examples import inference_protocol, three_clients
from tests.conftest import Guarded
from tests.http.inference_tensors import INFER, LENGTH, MODEL, ask, elements, packed, read, refused, tensor


@pytest.fixture(scope="module")
def files(http: httpx.Client) -> list[bytes]:
    return [http.get(f"/v1/datasets/digits/images/{number}").content for number in range(5)]


@pytest.fixture(scope="module")
def pixels(http: httpx.Client, files: list[bytes]) -> np.ndarray[Any, Any]:
    """The pictures as pixels, uint8 (N, H, W, C)."""
    return np.array([seen(http, file)["pixels"] for file in files], np.uint8)


@pytest.fixture(scope="module")
def numbers(http: httpx.Client, files: list[bytes]) -> np.ndarray[Any, Any]:
    """The pictures as the first layer receives them, float32 (N, H, W, C)."""
    return np.array([seen(http, file)["input"] for file in files], np.float32)


@pytest.fixture(scope="module")
def expected(http: httpx.Client, files: list[bytes]) -> np.ndarray[Any, Any]:
    """What `predict` says of them, (N, K)."""
    images = [base64.b64encode(file).decode() for file in files]
    answer = http.post("/v1/models/lenet-5-digits/predict?top_k=10", json={"images": images}).json()
    rows = np.zeros((len(files), 10), np.float32)
    for row, entry in zip(rows, answer["data"], strict=True):
        for top in entry["top"]:
            row[top["class_index"]] = top["probability"]
    return rows


def seen(http: httpx.Client, file: bytes) -> Any:
    headers = {"Content-Type": "image/png", "Accept": "application/json"}
    return http.post("/v1/models/lenet-5-digits/preprocess", content=file, headers=headers).json()


def test_a_server_says_what_it_is_and_that_it_works(http: httpx.Client) -> None:
    described = http.get("/v2").json()
    assert described["name"] == "convserve"
    assert "binary_tensor_data" in described["extensions"]
    assert http.get("/v2/").json() == described
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True}


@pytest.mark.parametrize(
    "path", [MODEL, f"{MODEL}/versions/1", f"{MODEL}/versions/example", "/v2/models/lenet-5-digits@example"]
)
def test_a_model_is_found_by_name_version_and_alias(
    http: httpx.Client, path: str, pixels: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]
) -> None:
    described = http.get(path).json()
    assert described["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 28, 28, 1]}]
    assert described["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 10]}]
    assert "1" in described["versions"]
    assert http.get(f"{path}/ready").status_code == 200
    assert http.get(f"{path}/config").json()["output"][0]["dims"] == [10]
    answer = ask(http, {"inputs": [tensor(pixels)]}, pixels.tobytes(), f"{path}/infer")
    np.testing.assert_allclose(read(answer)["output"], expected, atol=1e-5)


@pytest.mark.parametrize("version", ["99", "nothing", "0", "1" * 30])
def test_other_versions_are_not_found(http: httpx.Client, version: str) -> None:
    for path in (f"{MODEL}/versions/{version}", "/v2/models/model_example/versions/99"):
        refused(http.get(path), 404)
        refused(http.get(f"{path}/ready"), 404)
        refused(ask(http, {"inputs": []}, path=f"{path}/infer"), 404)


@pytest.mark.parametrize("first", [False, True], ids=["channels last", "channels first"])
@pytest.mark.parametrize("kind", ["pixels", "numbers"])
@pytest.mark.parametrize("form", ["binary", "flat", "nested", "with fractions"])
def test_numbers_get_the_predictions_of_the_pictures(
    http: httpx.Client, request: pytest.FixtureRequest, kind: str, form: str, first: bool, expected: Any
) -> None:
    array = request.getfixturevalue(kind)
    sent = np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if first else array
    entry = tensor(sent, "input_nchw" if first else "input")
    behind = sent.tobytes()
    if form != "binary":
        listed = sent.ravel() if form == "flat" else sent.astype(float) if form == "with fractions" else sent
        entry = entry | {"parameters": None, "data": listed.tolist()}
        behind = b""
    answer = ask(http, {"id": "seven", "inputs": [entry]}, behind)
    np.testing.assert_allclose(read(answer)["output"], expected, atol=1e-5)
    assert answer.json()["id"] == "seven"
    # other tests may have made later versions of it
    newest = str(http.get("/v1/models/lenet-5-digits").json()["version"])
    assert (answer.json()["model_name"], answer.json()["model_version"]) == ("lenet-5-digits", newest)


@pytest.mark.parametrize("shape", [[5], [5, 1]])
@pytest.mark.parametrize("binary", [False, True])
def test_picture_files_are_preprocessed_as_in_training(
    http: httpx.Client, files: list[bytes], expected: Any, shape: list[int], binary: bool
) -> None:
    entry: dict[str, Any] = {"name": "input", "datatype": "BYTES", "shape": shape}
    behind = elements(files) if binary else b""
    if binary:
        entry["parameters"] = {"binary_data_size": len(behind)}
    else:
        entry["data"] = [base64.b64encode(file).decode() for file in files]
    np.testing.assert_allclose(read(ask(http, {"inputs": [entry]}, behind))["output"], expected, atol=1e-5)


def test_outputs_lie_behind_the_json_where_that_is_asked_for(
    http: httpx.Client, pixels: Any, expected: Any
) -> None:
    document = {"inputs": [tensor(pixels)], "parameters": {"binary_data_output": True}}
    answer = ask(http, document, pixels.tobytes())
    assert answer.headers["content-type"] == "application/octet-stream"
    np.testing.assert_allclose(read(answer)["output"], expected, atol=1e-5)
    # what an output says of itself goes before that
    document["outputs"] = [{"name": "output", "parameters": {"binary_data": False}}]
    answer = ask(http, document, pixels.tobytes())
    assert answer.headers["content-type"] == "application/json"
    assert LENGTH not in answer.headers


def test_any_node_is_an_output(
    http: httpx.Client, pixels: Any, numbers: Any, files: list[bytes], expected: Any
) -> None:
    names = ["conv2d_1/activation", "output", "input", "dense_3"]
    asked = [{"name": name, "parameters": {"binary_data": name != "dense_3"}} for name in names]
    found = read(ask(http, {"inputs": [tensor(pixels)], "outputs": asked}, pixels.tobytes()))
    assert list(found) == names
    np.testing.assert_allclose(found["output"], expected, atol=1e-5)
    np.testing.assert_allclose(found["input"], numbers, atol=1e-5)
    shown = http.post(
        "/v1/models/lenet-5-digits/activations?node=conv2d_1/activation",
        content=files[3],
        headers={"Content-Type": "image/png"},
    ).json()
    np.testing.assert_allclose(
        found["conv2d_1/activation"][3], np.array(shown["data"][0]["numbers"]), atol=1e-4
    )
    # what the first layer receives may be sent just as well
    again = read(ask(http, {"inputs": [tensor(numbers)], "outputs": asked}, numbers.tobytes()))
    np.testing.assert_allclose(again["dense_3"], found["dense_3"], atol=1e-3)


@pytest.mark.parametrize("binary", [False, True])
def test_the_largest_numbers_are_named(http: httpx.Client, pixels: Any, expected: Any, binary: bool) -> None:
    asked = [{"name": "output", "parameters": {"classification": 3, "binary_data": binary}}]
    answer = ask(http, {"inputs": [tensor(pixels)], "outputs": asked}, pixels.tobytes())
    size = int(answer.headers.get(LENGTH, len(answer.content)))
    (output,) = json.loads(answer.content[:size])["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [5, 3])
    texts = output.get("data")
    if binary:
        texts, behind = [], answer.content[size:]
        assert output["parameters"]["binary_data_size"] == len(behind)
        while behind:
            (length,) = struct.unpack_from("<I", behind)
            texts.append(behind[4 : 4 + length].decode())
            behind = behind[4 + length :]
    for row, named in zip(expected, np.reshape(texts, (5, 3)), strict=True):
        values, indices, labels = zip(*(text.split(":", 2) for text in named), strict=True)
        assert [int(index) for index in indices] == list(np.argsort(-row)[:3])
        np.testing.assert_allclose(np.array(values, float), np.sort(row)[::-1][:3], atol=1e-5)
        assert list(labels) == list(indices)


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", bare_deflate), ("GZIP", gzip.compress)],
)
@pytest.mark.parametrize("times", [1, 40])
def test_bodies_may_be_compressed(
    http: httpx.Client, pixels: Any, expected: Any, encoding: str, pack: Callable[[bytes], bytes], times: int
) -> None:
    many = np.concatenate([pixels] * times)
    body, headers = packed({"inputs": [tensor(many)]}, many.tobytes())
    answer = http.post(INFER, content=pack(body), headers=headers | {"Content-Encoding": encoding})
    np.testing.assert_allclose(read(answer)["output"], np.concatenate([expected] * times), atol=1e-5)


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate", "gzip"),
        ("gzip;q=0.5, deflate", "deflate"),
        ("*", "gzip"),
        ("br, identity", None),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_answers_are_compressed_where_that_is_asked_for(
    http: httpx.Client, numbers: Any, accepted: str, encoding: str | None, binary: bool
) -> None:
    outputs = [{"name": "input", "parameters": {"binary_data": binary}}]
    body, headers = packed({"inputs": [tensor(numbers)], "outputs": outputs}, numbers.tobytes())
    answer = http.post(INFER, content=body, headers=headers | {"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == encoding
    np.testing.assert_array_equal(read(answer)["input"], numbers)
    if encoding is not None:
        assert int(answer.headers["content-length"]) < 0.5 * len(answer.content)


def test_answers_that_are_short_or_no_shorter_when_compressed_stay_as_they_are(http: httpx.Client) -> None:
    noise = np.random.default_rng(0).normal(size=(40, 28, 28, 1)).astype(np.float32)
    for name in ("output", "input"):
        outputs = [{"name": name, "parameters": {"binary_data": True}}]
        body, headers = packed({"inputs": [tensor(noise)], "outputs": outputs}, noise.tobytes())
        answer = http.post(INFER, content=body, headers=headers | {"Accept-Encoding": "gzip"})
        assert "content-encoding" not in answer.headers
        assert len(read(answer)[name]) == 40


@pytest.mark.parametrize("kind", ["float16", "float64"])
@pytest.mark.parametrize("form", ["binary", "flat", "nested"])
def test_numbers_of_other_sizes_are_converted(
    http: httpx.Client, numbers: Any, expected: Any, kind: str, form: str
) -> None:
    sent = numbers.astype(kind)
    entry, behind = tensor(sent), sent.tobytes()
    if form != "binary":
        listed = sent.ravel() if form == "flat" else sent
        entry, behind = entry | {"parameters": None, "data": listed.tolist()}, b""
    found = read(ask(http, {"inputs": [entry]}, behind))["output"]
    np.testing.assert_allclose(found, expected, atol=1e-2 if kind == "float16" else 1e-5)


def test_a_description_that_was_read_before_is_that_of_its_own_request(
    http: httpx.Client, pixels: Any
) -> None:
    for number in ("1", "2", "1"):
        answer = ask(http, {"id": number, "inputs": [tensor(pixels)]}, pixels.tobytes())
        assert answer.json()["id"] == number
        assert len(read(answer)["output"]) == len(pixels)
    one = pixels[:1]
    # as long as the one before, and of another shape
    assert len(read(ask(http, {"id": "1", "inputs": [tensor(one)]}, one.tobytes()))["output"]) == 1
    refused(ask(http, {"id": "1", "inputs": [tensor(pixels)]}, one.tobytes()), 422)


def test_the_key_is_a_bearer_token(guarded_server: Guarded, connect: Callable[..., httpx.Client]) -> None:
    with connect(guarded_server.url) as stranger:
        answer = stranger.get("/v2/models")
        assert "Bearer" in refused(answer, 401)
        assert "Bearer" in answer.headers.get_list("www-authenticate", split_commas=False)
        refused(stranger.post(INFER, content=b"{}"), 401)
        assert stranger.get("/v2/health/live").json() == {"live": True}
        assert stranger.get("/v2/health/ready").json() == {"ready": True}
    with connect(guarded_server.url, Authorization=f"Bearer {guarded_server.key}") as caller:
        assert "lenet-5-digits" in caller.get("/v2/models").json()["models"]


def test_the_repository_lists_loads_and_unloads(http: httpx.Client, pixels: Any, expected: Any) -> None:
    entry = {"name": "lenet-5-digits", "version": "1", "state": "READY", "reason": ""}
    for body in (b"", b"{}", b'{"ready": true}'):
        assert entry in http.post("/v2/repository/index", content=body).json()
    for what in ("unload", "load", "unload"):
        answer = http.post(f"/v2/repository/models/lenet-5-digits/{what}", content=b'{"parameters": {}}')
        assert (answer.status_code, answer.json()) == (200, {})
    refused(
        http.post("/v2/repository/models/lenet-5-digits/load", json={"parameters": {"config": "{}"}}), 422
    )
    answer = ask(http, {"inputs": [tensor(pixels)]}, pixels.tobytes())
    np.testing.assert_allclose(read(answer)["output"], expected, atol=1e-5)


def test_statistics_count_requests_and_pictures(http: httpx.Client, pixels: Any) -> None:
    def counts() -> Any:
        (found,) = http.get(f"{MODEL}/stats").json()["model_stats"]
        return found

    before = counts()
    ask(http, {"inputs": [tensor(pixels)]}, pixels.tobytes())
    ask(http, {"inputs": []})
    after = counts()
    assert after["inference_count"] - before["inference_count"] == len(pixels)
    assert after["inference_stats"]["success"]["count"] - before["inference_stats"]["success"]["count"] == 1
    assert after["inference_stats"]["fail"]["count"] - before["inference_stats"]["fail"]["count"] == 1
    assert after["last_inference"] > 0
    assert after in http.get("/v2/models/stats").json()["model_stats"]


def test_many_clients_at_once_get_their_own_answers(
    http: httpx.Client, pixels: Any, numbers: Any, files: list[bytes], expected: Any
) -> None:
    """In all forms, mixed: what comes together is computed together."""

    def one(number: int) -> tuple[int, np.ndarray[Any, Any]]:
        place = number % len(files)
        form = number % 3
        if form == 2:
            behind = elements([files[place]])
            entry = {"name": "input", "datatype": "BYTES", "shape": [1]}
            entry["parameters"] = {"binary_data_size": len(behind)}
        else:
            array = (pixels, numbers)[form][place : place + 1]
            entry, behind = tensor(array), array.tobytes()
        return place, read(ask(http, {"inputs": [entry]}, behind))["output"][0]

    with ThreadPoolExecutor(64) as pool:
        for place, row in pool.map(one, range(256)):
            np.testing.assert_allclose(row, expected[place], atol=1e-5)


def test_the_example_asks_for_pixels_and_an_inner_node(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inference_protocol.main(server)
    first, second, third = capsys.readouterr().out.splitlines()
    assert "with probability" in first
    assert "with probability" in second
    assert "2 x 28 x 28 x 6" in third


def test_the_example_asks_the_same_by_several_clients(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    three_clients.main(server)
    curl, triton, python = capsys.readouterr().out.splitlines()
    # stock clients are installed by `make interop` alone, which runs it with tritonclient
    assert triton.startswith("tritonclient ")
    assert "sees a " in curl
    assert curl.removeprefix("curl").strip() == python.removeprefix("plain Python").strip()
