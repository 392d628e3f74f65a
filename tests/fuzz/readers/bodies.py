"""Bodies of requests: strict JSON, forms, and tensors of the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

from starlette.requests import Request

from app.api.requests.architectures import ArchitectureComparisonRequest
from app.api.requests.dataset_pictures import CorrectionsCreate
from app.api.requests.operations import OperationRequest
from app.api.requests.training_jobs import TrainingJobRequest
from app.datasets.readers import KIND, MAGIC
from app.datasets.readers.sniff import describe
from app.web.bodies.dataset_fields import FORM_FIELDS, read_form
from app.web.bodies.json import parse
from app.web.bodies.multipart import FormRules, receive
from app.web.bodies.sinks import MemorySink
from app.web.bodies.validation import validate
from app.web.inference_protocol.requests import read_request
from app.web.inference_protocol.tensors_in import read_pictures
from tests.fuzz.readers.target import REFUSALS, Target

_KINDS = (TrainingJobRequest, OperationRequest, ArchitectureComparisonRequest, CorrectionsCreate)


def _json(data: bytes) -> None:
    """Read what each of some calls takes; refuse what none of them does."""
    document, refused = parse(data), None
    for kind in _KINDS:
        try:
            validate(kind, document)
        except REFUSALS as error:
            refused = error
        else:
            return
    if refused is not None:
        raise refused


def _jsons() -> Iterator[bytes]:
    layers: list[dict[str, Any]] = [
        {"type": "conv2d", "filters": 4, "kernel_size": [3, 3], "activation": {"type": "relu"}},
        {"type": "residual", "layers": [{"type": "batch_norm"}], "shortcut": []},
        {"type": "dense", "units": 2, "inputs": ["x"], "name": "out"},
    ]
    architecture = {"input_shape": [8, 8, 1], "layers": layers}
    training = {
        "dataset": "digits",
        "name": 'caf\u00e9 \\ "x"',
        "architecture": architecture,
        "epochs": 3,
        "seed": 2**53,
    }
    training |= {"optimizer": {"type": "adam", "learning_rate": 1e-3}}
    for document in (
        training,
        {"layer": layers[0], "input": [[[1.5, -2e-3], [None, True]]], "trace": {"positions": [[0, 0, 0]]}},
        {"architectures": [architecture, {"preset": "lenet-5"}]},
        {"corrections": [{"number": 1, "label": "x"}, {"number": 2, "excluded": True}]},
        [[[["deep"]]], {"a": {"b": {"c": [1e308, -0, 12345678901234567890]}}}],
    ):
        yield json.dumps(document).encode()
        yield json.dumps(document, ensure_ascii=False, indent=1).encode()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _form(data: bytes) -> None:
    """Receive a form: the first line is its content type. It comes as a whole, and in pieces of seven bytes."""
    kind, _, body = data.partition(b"\n")
    rules = FormRules(
        1 << 20, {"file": 1, "labels": 1}, FORM_FIELDS, MAGIC, KIND, frozenset({"labels"}), describe
    )
    for size in (len(body) or 1, 7):
        waiting = [body[start : start + size] for start in range(0, len(body), size)]

        async def come(waiting: list[bytes] = waiting) -> dict[str, Any]:
            piece = waiting.pop(0) if waiting else b""
            return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
        request = Request(scope | {"headers": [(b"content-type", kind)]}, come)
        form = _loop().run_until_complete(receive(request, rules, MemorySink))
        form.summary()
        read_form(form.fields)


def _forms() -> Iterator[bytes]:
    def part(head: str, content: bytes) -> bytes:
        return f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"

    fields = part('name="name"', b"pets") + part('name="image_size"', b"28x20")
    fields += part('name="split"', b"0.8,0.1,0.1") + part('name="invert"', b"true")
    file = part('name="file"; filename="a b.zip"', b"PK\x03\x04rest")
    encoded = part("name=file; filename*=UTF-8''%e2%82%ac", b"\x1f\x8bx") + part(
        'name="labels"; filename=l', b"PK\x05\x06"
    )
    for content in (fields + file, encoded + part('name="seed"', b"1"), fields, file * 2):
        yield b"multipart/form-data; boundary=b\n" + content + b"--b--\r\n"
    yield b'multipart/form-data; charset=utf-8; boundary="b"\n' + file + b"--b--"


def _tensors(data: bytes) -> None:
    """Read what a model of 2x2 pixels in colour is asked: JSON, and behind a zero, if there is one, tensors."""
    head, found, behind = data.partition(b"\0")
    asked, rest = read_request(head + behind, len(head) if found else None)
    read_pictures(asked.inputs, rest, (2, 2, 3), 4)


def _asked() -> Iterator[bytes]:
    floats = [number / 7 for number in range(12)]
    nested = [[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [0, 0, 255]]]]
    image = {"name": "input", "datatype": "UINT8", "shape": [1, 2, 2, 3]}
    first = {"name": "input_nchw", "datatype": "FP32", "shape": [1, 3, 2, 2]}
    files = {"name": "input", "datatype": "BYTES", "shape": [2]}
    outputs = [{"name": "probabilities", "parameters": {"classification": 2, "binary_data": True}}]
    for tensor in (image | {"data": nested}, first | {"data": floats}, files | {"data": ["aGk=", "aG8"]}):
        yield json.dumps({"id": "7", "inputs": [tensor], "outputs": outputs}).encode()
    for tensor, behind in (
        (image, bytes(range(12))),
        (first, struct.pack("<12f", *floats)),
        (first | {"datatype": "FP64"}, struct.pack("<12d", *floats)),
        (files, struct.pack("<I2sI", 2, b"hi", 0)),
    ):
        tensor = tensor | {"parameters": {"binary_data_size": len(behind)}}
        yield (
            json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
            + b"\0"
            + behind
        )


TARGETS = (
    Target("bodies.json", _json, _jsons),
    Target("bodies.form", _form, _forms),
    Target("bodies.tensors", _tensors, _asked),
)
