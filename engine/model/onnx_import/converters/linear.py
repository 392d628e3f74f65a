"""Products with matrices."""

from __future__ import annotations

from engine.layers.convolution import Conv2D
from engine.layers.dense import Dense
from engine.model.onnx_import.values.builder import Weight
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import atom
from engine.model.onnx_import.values.value import Computed, Constant, Unsupported, Value, derived


def gemm(call: Call) -> list[Value]:
    """Gemm: `dense`."""
    value, weight = call.computed(0), call.constant(1)
    if call.attribute("transA", 0) or len(value.shape) != 2 or len(weight.shape) != 2:
        raise Unsupported("a batch of vectors times a matrix")
    if call.attribute("transB", 0):
        weight = weight.transposed((1, 0))
    bias = None
    if call.given(2):
        bias = _scaled(call.constant(2), call.attribute("beta", 1.0))
    return [_linear(call, value, _scaled(weight, call.attribute("alpha", 1.0)), bias)]


def matmul(call: Call) -> list[Value]:
    """MatMul by a constant: `dense`, or a 1x1 `conv2d` where there are pixels."""
    value, weight = call.computed(0), call.constant(1)
    if (
        len(weight.shape) < 2
        or any(size != 1 for size in weight.shape[:-2])
        or len(weight.shape) > len(value.shape)
    ):
        raise Unsupported(f"a product with a matrix and not with a constant of shape {list(weight.shape)}")
    return [_linear(call, value, weight.reshaped(weight.shape[-2:]), None)]


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
