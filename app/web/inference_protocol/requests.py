"""From the bytes of a request to what is asked: JSON, and the tensor behind it."""

from __future__ import annotations

from starlette.requests import Request

from app.api.requests.inference_protocol import InferenceRequest
from app.errors import Malformed
from app.web.bodies.json import parse
from app.web.bodies.validation import validate
from app.web.inference_protocol.tensors_out import HEADER_LENGTH

_MOST_VALUES = 1_000_000
"""In the JSON of one request: six pictures of 224x224 in colour. Python takes some 40 bytes for each."""
_MOST_CONTAINERS = 300_000
"""Pixels of nested lists are lists, too."""


def header_length(request: Request) -> int | None:
    """Return how many bytes of the body are JSON if tensors lie behind it.

    Raises:
        Malformed: the header says no number.
    """
    said = request.headers.get(HEADER_LENGTH)
    if said is None:
        return None
    if not (said.isascii() and said.isdecimal() and len(said) < 20):
        raise Malformed.at(HEADER_LENGTH, f"{said[:100]!r} is no number of bytes", parameter=True)
    return int(said)


def read_request(body: bytes, json_bytes: int | None) -> tuple[InferenceRequest, memoryview]:
    """Return the JSON of a body, and what lies behind it.

    Args:
        body: the whole.
        json_bytes: how much of it is JSON; None for all.

    Raises:
        Malformed: it is no JSON, or shorter than that.
        Invalid: it is no request for an inference.
        TooLarge: it has more numbers as text than are taken; behind the JSON there may be more.
    """
    whole = memoryview(body)
    if json_bytes is None:
        json_bytes = len(whole)
    if json_bytes > len(whole):
        detail = f"{json_bytes} bytes are to be JSON, and the body has {len(whole)}"
        raise Malformed.at(HEADER_LENGTH, detail, parameter=True)
    head = body if json_bytes == len(whole) else bytes(whole[:json_bytes])
    document = parse(head, values=_MOST_VALUES, containers=_MOST_CONTAINERS)
    return validate(InferenceRequest, document), whole[json_bytes:]
