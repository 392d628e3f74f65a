"""open-inference-openapi, the client that the authors of the protocol generate from their description."""

import base64
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import httpx
from checks import CLIENTS, MODEL, Given, flat, report, same
from open_inference.openapi.client import OpenInferenceClient
from open_inference.openapi.core.api_error import ApiError
from open_inference.openapi.types import InferenceRequest, RequestInput, RequestOutput

given = Given()
limits = httpx.Limits(max_connections=CLIENTS)
session = httpx.Client(headers=given.headers, timeout=60, limits=limits)
client = OpenInferenceClient(base_url=f"http://{given.address}", httpx_client=session)
COUNT = len(given.pixels)


def infer(data, kind, shape, outputs=None):
    tensor = RequestInput(name="input", datatype=kind, shape=shape, data=data)
    return client.model_infer(MODEL, request=InferenceRequest(id="seven", inputs=[tensor], outputs=outputs))


def numbers(tensor):
    return tensor.dict()["data"]


def alive():
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness(MODEL)
    client.check_model_version_readiness(MODEL, "1")


def metadata():
    assert client.read_server_metadata().name == "convserve"
    assert client.read_model_metadata(MODEL).inputs[0].shape == [-1, 28, 28, 1]
    assert client.read_model_version_metadata(MODEL, "1").name == MODEL


def as_json():
    found = infer(flat(given.numbers), "FP32", [COUNT, 28, 28, 1])
    assert found.id == "seven"
    same(numbers(found.outputs[0]), given.expected)
    found = infer(given.pixels, "UINT8", [COUNT, 28, 28, 1])
    same(numbers(found.outputs[0]), given.expected)


def inner_node():
    asked = [RequestOutput(name="conv2d_1"), RequestOutput(name="output")]
    inner, output = infer(given.pixels, "UINT8", [COUNT, 28, 28, 1], asked).outputs
    assert inner.shape == [COUNT, 28, 28, 6]
    same(numbers(output), given.expected)


def pictures():
    texts = [base64.b64encode(file).decode() for file in given.pictures]
    same(numbers(infer(texts, "BYTES", [COUNT]).outputs[0]), given.expected)


def errors():
    for call in (lambda: infer([0], "FP32", [1, 27, 28, 1]), lambda: client.read_model_metadata("nothing")):
        try:
            call()
        except ApiError as error:
            body = error.body if isinstance(error.body, dict) else error.body.dict()
            assert body["error"], error
        else:
            raise AssertionError("nothing was refused")


def many():
    def one(number):
        place = number % COUNT
        found = infer(flat(given.pixels[place]), "UINT8", [1, 28, 28, 1])
        same(numbers(found.outputs[0]), given.expected[place])

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(4 * CLIENTS)))


report(
    {
        "live and ready": alive,
        "metadata": metadata,
        "JSON": as_json,
        "inner node": inner_node,
        "pictures as bytes": pictures,
        "errors": errors,
        "64 at once": many,
    }
)
