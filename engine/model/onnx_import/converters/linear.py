"""Products with matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from engine.layers.convolution import Conv2D
from engine.layers.dense import Dense
from engine.layers.resampling import AdaptiveAveragePool2D
from engine.model.onnx_import.converters.shape import reshaped
from engine.model.onnx_import.values.builder import Weight
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import SAMPLES, Atoms, Layout, atom, size, written
from engine.model.onnx_import.values.value import Computed, Constant, Unsupported, Value, derived
from engine.ops import resampling


def gemm(call: Call) -> list[Value]:
    """Gemm: `dense`."""
    value, weight = call.computed(0), call.constant(1)
    if len(value.shape) != 2 or len(weight.shape) != 2:
        raise Unsupported("a batch of vectors times a matrix")
    if call.attribute("transA", 0):
        value = _exchanged(value)
    if call.attribute("transB", 0):
        weight = weight.transposed((1, 0))
    bias = None
    if call.given(2):
        bias = _scaled(call.constant(2), call.attribute("beta", 1.0))
    return [_linear(call, value, _scaled(weight, call.attribute("alpha", 1.0)), bias)]


def matmul(call: Call) -> list[Value]:
    """MatMul by a constant: `dense`, or a 1x1 `conv2d` where there are pixels, from either side."""
    left, right = call.inputs
    if isinstance(left, Computed) and isinstance(right, Constant):
        return [_times(call, left, right)]
    if (
        isinstance(left, Constant)
        and isinstance(right, Computed)
        and len(right.shape) > 2
        and len(left.shape) > 1
    ):
        # a b = (b' a')', with the last two axes exchanged
        turned = _exchanged(right)
        rank = len(left.shape)
        constant = left.transposed((*range(rank - 2), rank - 1, rank - 2))
        return [_exchanged(_times(call, turned, constant))]
    raise Unsupported("a product of what depends on the picture with a constant")


def _exchanged(value: Computed) -> Computed:
    rank = len(value.shape)
    return Computed(value.node, value.layout.transpose((*range(rank - 2), rank - 1, rank - 2)))


def _times(call: Call, value: Computed, constant: Constant) -> Computed:
    """Multiply the last axis of a tensor by a matrix, by a vector, or by a matrix for each place on other axes."""
    if len(constant.shape) == 1:
        product = _times(call, value, constant.reshaped((*constant.shape, 1)))
        return Computed(product.node, product.layout.squeeze([len(product.shape) - 1]))
    rank = len(value.shape)
    first = rank - len(constant.shape)
    apart = [first + axis for axis, size in enumerate(constant.shape[:-2]) if size > 1]
    new = [axis for axis in apart if value.shape[axis] == 1] if first >= 0 else []
    if new:
        return _side_by_side(call, value, constant, new)
    if first < 0 or any(value.shape[axis] != constant.shape[axis - first] for axis in apart):
        raise Unsupported(
            f"matrices for {written(value.shape)} and not a constant of shape {list(constant.shape)}"
        )
    if not apart and _averages(value, constant):
        axis = rank - 1
        if constant.shape[-1] == constant.shape[-2]:
            return value
        spaced = call.spaced(value, [axis])
        sizes = list(call.builder.shape(spaced.node)[:2])
        sizes[spaced.rows[axis]] = constant.shape[-1]
        node = call.add(AdaptiveAveragePool2D.model_validate({"output_size": sizes}), spaced.node)
        return spaced.changed(node, call.builder.shape(node))
    if not apart:
        return _linear(call, value, constant.reshaped(constant.shape[-2:]), None)
    return _grouped(call, value, constant, apart)


def _side_by_side(call: Call, value: Computed, constant: Constant, new: Sequence[int]) -> Computed:
    """Multiply by a matrix for each place on axes where the tensor has size 1: the columns of all in one matrix."""
    rank, *counts = len(value.shape), *constant.shape
    first = rank - len(counts)
    moved = [axis - first for axis in new]
    kept = [axis for axis in range(len(counts) - 2) if axis not in moved]
    sizes = [1 if axis in moved else counts[axis] for axis in range(len(counts) - 2)]
    columns = [*(counts[axis] for axis in moved), counts[-1]]
    matrix = constant.transposed((*kept, len(counts) - 2, *moved, len(counts) - 1))
    product = _times(call, value, matrix.reshaped((*sizes, counts[-2], math.prod(columns))))
    apart = reshaped(call, product, [*product.shape[:-1], *columns])
    order = [rank - 1 + new.index(axis) if axis in new else axis for axis in range(rank - 1)]
    return Computed(apart.node, apart.layout.transpose([*order, rank - 1 + len(new)]))


def _averages(value: Computed, constant: Constant) -> bool:
    """Tell whether a matrix averages stretches of height or width that are as equal as can be."""
    if value.layout.dims[-1] not in value.layout.place[:-1] or not constant.is_small or not constant.is_real:
        return False
    numbers = constant.numbers().reshape(constant.shape[-2:])
    count, bins = numbers.shape
    return 0 < bins <= count and bool(
        np.allclose(numbers, resampling.averaging(count, bins).T, rtol=1e-5, atol=0)
    )


def _grouped(call: Call, value: Computed, constant: Constant, apart: Sequence[int]) -> Computed:
    """Multiply by a matrix for each place on some axes: a 1x1 convolution in groups."""
    layout = value.layout
    groups: Atoms = sum((layout.dims[axis] for axis in apart), ())
    channels = (*groups, *layout.dims[-1])
    if SAMPLES in channels:
        raise Unsupported("matrices that are the same for all pictures of a batch")
    rest = tuple(each for each in layout.flat if each not in channels)
    node = call.builder.arranged(value, (rest, (), channels))
    count, (inner, units) = size(groups), constant.shape[-2:]
    kernel = (
        constant.reshaped((count, inner, units)).transposed((1, 0, 2)).reshaped((1, 1, inner, count * units))
    )
    weights = {"weight": Weight(kernel, ("height", "width", "in", "out"))}
    layer = Conv2D(filters=count * units, kernel_size=(1, 1), groups=count, bias=False)
    last = atom(units)
    place = (rest, (), (*groups, *last))
    return Computed(call.add(layer, node, weights=weights), Layout((*layout.dims[:-1], last), place))


def _linear(call: Call, value: Computed, weight: Constant, bias: Constant | None) -> Computed:
    axis = len(value.shape) - 1
    units = weight.shape[1]
    channelled = call.by_channel(value, [axis])
    weight = channelled.along(weight)
    weights = {} if bias is None else {"bias": Weight(_row(call, bias, units), ("out",))}
    if len(channelled.layout.place) == 1:
        weights["weight"] = Weight(weight, ("in", "out"))
        node = call.add(Dense(units=units, bias=bias is not None), channelled.node, weights=weights)
    else:
        weights["weight"] = Weight(weight.reshaped((1, 1, *weight.shape)), ("height", "width", "in", "out"))
        layer = Conv2D(filters=units, kernel_size=(1, 1), bias=bias is not None)
        node = call.add(layer, channelled.node, weights=weights)
    return channelled.replaced(node, atom(units), axis)


def _scaled(constant: Constant, factor: float) -> Constant:
    if factor == 1:
        return constant
    return derived(
        lambda: constant.make() * constant.dtype.type(factor), constant.shape, constant.dtype, constant
    )


def _row(call: Call, bias: Constant, units: int) -> Constant:
    """Return one number for each unit."""
    if bias.elements == units:
        return bias.reshaped((units,))
    if bias.elements == 1:
        single = bias.reshaped((1,))
        return call.derive(lambda: single.make().repeat(units), (units,), single)
    raise Unsupported(f"a bias of {units} numbers and not one of shape {list(bias.shape)}")


RULES = (Rule("Gemm", 1, gemm), Rule("MatMul", 1, matmul))
