"""Ask a model by the Open Inference Protocol with nothing but Python: pixels behind the JSON, an inner node as well.

Run it beside a server: `python -m examples.inference_protocol http://127.0.0.1:8000`
"""

from __future__ import annotations

import json
import sys
from array import array
from typing import Any
from urllib.request import Request, urlopen

MODEL = "lenet-5-digits"
HEADER = "Inference-Header-Content-Length"


def infer(
    url: str, pixels: bytes, shape: list[int], outputs: list[str]
) -> dict[str, tuple[list[int], array[float]]]:
    """Return the shape and the numbers of outputs for pixels of a shape (N, H, W, C)."""
    tensor = {
        "name": "input",
        "datatype": "UINT8",
        "shape": shape,
        "parameters": {"binary_data_size": len(pixels)},
    }
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    head = json.dumps({"inputs": [tensor], "outputs": wanted}).encode()
    request = Request(  # noqa: S310 - an address that the caller chose
        f"{url}/v2/models/{MODEL}/infer", head + pixels, {HEADER: str(len(head))}
    )
    with urlopen(request) as answer:  # noqa: S310 - see above
        size, body = int(answer.headers[HEADER]), answer.read()
    place, found = size, {}
    for output in json.loads(body[:size])["outputs"]:
        end = place + output["parameters"]["binary_data_size"]
        # float32, the least byte first, as nearly all computers have it
        found[output["name"]] = output["shape"], array("f", body[place:end])
        place = end
    return found


def digit(url: str, number: int) -> bytes:
    """Return a picture of the built-in data set as the pixels that the model sees, 28 x 28."""
    with urlopen(f"{url}/v1/datasets/digits/images/{number}") as answer:  # noqa: S310
        picture = answer.read()
    headers = {"Content-Type": "image/png", "Accept": "application/json"}
    request = Request(f"{url}/v1/models/{MODEL}/preprocess", picture, headers)  # noqa: S310
    with urlopen(request) as answer:  # noqa: S310
        rows: list[Any] = json.load(answer)["pixels"]
    return bytes(channel for row in rows for pixel in row for channel in pixel)


def main(url: str) -> None:
    found = infer(url, digit(url, 0) + digit(url, 1), [2, 28, 28, 1], ["output", "conv2d_1"])
    (_, classes), probabilities = found["output"]
    for first in range(0, len(probabilities), classes):
        row = probabilities[first : first + classes]
        best = max(range(classes), key=row.__getitem__)
        print(f"a {best}, with probability {row[best]:.3f}")
    print("the first layer puts out", " x ".join(map(str, found["conv2d_1"][0])), "numbers")


if __name__ == "__main__":
    main(*sys.argv[1:] or ["http://127.0.0.1:8000"])
