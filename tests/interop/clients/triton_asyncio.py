"""tritonclient[http], the client for asyncio."""

import asyncio
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import tritonclient.http.aio as triton
from checks import CLIENTS, MODEL, Given, is_answered_in, report, same
from tritonclient.utils import InferenceServerException

given = Given()
# each call gets a copy: the client adds headers of its own to what it is given, such as Content-Encoding
HEADERS = given.headers
PIXELS = np.array(given.pixels, np.uint8)
NUMBERS = np.array(given.numbers, np.float32)


def connect(**options):
    return triton.InferenceServerClient(given.address, conn_limit=CLIENTS, **options)


def tensor(array, binary=True):
    kind = {"uint8": "UINT8", "float32": "FP32", "object": "BYTES"}[array.dtype.name]
    made = triton.InferInput("input", list(array.shape), kind)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


async def infer(array, outputs=None, binary=True, **options):
    async with connect() as client:
        sent = [tensor(array, binary)]
        return await client.infer(MODEL, sent, outputs=outputs, headers=dict(HEADERS), **options)


async def alive():
    async with connect() as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(MODEL, headers=dict(HEADERS))


async def metadata():
    async with connect() as client:
        assert (await client.get_server_metadata(dict(HEADERS)))["name"] == "convserve"
        described = await client.get_model_metadata(MODEL, headers=dict(HEADERS))
        assert described["outputs"][0]["shape"] == [-1, 10]


async def as_json():
    outputs = [triton.InferRequestedOutput("output", binary_data=False)]
    same((await infer(NUMBERS, outputs, binary=False)).as_numpy("output"), given.expected)


async def binary():
    same((await infer(NUMBERS)).as_numpy("output"), given.expected)


async def compressed():
    for way in ("gzip", "deflate"):
        options = {"request_compression_algorithm": way, "response_compression_algorithm": way}
        outputs = [triton.InferRequestedOutput(name) for name in ("input", "output")]
        with redirect_stdout(io.StringIO()) as said:
            async with connect(verbose=True) as loud:
                found = await loud.infer(
                    MODEL, [tensor(PIXELS)], outputs=outputs, headers=dict(HEADERS), **options
                )
        same(found.as_numpy("input"), given.numbers)
        same(found.as_numpy("output"), given.expected)
        is_answered_in(way, said.getvalue())


async def inner_node():
    found = await infer(PIXELS, [triton.InferRequestedOutput("conv2d_1")])
    assert found.as_numpy("conv2d_1").shape == (len(PIXELS), 28, 28, 6)


async def pictures():
    same((await infer(np.array(given.pictures, object))).as_numpy("output"), given.expected)


async def errors():
    try:
        await infer(PIXELS[:, :27])
    except InferenceServerException as error:
        assert "28x28" in error.message(), error
    else:
        raise AssertionError("nothing was refused")


async def many():
    async with connect() as client:

        async def one(number):
            place = number % len(PIXELS)
            found = await client.infer(MODEL, [tensor(PIXELS[place][None])], headers=dict(HEADERS))
            same(found.as_numpy("output")[0], given.expected[place])

        await asyncio.gather(*map(one, range(4 * CLIENTS)))


report(
    {
        "live and ready": alive,
        "metadata": metadata,
        "JSON": as_json,
        "binary": binary,
        "compressed": compressed,
        "inner node": inner_node,
        "pictures as bytes": pictures,
        "errors": errors,
        "64 at once": many,
    }
)
