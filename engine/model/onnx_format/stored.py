"""Where an ONNX file keeps the numbers of a tensor, and how they are read from there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto

from engine.arrays import Array, Shape, elements
from engine.errors import ModelFileError
from engine.model.onnx_format.wire import Mapped, Span, count_varints, varints

DTYPES: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.UINT8: np.dtype("u1"),
    TensorProto.INT8: np.dtype("i1"),
    TensorProto.UINT16: np.dtype("<u2"),
    TensorProto.INT16: np.dtype("<i2"),
    TensorProto.INT32: np.dtype("<i4"),
    TensorProto.INT64: np.dtype("<i8"),
    TensorProto.BOOL: np.dtype("?"),
    TensorProto.FLOAT16: np.dtype("<f2"),
    TensorProto.DOUBLE: np.dtype("<f8"),
    TensorProto.UINT32: np.dtype("<u4"),
    TensorProto.UINT64: np.dtype("<u8"),
    TensorProto.BFLOAT16: np.dtype("<f4"),
}
"""Types of numbers that are read, and as what."""
_FIXED: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT_DATA_FIELD_NUMBER: np.dtype("<f4"),
    TensorProto.DOUBLE_DATA_FIELD_NUMBER: np.dtype("<f8"),
}
_VARINTS = (
    TensorProto.INT32_DATA_FIELD_NUMBER,
    TensorProto.INT64_DATA_FIELD_NUMBER,
    TensorProto.UINT64_DATA_FIELD_NUMBER,
)
DATA = (*_FIXED, *_VARINTS, TensorProto.RAW_DATA_FIELD_NUMBER, TensorProto.STRING_DATA_FIELD_NUMBER)
"""Fields of a tensor that hold its numbers."""
PLACE_OF: dict[int, int] = {
    TensorProto.FLOAT: TensorProto.FLOAT_DATA_FIELD_NUMBER,
    TensorProto.DOUBLE: TensorProto.DOUBLE_DATA_FIELD_NUMBER,
    TensorProto.INT64: TensorProto.INT64_DATA_FIELD_NUMBER,
    TensorProto.UINT32: TensorProto.UINT64_DATA_FIELD_NUMBER,
    TensorProto.UINT64: TensorProto.UINT64_DATA_FIELD_NUMBER,
}
"""Where numbers of a type are that are not raw; those of all others are among the `int32_data`."""
_HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
"""Types that stand in `int32_data` by their bits."""


class Stored(NamedTuple):
    """Where the numbers of a tensor are."""

    file: Mapped
    span: Span
    field: int


def reader(kind: int, stored: Stored, shape: Shape, what: str) -> Callable[[], Array]:
    """Return what reads numbers whose count fits; raises ModelFileError if it does not."""
    file, span, field = stored
    dtype, count = DTYPES[kind], elements(shape)
    half = np.dtype("<u2")
    if field in _VARINTS:
        _check_count(count_varints(file.chunks(span)), count, shape, what)
        if kind in _HALVES:
            return lambda: _widened(varints(file.chunks(span), count, half), kind).reshape(shape)
        return lambda: varints(file.chunks(span), count, dtype).reshape(shape)
    width = half.itemsize if kind in _HALVES else dtype.itemsize
    _check_count(span.size / width, count, shape, what)
    if kind in _HALVES:
        return lambda: _widened(file.read(span, half), kind).reshape(shape)
    return lambda: file.read(span, dtype).reshape(shape)


def _check_count(found: float, count: int, shape: Shape, what: str) -> None:
    if found != count:
        raise ModelFileError(
            f"{what} says that its shape is {list(shape)}, which is {count:,} numbers, but the file holds {found:,.6g}"
        )


def _widened(bits: Array, kind: int) -> Array:
    """Return numbers of 16 bits: float16 as they are, bfloat16 as the float32 whose upper half they are."""
    if kind == TensorProto.FLOAT16:
        return bits.view(np.dtype("<f2"))
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
