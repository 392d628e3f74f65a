"""Input tensors, out of JSON or as bytes behind it, as pictures for a model."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from app.api.requests.inference_protocol import InferenceInput, Refused
from app.errors import Invalid, TooLarge
from app.files.encoded import decode_base64
from app.models.prediction import Picture

INPUT = "input"
INPUT_NCHW = "input_nchw"
"""The names of the input: what the first layer receives, with channels last, or first."""

PIXELS = "UINT8"
_STORED: dict[str, Any] = {
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
    "FP64": np.dtype("<f8"),
    PIXELS: np.dtype("u1"),
}
"""How numbers lie behind the JSON."""
_REFUSED = frozenset(get_args(Refused))


def read_pictures(
    inputs: Sequence[InferenceInput], behind: memoryview, input_shape: Sequence[int], most: int
) -> list[Picture]:
    """Return the pictures of a request, in whichever form its input has them.

    Args:
        inputs: the inputs, of which a model takes one.
        behind: the bytes behind the JSON.
        input_shape: [height, width, channels] of the model.
        most: how many pictures may be asked at a time.

    Raises:
        Invalid: the tensor is not what its name, datatype, shape and size say, or not what the model takes.
        TooLarge: there are too many pictures.
    """
    if len(inputs) > 1:
        detail = f"{len(inputs)} inputs were sent"
        raise Invalid.at("inputs", detail, f"send one: {INPUT}, or {INPUT_NCHW} with the channels first")
    (tensor,) = inputs
    if tensor.name not in (INPUT, INPUT_NCHW):
        raise _wrong("name", f"there is no input {tensor.name[:100]!r}", f"use {INPUT} or {INPUT_NCHW}")
    count = tensor.shape[0]
    if count > most:
        raise TooLarge.at(("inputs", 0, "shape"), f"{count} pictures", f"send at most {most} at a time")
    size = tensor.parameters.binary_data_size
    if size is None:
        if len(behind):
            detail = f"{len(behind)} bytes lie behind the JSON, and no input claims them"
            raise _wrong("parameters", detail, "say binary_data_size, or send `data`")
        if tensor.data is None:
            raise _wrong(
                "data", "the tensor is missing", "send `data`, or binary_data_size with its bytes behind"
            )
    elif tensor.data is not None:
        raise _wrong("data", "the tensor is here and behind the JSON", "send one of them")
    elif size != len(behind):
        detail = f"binary_data_size is {size}, but {len(behind)} bytes lie behind the JSON"
        raise _wrong("parameters", detail, "check it and Inference-Header-Content-Length")
    if tensor.datatype in _REFUSED:
        detail = f"numbers of {tensor.datatype} are not taken"
        hint = (
            f"send pixels from 0 to 255 as {PIXELS}, or what the first layer receives as FP32, FP16 or FP64"
        )
        raise _wrong("datatype", detail, hint)
    if tensor.datatype == "BYTES":
        return list(_files(tensor, behind))
    return _numbers(tensor, behind, input_shape)


def _numbers(tensor: InferenceInput, behind: memoryview, input_shape: Sequence[int]) -> list[Picture]:
    height, width, channels = input_shape
    first = tensor.name == INPUT_NCHW
    wanted = (channels, height, width) if first else (height, width, channels)
    if tuple(tensor.shape[1:]) != wanted:
        order = "x".join(map(str, ("N", *wanted)))
        raise _wrong("shape", f"the shape is {_written(tensor.shape)}", f"this model takes {order}")
    count = math.prod(tensor.shape)
    stored = _STORED[tensor.datatype]
    if tensor.data is None:
        if len(behind) != count * stored.itemsize:
            detail = (
                f"a tensor {_written(tensor.shape)} of {tensor.datatype} has {count * stored.itemsize} bytes, "
                f"not {len(behind)}"
            )
            raise _wrong("shape", detail)
        array = np.frombuffer(behind, stored)
    else:
        array = _listed(tensor, tensor.data, count, stored)
    # copied, so that numbers lie where the processor wants them: behind the JSON they begin anywhere
    if tensor.datatype == "FP64":
        with np.errstate(over="ignore"):  # what does not fit is refused below
            array = array.astype(np.float32)
    else:
        array = array.astype(np.uint8 if tensor.datatype == PIXELS else np.float32)
    if tensor.datatype != PIXELS and 0 in np.isfinite(array).tobytes():  # sooner than `all`
        raise _wrong("data", "some of the numbers are not finite", "send finite numbers of 32 bits")
    images = array.reshape(tensor.shape)
    if first:
        images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return [Picture(b"", numbers=image) for image in images]


def _listed(tensor: InferenceInput, data: list[Any], count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the numbers of lists, flat or nested row after row, as they would lie behind the JSON."""
    flat = _flat(tensor, data)
    if len(flat) != count:
        detail = f"a tensor {_written(tensor.shape)} has {count} numbers, not {len(flat)}"
        raise _wrong("data", detail)
    if not set(map(type, flat)) <= {int, float}:
        raise _wrong("data", f"a tensor of {tensor.datatype} holds numbers and nothing else")
    try:
        exact = np.array(flat, np.float64)
    except OverflowError:
        exact = np.array([np.inf])  # an integer beyond all floats
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is refused below
        array = exact.astype(dtype)
    # some clients write all numbers with a fraction: 12.0 is a pixel
    is_pixels = tensor.datatype == PIXELS
    fits = (array == exact) if is_pixels else np.isfinite(array)
    if not fits.all():
        kind = "whole numbers from 0 to 255" if is_pixels else f"finite numbers of {8 * dtype.itemsize} bits"
        raise _wrong("data", f"a tensor of {tensor.datatype} holds {kind}")
    return array


