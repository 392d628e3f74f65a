"""kserve, its client for inferences over HTTP."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import httpx
import numpy as np
from checks import CLIENTS, MODEL, Given, report, same
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

given = Given()
URL = f"http://{given.address}"
PIXELS = np.array(given.pixels, np.uint8)
NUMBERS = np.array(given.numbers, np.float32)


def connect():
    return InferenceRESTClient(RESTConfig(protocol="v2"))


def request(array, binary=True, outputs=None):
    kind = {"uint8": "UINT8", "float32": "FP32", "object": "BYTES"}[array.dtype.name]
    tensor = InferInput("input", list(array.shape), kind)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return InferRequest(MODEL, [tensor], request_id="seven", request_outputs=outputs)


async def infer(array, **options):
    async with connect() as client:
        return await client.infer(URL, request(array, **options), MODEL, headers=dict(given.headers))


async def alive():
    async with connect() as client:
        assert await client.is_server_live(URL)
        assert await client.is_server_ready(URL)
        assert await client.is_model_ready(URL, MODEL, headers=given.headers)
        assert not await client.is_model_ready(URL, "nothing", headers=given.headers)


async def as_json():
    found = await infer(NUMBERS, binary=False)
    assert found.id == "seven"
    same(found.outputs[0].as_numpy(), given.expected)


async def binary():
    found = await infer(NUMBERS, outputs=[RequestedOutput("output", {"binary_data": True})])
    same(found.outputs[0].as_numpy(), given.expected)


async def inner_node():
    wanted = [RequestedOutput("conv2d_1", {"binary_data": True}), RequestedOutput("output")]
    inner, output = (await infer(PIXELS, outputs=wanted)).outputs
    assert inner.as_numpy().shape == (len(PIXELS), 28, 28, 6)
    same(output.as_numpy(), given.expected)


async def pictures():
    found = await infer(np.array(given.pictures, object))
    same(found.outputs[0].as_numpy(), given.expected)


async def errors():
    try:
        await infer(PIXELS[:, :27])
    except httpx.HTTPStatusError as error:
        assert "28x28" in str(error), error
    else:
        raise AssertionError("nothing was refused")


async def many():
    async with connect() as client:

        async def one(number):
            place = number % len(PIXELS)
            sent = request(PIXELS[place][None])
            found = await client.infer(URL, sent, MODEL, headers=dict(given.headers))
            same(found.outputs[0].as_numpy()[0], given.expected[place])

        for _ in range(4):
            await asyncio.gather(*map(one, range(CLIENTS)))


report(
    {
        "live and ready": alive,
        "JSON": as_json,
        "binary": binary,
        "inner node": inner_node,
        "pictures as bytes": pictures,
        "errors": errors,
        "64 at once": many,
    }
)
