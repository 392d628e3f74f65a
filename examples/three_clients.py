"""curl, tritonclient and plain Python ask the same model for the same picture, by the Open Inference Protocol.

Run it beside a server: `python -m examples.three_clients http://127.0.0.1:8000`. tritonclient is left out where it is
not installed (`pip install tritonclient[http]`); nothing else is needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from examples.inference_protocol import MODEL, digit, infer

SHAPE = [1, 28, 28, 1]


def by_curl(url: str, pixels: bytes) -> list[float]:
    """Return the probabilities of all classes; pixels go and numbers come as JSON."""
    question = {"inputs": [{"name": "input", "datatype": "UINT8", "shape": SHAPE, "data": list(pixels)}]}
    command = ["curl", "--silent", "--show-error", f"{url}/v2/models/{MODEL}/infer", "--data", "@-"]
    answer = subprocess.run(  # noqa: S603 - an address that the caller chose
        command, input=json.dumps(question), capture_output=True, text=True, check=True
    )
    numbers: list[float] = json.loads(answer.stdout)["outputs"][0]["data"]
    return numbers


def by_tritonclient(url: str, pixels: bytes) -> list[float]:
    """Return them from NVIDIA's client, which sends and gets raw numbers behind the JSON.

    Raises:
        ImportError: it is not installed.
    """
    import numpy as np  # noqa: PLC0415 - comes with the other
    import tritonclient.http as triton  # noqa: PLC0415 - it is not installed everywhere

    tensor = triton.InferInput("input", SHAPE, "UINT8")
    tensor.set_data_from_numpy(np.frombuffer(pixels, np.uint8).reshape(SHAPE))
    with triton.InferenceServerClient(urlsplit(url).netloc) as client:
        numbers: list[float] = client.infer(MODEL, [tensor]).as_numpy("output")[0].tolist()
    return numbers


def by_python(url: str, pixels: bytes) -> list[float]:
    """Return them by nothing but Python's own library, in the same way."""
    _, numbers = infer(url, pixels, SHAPE, ["output"])["output"]
    return list(numbers)


CLIENTS: Mapping[str, Callable[[str, bytes], list[float]]] = {
    "curl": by_curl,
    "tritonclient": by_tritonclient,
    "plain Python": by_python,
}


def main(url: str) -> None:
    pixels = digit(url, 3)
    for name, ask in CLIENTS.items():
        try:
            numbers = ask(url, pixels)
        except ImportError:
            print(f"{name:13} is not installed here")
            continue
        best = max(range(len(numbers)), key=numbers.__getitem__)
        print(f"{name:13} sees a {best}, with probability {numbers[best]:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:] or ["http://127.0.0.1:8000"])
