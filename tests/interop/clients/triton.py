"""tritonclient[http], the synchronous client."""

import base64
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import tritonclient.http as triton
from checks import CLIENTS, MODEL, Given, is_answered_in, report, same
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

given = Given()
client = triton.InferenceServerClient(given.address, concurrency=CLIENTS)
# each call gets a copy: the client adds headers of its own to what it is given, such as Content-Encoding
HEADERS = given.headers
PIXELS = np.array(given.pixels, np.uint8)
NUMBERS = np.array(given.numbers, np.float32)


def tensor(array, name="input", binary=True):
    made = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def infer(array, outputs=None, name="input", binary=True, **options):
    return client.infer(
        MODEL, [tensor(array, name, binary)], outputs=outputs, headers=dict(HEADERS), **options
    )


def metadata():
    assert client.get_server_metadata(dict(HEADERS))["name"] == "convserve"
    described = client.get_model_metadata(MODEL, headers=dict(HEADERS))
    assert described["inputs"][0]["shape"] == [-1, 28, 28, 1]
    assert client.get_model_metadata(MODEL, "1", dict(HEADERS))["versions"] == described["versions"]
    assert client.get_model_config(MODEL, headers=dict(HEADERS))["max_batch_size"] > 1


def repository():
    assert any(entry["name"] == MODEL for entry in client.get_model_repository_index(dict(HEADERS)))
    client.load_model(MODEL, dict(HEADERS))
    client.unload_model(MODEL, dict(HEADERS))


def statistics():
    before = client.get_inference_statistics(MODEL, headers=dict(HEADERS))["model_stats"][0][
        "inference_count"
    ]
    infer(PIXELS)
    after = client.get_inference_statistics(MODEL, headers=dict(HEADERS))["model_stats"][0]["inference_count"]
    assert after - before == len(PIXELS)


def as_json():
    outputs = [triton.InferRequestedOutput("output", binary_data=False)]
    found = infer(NUMBERS, outputs, binary=False, request_id="seven")
    assert found.get_response()["id"] == "seven"
    same(found.as_numpy("output"), given.expected)


def binary():
    same(infer(NUMBERS).as_numpy("output"), given.expected)
    same(infer(PIXELS).as_numpy("output"), given.expected)
    first = np.ascontiguousarray(NUMBERS.transpose(0, 3, 1, 2))
    same(infer(first, name="input_nchw").as_numpy("output"), given.expected)


def datatypes():
    same(infer(NUMBERS.astype(np.float64)).as_numpy("output"), given.expected)
    same(infer(NUMBERS.astype(np.float16)).as_numpy("output"), given.expected, 1e-2)
    try:
        infer(PIXELS.astype(np.int64))
    except InferenceServerException as error:
        assert "INT64" in error.message(), error
    else:
        raise AssertionError("nothing was refused")


def compressed():
    loud = triton.InferenceServerClient(given.address, verbose=True)
    for way in ("gzip", "deflate"):
        options = {"request_compression_algorithm": way, "response_compression_algorithm": way}
        outputs = [triton.InferRequestedOutput(name) for name in ("input", "output")]
        with redirect_stdout(io.StringIO()) as said:
            found = loud.infer(MODEL, [tensor(PIXELS)], outputs=outputs, headers=dict(HEADERS), **options)
        same(found.as_numpy("input"), given.numbers)
        same(found.as_numpy("output"), given.expected)
        is_answered_in(way, said.getvalue())
    loud.close()


def inner_node():
    outputs = [triton.InferRequestedOutput(name) for name in ("conv2d_1", "output", "input")]
    found = infer(PIXELS, outputs)
    assert found.as_numpy("conv2d_1").shape == (len(PIXELS), 28, 28, 6)
    same(found.as_numpy("input"), given.numbers)
    same(found.as_numpy("output"), given.expected)


def pictures():
    same(infer(np.array(given.pictures, object)).as_numpy("output"), given.expected)
    texts = np.array([base64.b64encode(file) for file in given.pictures], object)
    same(infer(texts, binary=False).as_numpy("output"), given.expected)


def classification():
    (named, *_) = infer(PIXELS, [triton.InferRequestedOutput("output", class_count=2)]).as_numpy("output")
    value, index, label = named[0].decode().split(":")
    assert int(index) == int(np.argmax(given.expected[0]))
    assert label == index
    same([float(value)], [max(given.expected[0])])


def errors():
    for array, name, said in ((PIXELS[:, :27], "input", "28x28"), (PIXELS, "image", "input")):
        try:
            infer(array, name=name)
        except InferenceServerException as error:
            assert said in error.message(), error
        else:
            raise AssertionError("nothing was refused")
    assert not client.is_model_ready("nothing", headers=dict(HEADERS))
    try:
        client.get_model_metadata(MODEL)  # without the key
    except InferenceServerException as error:
        assert "key" in error.message(), error
    else:
        raise AssertionError("the key was not asked for")


def many():
    waiting = [
        client.async_infer(MODEL, [tensor(PIXELS[number % len(PIXELS)][None])], headers=dict(HEADERS))
        for number in range(4 * CLIENTS)
    ]
    for number, one in enumerate(waiting):
        same(one.get_result().as_numpy("output")[0], given.expected[number % len(PIXELS)])


def alive():
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL, headers=dict(HEADERS))
    assert client.is_model_ready(MODEL, "example", headers=dict(HEADERS))


report(
    {
        "live and ready": alive,
        "metadata": metadata,
        "repository": repository,
        "statistics": statistics,
        "JSON": as_json,
        "binary": binary,
        "datatypes": datatypes,
        "compressed": compressed,
        "inner node": inner_node,
        "pictures as bytes": pictures,
        "classification": classification,
        "errors": errors,
        "64 at once": many,
    }
)

# else the interpreter waits at its end for the connections of the client
client.close()
