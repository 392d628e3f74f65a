"""Requests of the Open Inference Protocol as stock clients write them, and their answers read."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

MODEL = "/v2/models/lenet-5-digits"
INFER = f"{MODEL}/infer"
LENGTH = "Inference-Header-Content-Length"


def tensor(array: np.ndarray[Any, Any], name: str = "input", **changes: Any) -> dict[str, Any]:
    """Describe a tensor whose bytes lie behind the JSON."""
    kind = {"float32": "FP32", "float16": "FP16", "float64": "FP64", "uint8": "UINT8"}[array.dtype.name]
    entry = {"name": name, "datatype": kind, "shape": list(array.shape)}
    return entry | {"parameters": {"binary_data_size": array.nbytes}} | changes


def packed(document: Any, behind: bytes = b"") -> tuple[bytes, dict[str, str]]:
    """Write a request as tritonclient does: JSON, the bytes behind it, and no Content-Type."""
    head = json.dumps(document).encode()
    return head + behind, {LENGTH: str(len(head))}


def ask(http: httpx.Client, document: Any, behind: bytes = b"", path: str = INFER) -> httpx.Response:
    body, headers = packed(document, behind)
    return http.post(path, content=body, headers=headers)


def read(answer: httpx.Response) -> dict[str, np.ndarray[Any, Any]]:
    """Read the outputs of an answer, wherever they are."""
    assert answer.status_code == 200, answer.text
    size = int(answer.headers.get(LENGTH, len(answer.content)))
    head, behind = json.loads(answer.content[:size]), answer.content[size:]
    found = {}
    for output in head["outputs"]:
        count = output.get("parameters", {}).get("binary_data_size")
        if count is None:
            found[output["name"]] = np.array(
                output["data"], object if output["datatype"] == "BYTES" else "f4"
            )
        else:
            found[output["name"]] = np.frombuffer(behind[:count], "<f4")
            behind = behind[count:]
        found[output["name"]] = found[output["name"]].reshape(output["shape"])
    assert behind == b""
    return found


def refused(answer: httpx.Response, *statuses: int) -> str:
    """Return what an error says: in the protocol's form, and in no other."""
    assert answer.status_code in statuses, (answer.status_code, answer.text)
    assert list(answer.json()) == ["error"]
    return str(answer.json()["error"])


def elements(files: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(file)) + file for file in files)