def _flat(tensor: InferenceInput, data: list[Any]) -> list[Any]:
    for _ in tensor.shape[1:]:
        if not data or not isinstance(data[0], list):
            break
        if set(map(type, data)) != {list}:
            raise _wrong("data", "lists and other values stand side by side", "nest all of it, or nothing")
        data = list(chain.from_iterable(data))
    return data


def _files(tensor: InferenceInput, behind: memoryview) -> Iterator[Picture]:
    """Yield encoded pictures: files as they are behind the JSON, or in base64 within."""
    if tensor.name == INPUT_NCHW or math.prod(tensor.shape) != tensor.shape[0]:
        detail = f"{tensor.name} of BYTES has the shape {_written(tensor.shape)}"
        raise _wrong("shape", detail, f"send picture files as {INPUT} of the shape [N]")
    if tensor.data is None:
        files = list(_elements(behind))
    else:
        files = []
        for number, text in enumerate(_flat(tensor, tensor.data)):
            if not isinstance(text, str):
                raise _wrong("data", "an element of BYTES is a text in JSON", "write the picture in base64")
            try:
                files.append(decode_base64(text))
            except ValueError as error:
                hint = "write the file in base64, or send it behind the JSON"
                raise _wrong("data", f"element {number} is no base64: {error}", hint) from None
    if len(files) != tensor.shape[0]:
        raise _wrong("shape", f"the shape {_written(tensor.shape)} is not that of {len(files)} elements")
    for file in files:
        yield Picture(file, pointer="/inputs/0/data")


def _elements(behind: memoryview) -> Iterator[bytes]:
    """Yield the elements of a BYTES tensor: each its length, four bytes with the least first, and so many bytes."""
    place = 0
    while place < len(behind):
        start = place + 4
        if start > len(behind):
            raise _wrong("data", "it ends within the length of an element")
        (length,) = struct.unpack_from("<I", behind, place)
        place = start + length
        if place > len(behind):
            raise _wrong("data", f"an element claims {length} bytes, and {len(behind) - start} are left")
        yield bytes(behind[start:place])


def _written(shape: Sequence[int]) -> str:
    return str([int(size) for size in shape])


def _wrong(key: str, detail: str, hint: str | None = None) -> Invalid:
    return Invalid.at(("inputs", 0, key), detail, hint)
