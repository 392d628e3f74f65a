"""From the bytes of a request to what is asked: JSON, and the tensor behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request

from app.api.requests.inference_protocol import InferenceInput, InferenceRequest
from app.errors import Malformed
from app.web.bodies.json import parse
from app.web.bodies.scopes import received
from app.web.bodies.validation import validate
from app.web.inference_protocol.tensors_out import HEADER_LENGTH, HEADER_LENGTH_NAME, Wanted


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request for an inference asks. Several requests may share it: nobody may change the lists.

    Attributes:
        id: comes back in the answer.
        inputs: the tensors, or what lies behind the JSON.
        wanted: the outputs, in order.
    """

    id: str | None
    inputs: Sequence[InferenceInput]
    wanted: Sequence[Wanted]


_MOST_VALUES = 1_000_000
"""In the JSON of one request: six pictures of 224x224 in colour. Python takes some 40 bytes for each."""
_MOST_CONTAINERS = 300_000
"""Pixels of nested lists are lists, too."""
_SHORT_BYTES = 1024
"""A description of tensors that lie behind it; a client sends the same one with each tensor of a shape."""
_REMEMBERED = 100
"""How many such descriptions are not read again. Each takes some 10 KB at most."""


def header_length(request: Request) -> int | None:
    """Return how many bytes of the body are JSON if tensors lie behind it.

    Raises:
        Malformed: the header says no number.
    """
    said = received(request.scope).get(HEADER_LENGTH_NAME)
    if said is None:
        return None
    if not (said.isdigit() and len(said) < 20):
        shown = said[:100].decode("latin-1")
        raise Malformed.at(HEADER_LENGTH, f"{shown!r} is no number of bytes", parameter=True)
    return int(said)


def read_request(body: bytes, json_bytes: int | None) -> tuple[Asked, memoryview]:
    """Return what the JSON of a body asks, and what lies behind it.

    Args:
        body: the whole.
        json_bytes: how much of it is JSON; None for all.

    Raises:
        Malformed: it is no JSON, or shorter than that.
        Invalid: it is no request for an inference.
        TooLarge: it has more numbers as text than are taken; behind the JSON there may be more.
    """
    if json_bytes is None:
        json_bytes = len(body)
    if json_bytes > len(body):
        detail = f"{json_bytes} bytes are to be JSON, and the body has {len(body)}"
        raise Malformed.at(HEADER_LENGTH, detail, parameter=True)
    head, behind = body[:json_bytes], memoryview(body)[json_bytes:]
    is_short = behind and json_bytes <= _SHORT_BYTES
    return (_remembered(head) if is_short else _asked(head)), behind


def _asked(head: bytes) -> Asked:
    document = parse(head, values=_MOST_VALUES, containers=_MOST_CONTAINERS)
    request = validate(InferenceRequest, document)
    return Asked(request.id, request.inputs, Wanted.of(request))


_remembered = lru_cache(_REMEMBERED)(_asked)
