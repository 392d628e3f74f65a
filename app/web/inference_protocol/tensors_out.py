"""Output tensors, within JSON or as bytes behind it."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    outputs: list[dict[str, Any]] = []
    behind: list[bytes] = []
    for output in wanted:
        array = found[output.name]
        entry: dict[str, Any] = {"name": output.name, "datatype": "FP32", "shape": list(array.shape)}
        if output.top:
            texts = [_largest(row, output.top, names.get(output.name)) for row in array]
            entry |= {"datatype": "BYTES", "shape": [len(texts), min(output.top, array.shape[1])]}
            flat = [text for row in texts for text in row]
            if output.binary:
                content = b"".join(map(_element, flat))
            else:
                entry["data"] = flat
        elif output.binary:
            content = array.astype("<f4", copy=False).tobytes()
        else:
            if not np.logical_and.reduce(np.isfinite(array), axis=None):
                hint = "ask for it with binary_data"
                raise Invalid.at("outputs", f"{output.name} holds numbers that JSON cannot write", hint)
            entry["data"] = array.ravel().tolist()
        if output.binary:
            entry["parameters"] = {"binary_data_size": len(content)}
            behind.append(content)
        outputs.append(entry)
    document: dict[str, Any] = {"model_name": model_name, "model_version": str(record.version)}
    if identifier is not None:
        document["id"] = identifier
    document["outputs"] = outputs
    head = to_json(document)
    return Written(b"".join([head, *behind]), len(head) if behind else None)


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
