"""Integers that count the pictures of a batch; by them PyTorch writes a tensor's new shape as a Gather of it all."""

from __future__ import annotations

import numpy as np

from engine.arrays import elements
from engine.model.onnx_import.converters.shape import reshaped
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import BATCH, SAMPLES, size
from engine.model.onnx_import.values.value import Computed, Constant, Counted, Unsupported, Value

MOST_COUNTED = 2**20
"""Integers that one picture has."""


def same(call: Call) -> list[Value]:
    """Identity, and Cast between integers."""
    if call.attribute("to", 7) not in (6, 7):
        raise Unsupported("integers, where pictures are counted")
    return [_counted(call)]


def unsqueeze(call: Call) -> list[Value]:
    """Unsqueeze behind the axis of the batch."""
    counted = _counted(call)
    axes = call.integers("axes", 1 if call.version >= 13 else None) or ()
    new = call.axes(counted.rest.ndim + len(axes), axes)
    if 0 in new:
        raise Unsupported("the batch on axis 0")
    return [Counted(counted.step, np.expand_dims(counted.rest, new))]


def add(call: Call) -> list[Value]:
    """Add of a constant that is the same for all pictures."""
    counted, constant = _counted(call), _constant(call)
    count = elements(np.broadcast_shapes(counted.rest.shape, constant.shape))
    if count > MOST_COUNTED:
        raise Unsupported(f"at most {MOST_COUNTED:,} numbers of each picture, where pictures are counted")
    call.budget.charge(count)
    return [Counted(counted.step, counted.rest + constant.numbers())]


def multiply(call: Call) -> list[Value]:
    """Mul by one number."""
    counted, constant = _counted(call), _constant(call)
    if constant.elements != 1:
        raise Unsupported("one factor for all, where pictures are counted")
    (factor,) = constant.reshaped((1,)).integers()
    return [Counted(counted.step * factor, counted.rest * factor)]


def gather(call: Call) -> list[Value]:
    """Gather of all numbers of a row in the order in which they are: another shape of the same tensor."""
    value, places = call.computed(0), _counted(call)
    if not is_row_of_batch(value) or call.attribute("axis", 0) not in (0, -1):
        raise Unsupported("one row of the numbers of all pictures, one picture after the other")
    count = size(value.layout.order[1:])
    if (
        places.step != count
        or places.rest.size != count
        or not np.array_equal(places.rest.reshape(-1), np.arange(count))
    ):
        raise Unsupported("all numbers of each picture in the order in which they are")
    return [reshaped(call, value, [BATCH, *places.rest.shape[1:]])]


def is_row_of_batch(value: Computed) -> bool:
    """Tell whether the numbers of all pictures are one row, one picture after the other."""
    return len(value.layout.dims) == 1 and value.layout.order[0] is SAMPLES and len(value.layout.order) > 1


def counted(places: Constant, batch: int | None) -> Counted | None:
    """Return integers that count the pictures of a batch of a fixed size as such; None if they do not."""
    if batch is None or len(places.shape) < 2 or places.shape[0] != batch:
        return None
    numbers = places.numbers()
    step = int(numbers[1].flat[0] - numbers[0].flat[0]) if batch > 1 else numbers.size
    starts = step * np.arange(batch).reshape(-1, *(1,) * (numbers.ndim - 1))
    return Counted(step, numbers[:1]) if np.array_equal(numbers, starts + numbers[:1]) else None


def _counted(call: Call) -> Counted:
    return next(each for each in call.inputs if isinstance(each, Counted))


def _constant(call: Call) -> Constant:
    """Return the constant beside what counts, which does not tell pictures apart."""
    constant = next((each for each in call.inputs if isinstance(each, Constant)), None)
    rank = _counted(call).rest.ndim
    if (
        constant is None
        or len(constant.shape) > rank
        or (len(constant.shape) == rank and constant.shape[0] != 1)
    ):
        raise Unsupported("a constant that is the same for all pictures")
    return constant


COUNTS = (
    Rule("Identity", 1, same),
    Rule("Cast", 1, same),
    Rule("Unsqueeze", 1, unsqueeze),
    Rule("Unsqueeze", 13, unsqueeze),
    Rule("Add", 7, add),
    Rule("Mul", 7, multiply),
    Rule("Gather", 1, gather),
)
