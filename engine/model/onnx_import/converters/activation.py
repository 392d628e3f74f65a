"""Functions of single numbers, and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from engine.layers.activation import (
    ELU,
    GELU,
    SELU,
    ActivationLayer,
    Erf,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from engine.layers.bounded import Clip, HardSigmoid, HardSwish, ReLU6
from engine.layers.softmax import LogSoftmax, Softmax
from engine.model.onnx_import.converters.merge import affine
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.value import Computed, Constant, Unsupported, Value, known
from engine.ops import activation


def plain(layer: Callable[[], ActivationLayer], call: Call) -> list[Value]:
    """One that has no hyperparameters."""
    return call.same(layer())


def leaky_relu(call: Call) -> list[Value]:
    """LeakyRelu: `leaky_relu`."""
    slope = call.attribute("alpha", 0.01)
    if slope < 0:
        raise Unsupported(f"a slope of at least 0 and not {slope}")
    return call.same(LeakyReLU(slope=slope))


def elu(call: Call) -> list[Value]:
    """Elu: `elu`."""
    return call.same(ELU(alpha=call.attribute("alpha", 1.0)))


def selu(call: Call) -> list[Value]:
    """Selu: `selu`; with other numbers than those of the paper `elu`, and then `affine`."""
    alpha = call.attribute("alpha", activation.SELU_ALPHA)
    gamma = call.attribute("gamma", activation.SELU_SCALE)
    near = math.isclose(alpha, activation.SELU_ALPHA, rel_tol=1e-6)
    if near and math.isclose(gamma, activation.SELU_SCALE, rel_tol=1e-6):
        return call.same(SELU())
    value = call.computed()
    bent = Computed(call.add(ELU(alpha=alpha), value.node), value.layout)
    return [affine(call, bent, scale=known(np.array(gamma, np.float32)))]


def gelu(call: Call) -> list[Value]:
    """Gelu: `gelu`."""
    form = call.attribute("approximate", "none")
    if form not in ("none", "tanh"):
        raise Unsupported(f"approximate 'none' or 'tanh' and not {form!r}")
    return call.same(GELU(form="tanh" if form == "tanh" else "exact"))


def swish(call: Call) -> list[Value]:
    """Swish: `silu`."""
    if call.attribute("alpha", 1.0) != 1:
        raise Unsupported("an alpha of 1: silu has no other")
    return call.same(SiLU())


def clip_by_attributes(call: Call) -> list[Value]:
    """Clip up to version 10."""
    return _clip(call, call.attribute("min", -math.inf), call.attribute("max", math.inf))


def clip(call: Call) -> list[Value]:
    """Clip from version 11 on, with limits that are inputs."""
    limits = [-math.inf, math.inf]
    for place in (1, 2):
        if call.given(place):
            (limits[place - 1],) = call.constant(place).reals()
    return _clip(call, *limits)


def _clip(call: Call, low: float, high: float) -> list[Value]:
    minimum, maximum = (None if abs(limit) > 3.4e38 else limit for limit in (low, high))
    if minimum is None and maximum is None:
        return [call.computed()]
    if minimum == 0 and maximum in (None, 6):
        return call.same(ReLU() if maximum is None else ReLU6())
    if minimum is not None and maximum is not None and minimum > maximum:
        value = call.computed()
        raised = Computed(call.add(Clip(minimum=minimum, maximum=None), value.node), value.layout)
        return call.same(Clip(minimum=None, maximum=maximum), raised)
    return call.same(Clip(minimum=minimum, maximum=maximum))


def least(call: Call) -> list[Value]:
    """Min of a tensor and a number: `clip`."""
    value, limit = _with_number(call)
    return call.same(Clip(minimum=None, maximum=limit), value)


def greatest(call: Call) -> list[Value]:
    """Max of a tensor and a number: `relu` or `clip`."""
    value, limit = _with_number(call)
    return call.same(ReLU() if limit == 0 else Clip(minimum=limit, maximum=None), value)


def _with_number(call: Call) -> tuple[Computed, float]:
    values = [each for each in call.inputs if isinstance(each, Computed)]
    numbers = [each for each in call.inputs if isinstance(each, Constant) and each.elements == 1]
    if len(values) != 1 or len(numbers) != 1 or len(call.inputs) > 2:
        raise Unsupported("a tensor and a single number")
    return values[0], numbers[0].reals()[0]


def hard_sigmoid(call: Call) -> list[Value]:
    """HardSigmoid: `hard_sigmoid`."""
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    return call.same(HardSigmoid(alpha=alpha, beta=beta))


def prelu(call: Call) -> list[Value]:
    """PRelu: `prelu`."""
    stretched = call.stretch(call.computed(), call.constant(1))
    node = call.add(PReLU(**stretched.form), stretched.value.node, weights={"slope": stretched.weight})
    return [Computed(node, stretched.value.layout)]


def softmax_of_rows(layer: Callable[[], ActivationLayer], call: Call) -> list[Value]:
    """Softmax up to version 12, over all axes from one on."""
    value = call.computed()
    (axis,) = call.axes(len(value.shape), [call.attribute("axis", 1)])
    channelled = call.by_channel(value, range(axis, len(value.shape)))
    return call.same(layer(), channelled.value)


def softmax(layer: Callable[[], ActivationLayer], call: Call) -> list[Value]:
    """Softmax from version 13 on."""
    value = call.computed()
    channelled = call.by_channel(value, call.axes(len(value.shape), [call.attribute("axis", -1)]))
    return call.same(layer(), channelled.value)


RULES = (
    Rule("Relu", 1, partial(plain, ReLU)),
    Rule("Sigmoid", 1, partial(plain, Sigmoid)),
    Rule("Tanh", 1, partial(plain, Tanh)),
    Rule("Softplus", 1, partial(plain, Softplus)),
    Rule("HardSwish", 14, partial(plain, HardSwish)),
    Rule("LeakyRelu", 1, leaky_relu),
    Rule("Elu", 1, elu),
    Rule("Selu", 1, selu),
    Rule("Gelu", 20, gelu),
    Rule("Swish", 24, swish),
    Rule("Clip", 1, clip_by_attributes),
    Rule("Clip", 11, clip),
    Rule("PRelu", 1, prelu),
    Rule("Softmax", 1, partial(softmax_of_rows, Softmax)),
    Rule("Softmax", 13, partial(softmax, Softmax)),
    Rule("LogSoftmax", 1, partial(softmax_of_rows, LogSoftmax)),
    Rule("LogSoftmax", 13, partial(softmax, LogSoftmax)),
    Rule("HardSigmoid", 1, hard_sigmoid),
    Rule("Erf", 9, partial(plain, Erf)),
    Rule("Min", 8, least),
    Rule("Max", 8, greatest),
)
