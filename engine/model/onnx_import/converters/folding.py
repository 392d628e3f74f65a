"""Operators on constants: computed while a graph is taken apart, or, where they are many, when weights are made.

Shapes are computed beforehand, so that what a small file would blow up is refused before it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np

from engine.arrays import Array, Shape, elements
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import BATCH
from engine.model.onnx_import.values.value import (
    Constant,
    Counted,
    Unsupported,
    Value,
    derived,
    known,
    stored,
)

_TYPES = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    4: np.uint16,
    5: np.int16,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
    12: np.uint32,
    13: np.uint64,
    16: np.float32,
}
"""NumPy's types by ONNX's numbers of them."""


def constant(call: Call) -> list[Value]:
    """Constant."""
    if call.has("value"):
        tensor = call.tensor("value")
        call.budget.charge(tensor.elements)
        return [stored(tensor)]
    for name, kind in (("value_float", np.float32), ("value_int", np.int64)):
        if call.has(name):
            return [known(np.array(call.node.attributes[name], kind))]
    for name, kind in (("value_floats", np.float32), ("value_ints", np.int64)):
        if call.has(name):
            return [known(np.array(call.node.attributes[name], kind))]
    raise Unsupported("a constant that is numbers")


def constant_of_shape(call: Call) -> list[Value]:
    """ConstantOfShape: one number, stretched."""
    shape = _sizes(call.constant(0))
    said = call.tensor("value") if call.has("value") else None
    if said is not None and said.elements != 1:
        raise Unsupported("one number that is repeated")
    filler = np.zeros(1, np.float32) if said is None else said.read()
    source = known(filler.reshape(()))
    return [call.derive(lambda: np.broadcast_to(filler.reshape(()), shape), shape, source)]


def expand(call: Call) -> list[Value]:
    """Expand."""
    source = call.constant(0)
    shape = _broadcast(source.shape, _sizes(call.constant(1)))
    return [call.derive(lambda: np.broadcast_to(source.make(), shape), shape, source)]


def same(call: Call) -> list[Value]:
    """Identity."""
    return [call.constant(0)]


def cast(call: Call) -> list[Value]:
    """Cast."""
    source, kind = call.constant(0), _TYPES.get(call.attribute("to", 0))
    if kind is None:
        raise Unsupported("a cast to a type of numbers")
    return [derived(lambda: source.make().astype(kind), source.shape, np.dtype(kind), source)]


def cast_like(call: Call) -> list[Value]:
    """CastLike."""
    source, kind = call.constant(0), call.constant(1).dtype
    return [derived(lambda: source.make().astype(kind), source.shape, kind, source)]


def elementwise(
    function: Callable[..., Array], count: int | None, kind: type[Any] | None, call: Call
) -> list[Value]:
    """Apply a function of NumPy to constants: to so many together, or with None to two of them after each other."""
    sources = [call.constant(place) for place in range(len(call.inputs))]
    if not sources or count not in (None, len(sources)):
        raise Unsupported(f"{count} inputs and not {len(sources)}")
    shape = _broadcast(*(each.shape for each in sources))
    dtype = np.dtype(kind) if kind else sources[-1].dtype
    call.budget.charge(elements(shape) - sum(each.elements for each in sources))
    if count is None:
        return [derived(lambda: reduce(function, (each.make() for each in sources)), shape, dtype, *sources)]
    return [derived(lambda: function(*_made(sources)), shape, dtype, *sources)]


def _made(sources: list[Constant]) -> list[Array]:
    """Make constants, those first that take most: while others are made, few of them are kept."""
    order = sorted(range(len(sources)), key=lambda place: -sources[place].work)
    made = {place: sources[place].make() for place in order}
    return [made[place] for place in range(len(sources))]


def divide(call: Call) -> list[Value]:
    """Div, which rounds integers towards 0."""
    if call.constant(0).is_real:
        return elementwise(np.divide, 2, None, call)
    if not call.constant(1).numbers().all():
        raise Unsupported("a division by something else than 0")
    return elementwise(_quotient, 2, None, call)


def clip(call: Call) -> list[Value]:
    """Clip from version 11 on, of sizes: a limit may be missing."""
    source = call.constant(0)
    low, high = (call.constant(place).numbers() if call.given(place) else None for place in (1, 2))
    if low is None and high is None:
        return [source]
    return [derived(lambda: np.clip(source.make(), low, high), source.shape, source.dtype, source)]


def modulo(call: Call) -> list[Value]:
    """Mod of integers, whose sign is that of the divisor, or with `fmod` that of the dividend."""
    if call.constant(0).is_real or not call.constant(1).numbers().all():
        raise Unsupported("integers, and a division by something else than 0")
    return elementwise(np.fmod if call.attribute("fmod", 0) else np.mod, 2, None, call)


def _quotient(one: Array, other: Array) -> Array:
    rounded: Array = np.sign(one) * np.sign(other) * (np.abs(one) // np.abs(other))
    return rounded.astype(one.dtype)


def reshape(call: Call) -> list[Value]:
    """Reshape."""
    source, wanted = call.constant(0), list(call.constant(1).integers())
    if not call.attribute("allowzero", 0):
        wanted = [
            source.shape[axis] if each == 0 and axis < len(source.shape) else each
            for axis, each in enumerate(wanted)
        ]
    rest = math.prod(each for each in wanted if each != -1)
    if wanted.count(-1) == 1 and rest:
        wanted[wanted.index(-1)] = source.elements // rest
    if math.prod(wanted) != source.elements or min(wanted, default=0) < 0:
        raise Unsupported(f"a shape that {list(source.shape)} fits, and not {wanted}")
    return [source.reshaped(tuple(wanted))]


def transpose(call: Call) -> list[Value]:
    """Transpose."""
    source = call.constant(0)
    rank = len(source.shape)
    order = call.axes(rank, call.attribute("perm", tuple(reversed(range(rank)))))
    if sorted(order) != list(range(rank)):
        raise Unsupported(f"an order of all {rank} axes and not {list(order)}")
    return [source.transposed(order)]


def squeeze(call: Call) -> list[Value]:
    """Squeeze."""
    source = call.constant(0)
    axes = call.integers("axes", 1 if call.version >= 13 else None)
    if axes is None:
        axes = tuple(axis for axis, each in enumerate(source.shape) if each == 1)
    gone = call.axes(len(source.shape), axes)
    if any(source.shape[axis] != 1 for axis in gone):
        raise Unsupported(f"axes of size 1 in {list(source.shape)} and not {list(axes)}")
    return [source.reshaped(tuple(each for axis, each in enumerate(source.shape) if axis not in gone))]


def unsqueeze(call: Call) -> list[Value]:
    """Unsqueeze."""
    source = call.constant(0)
    axes = call.integers("axes", 1 if call.version >= 13 else None) or ()
    shape = list(source.shape)
    for axis in sorted(call.axes(len(shape) + len(axes), axes)):
        shape.insert(axis, 1)
    return [source.reshaped(tuple(shape))]


def flatten(call: Call) -> list[Value]:
    """Flatten."""
    source = call.constant(0)
    axis = call.attribute("axis", 1)
    axis = axis + len(source.shape) if axis < 0 else axis
    return [source.reshaped((elements(source.shape[:axis]), elements(source.shape[axis:])))]


def concatenate(call: Call) -> list[Value]:
    """Concat."""
    sources = [call.constant(place) for place in range(len(call.inputs))]
    (axis,) = call.axes(len(sources[0].shape), [call.attribute("axis", 0)])
    rests = {(*each.shape[:axis], *each.shape[axis + 1 :]) for each in sources}
    if len(rests) > 1 or any(len(each.shape) <= axis for each in sources):
        raise Unsupported("constants whose other axes are the same")
    shape = list(sources[0].shape)
    shape[axis] = sum(each.shape[axis] for each in sources)
    call.budget.charge(elements(tuple(shape)) - sum(each.elements for each in set(sources)))
    return [
        derived(
            lambda: np.concatenate([each.make() for each in sources], axis),
            tuple(shape),
            sources[0].dtype,
            *sources,
        )
    ]


def gather(call: Call) -> list[Value]:
    """Gather."""
    source, places = call.constant(0), call.constant(1)
    (axis,) = call.axes(len(source.shape), [call.attribute("axis", 0)])
    found = places.numbers()
    size = source.shape[axis]
    if found.size and not (-size <= found.min() and found.max() < size):
        raise Unsupported(f"indices of an axis of {size}")
    shape = (*source.shape[:axis], *places.shape, *source.shape[axis + 1 :])
    return [call.derive(lambda: np.take(source.make(), found, axis), shape, source, places)]


def cut_by_attributes(call: Call) -> list[Value]:
    """Slice up to version 9."""
    return _cut(
        call, call.attribute("starts", (0,)), call.attribute("ends", (0,)), call.integers("axes"), None
    )


def cut(call: Call) -> list[Value]:
    """Slice from version 10 on."""
    axes = call.constant(3).integers() if call.given(3) else None
    steps = call.constant(4).integers() if call.given(4) else None
    return _cut(call, call.constant(1).integers(), call.constant(2).integers(), axes, steps)


def _cut(
    call: Call,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...] | None,
    steps: tuple[int, ...] | None,
) -> list[Value]:
    source = call.constant(0)
    along = call.axes(len(source.shape), axes if axes is not None else range(len(starts)))
    places = [slice(None)] * len(source.shape)
    by = steps or (1,) * len(starts)
    if not len(along) == len(starts) == len(ends) == len(by) or not all(by):
        raise Unsupported("a start, an end and a step for each axis")
    for axis, start, end, step in zip(along, starts, ends, by, strict=True):
        # an end far before the start, with steps backwards, takes in the first number too
        places[axis] = slice(start, None if step < 0 and end < -source.shape[axis] else end, step)
    shape = tuple(len(range(*place.indices(size))) for place, size in zip(places, source.shape, strict=True))
    return [source.changed(shape, lambda array: array[tuple(places)])]


def product(call: Call) -> list[Value]:
    """ReduceProd of small lists."""
    source = call.constant(0)
    axes = call.integers("axes", 1 if call.version >= 18 else None)
    keep = bool(call.attribute("keepdims", 1))
    along = call.axes(len(source.shape), axes) if axes else None
    return [known(np.asarray(np.prod(source.numbers(), axis=along, keepdims=keep, dtype=source.dtype)))]


def run(call: Call) -> list[Value]:
    """Range, also one that counts the pictures of a batch."""
    start, end, step = (call.constant(place).numbers().reshape(()) for place in range(3))
    if not step or not np.isfinite([float(start), float(end), float(step)]).all():
        raise Unsupported("a step that is not 0")
    count = max(0, math.ceil((float(end) - float(start)) / float(step)))
    if end and end % BATCH == 0:
        if end != BATCH or start or step != 1:
            raise Unsupported("a count of the pictures of a batch from 0 on")
        return [Counted(1, np.zeros(1, np.int64))]
    source = call.constant(0)
    return [call.derive(lambda: (start + np.arange(count) * step).astype(source.dtype), (count,), source)]


def shape_of(call: Call) -> list[Value]:
    """Shape."""
    sizes = call.constant(0).shape
    end = call.attribute("end", len(sizes))
    return [known(np.array(sizes[call.attribute("start", 0) : end], np.int64))]


def size_of(call: Call) -> list[Value]:
    """Size."""
    return [known(np.array(call.constant(0).elements, np.int64))]


def _sizes(constant: Constant) -> Shape:
    sizes = constant.integers()
    if len(sizes) > 8 or any(each < 0 for each in sizes):
        raise Unsupported(f"a shape and not {list(sizes)}")
    if any(each and each % BATCH == 0 for each in sizes):
        raise Unsupported("constants that are the same for batches of any size")
    return sizes


def _broadcast(*shapes: Shape) -> Shape:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise Unsupported(f"shapes that meet and not {' and '.join(map(str, map(list, shapes)))}") from None


def _power(one: Array, other: Array) -> Array:
    raised: Array = np.power(one, other.astype(one.dtype))
    return raised


def _elementwise(
    name: str, function: Callable[..., Array], count: int | None, kind: type[Any] | None = None
) -> Rule:
    return Rule(name, 1, partial(elementwise, function, count, kind))


FOLDS = (
    Rule("Constant", 1, constant),
    Rule("ConstantOfShape", 9, constant_of_shape),
    Rule("Expand", 8, expand),
    Rule("Identity", 1, same),
    Rule("Dropout", 1, same),
    Rule("Cast", 1, cast),
    Rule("CastLike", 15, cast_like),
    _elementwise("Add", np.add, 2),
    _elementwise("Sub", np.subtract, 2),
    _elementwise("Mul", np.multiply, 2),
    _elementwise("Pow", _power, 2),
    _elementwise("Neg", np.negative, 1),
    _elementwise("Abs", np.abs, 1),
    _elementwise("Sqrt", np.sqrt, 1),
    _elementwise("Exp", np.exp, 1),
    _elementwise("Log", np.log, 1),
    _elementwise("Reciprocal", np.reciprocal, 1),
    _elementwise("Floor", np.floor, 1),
    _elementwise("Ceil", np.ceil, 1),
    _elementwise("Min", np.minimum, None),
    _elementwise("Max", np.maximum, None),
    _elementwise("Equal", np.equal, 2, np.bool_),
    _elementwise("Less", np.less, 2, np.bool_),
    _elementwise("Greater", np.greater, 2, np.bool_),
    _elementwise("Not", np.logical_not, 1, np.bool_),
    _elementwise("And", np.logical_and, 2, np.bool_),
    _elementwise("Or", np.logical_or, 2, np.bool_),
    _elementwise("Where", np.where, 3),
    Rule("Div", 1, divide),
    Rule("Mod", 10, modulo),
    Rule("Clip", 11, clip),
    Rule("Reshape", 5, reshape),
    Rule("Transpose", 1, transpose),
    Rule("Squeeze", 1, squeeze),
    Rule("Squeeze", 13, squeeze),
    Rule("Unsqueeze", 1, unsqueeze),
    Rule("Unsqueeze", 13, unsqueeze),
    Rule("Flatten", 1, flatten),
    Rule("Concat", 1, concatenate),
    Rule("Gather", 1, gather),
    Rule("Slice", 1, cut_by_attributes),
    Rule("Slice", 10, cut),
    Rule("ReduceProd", 1, product),
    Rule("ReduceProd", 18, product),
    Rule("Range", 11, run),
    Rule("Shape", 1, shape_of),
    Rule("Size", 1, size_of),
)
