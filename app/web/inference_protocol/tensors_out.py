"""Output tensors, within JSON or as bytes behind it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from pydantic_core import to_json

from app.api.requests.inference_protocol import InferenceRequest, RequestedOutput
from app.errors import Invalid
from app.models.prediction import best
from app.store.records import ModelRecord
from engine.arrays import Array

OUTPUT = "output"
"""The name of what a model predicts: probabilities of classes or labels, or values."""

HEADER_LENGTH = "Inference-Header-Content-Length"
HEADER_LENGTH_NAME = HEADER_LENGTH.lower().encode()
"""The same as requests have it, and answers."""

_REMEMBERED = 100
"""How many descriptions of outputs are not written again."""
_SHORT = 100
"""Characters of the identifier of a request whose answer is among them."""
_NO_DATA: Mapping[str, list[Any]] = MappingProxyType({})

_Described: TypeAlias = tuple[str, str, tuple[int, ...], int | None]
"""Of an output: its name, its datatype, its shape, and its bytes if they lie behind the JSON."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One output as it is asked for.

    Attributes:
        name: of a node, or `output`.
        binary: whether it lies behind the JSON.
        top: how many of the largest numbers to name in place of all; 0 for the numbers.
    """

    name: str
    binary: bool
    top: int

    @classmethod
    def of(cls, request: InferenceRequest) -> list[Wanted]:
        """Read what is asked for; without a word about it, the prediction.

        Raises:
            Invalid: one is asked for twice.
        """
        asked = request.outputs or [RequestedOutput(name=OUTPUT)]
        names = [output.name for output in asked]
        if len(set(names)) < len(names):
            raise Invalid.at("outputs", "an output is asked for twice", "name each once")
        everywhere = request.parameters.binary_data_output
        wanted = []
        for output in asked:
            said = output.parameters
            binary = everywhere if said.binary_data is None else said.binary_data
            wanted.append(cls(output.name, binary, said.classification or 0))
        return wanted


@dataclass(frozen=True, slots=True)
class Written:
    """The body of an answer, and how much of it is JSON if more comes behind."""

    body: bytes
    json_bytes: int | None


def write(
    record: ModelRecord,
    model_name: str,
    identifier: str | None,
    wanted: Sequence[Wanted],
    found: Mapping[str, Array],
    names: Mapping[str, Sequence[str] | None],
) -> Written:
    """Write the answer of an inference.

    Args:
        record: of the model.
        model_name: what the caller called it.
        identifier: of the request, to come back.
        wanted: the outputs, in order.
        found: each of them, (N, ...).
        names: what the numbers of each are called, if they have names.

    Raises:
        Invalid: a number that is not finite would have to be written as JSON.
    """
    described: list[_Described] = []
    data: dict[str, list[Any]] = {}
    behind: list[bytes] = []
    for output in wanted:
        array = found[output.name]
        datatype, shape, size = "FP32", array.shape, None
        if output.top:
            texts = [_largest(row, output.top, names.get(output.name)) for row in array]
            datatype, shape = "BYTES", (len(texts), min(output.top, array.shape[1]))
            flat = [text for row in texts for text in row]
            if output.binary:
                behind.append(b"".join(map(_element, flat)))
            else:
                data[output.name] = flat
        elif output.binary:
            behind.append(array.astype("<f4", copy=False).tobytes())
        else:
            if not np.logical_and.reduce(np.isfinite(array), axis=None):
                hint = "ask for it with binary_data"
                raise Invalid.at("outputs", f"{output.name} holds numbers that JSON cannot write", hint)
            data[output.name] = array.ravel().tolist()
        if output.binary:
            size = len(behind[-1])
        described.append((output.name, datatype, shape, size))
    named = model_name, record.version, identifier, tuple(described)
    # a client asks for the same again and again
    is_short = not data and (identifier is None or len(identifier) <= _SHORT)
    head = _remembered(*named) if is_short else _head(*named, data)
    return Written(b"".join([head, *behind]), len(head) if behind else None)


def _head(
    model_name: str,
    version: int,
    identifier: str | None,
    described: Sequence[_Described],
    data: Mapping[str, list[Any]] = _NO_DATA,
) -> bytes:
    """Return the JSON of an answer."""
    document: dict[str, Any] = {"model_name": model_name, "model_version": str(version)}
    if identifier is not None:
        document["id"] = identifier
    outputs = document["outputs"] = []
    for name, datatype, shape, size in described:
        entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
        entry |= {"data": data[name]} if size is None else {"parameters": {"binary_data_size": size}}
        outputs.append(entry)
    return to_json(document)


_remembered = lru_cache(_REMEMBERED)(_head)


def _largest(row: Array, count: int, names: Sequence[str] | None) -> list[str]:
    """Write the largest numbers of a vector as `value:index:label`, the largest first."""
    texts = []
    for index in best(row, count):
        label = "" if names is None else f":{names[index]}"
        texts.append(f"{row[index]}:{index}{label}")
    return texts


def _element(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<I", len(content)) + content
