"""Operators that exporters take apart, put together again.

Each pattern is an equation, read from the node that computes its right side; where it holds that node is replaced by
one operator, and what nobody reads any more is left out with all that leads nowhere. What matches no pattern stays as
it is, and is right too where there are layers for all of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.model.onnx_format.records import Graph, GraphNode, Tensor

OURS = "convserve"
"""The domain of operators that stand for several of ONNX's."""
NORMALISED = "Normalised"
"""scale * (x - mean) / sqrt(variance + epsilon) + shift, mean and variance over `axes`; constants may be missing."""
_DEEPEST = 3
"""Operators below one another that are looked at as one product; the ways to do so grow by squaring."""
_MOST_LOOKS = 200_000
"""Looks for products in one graph; what is left then stays as it is. Published networks take a few thousand."""
_MOST_AXES = 8
_REAL = (1, 11)
"""ONNX's numbers of float32 and float64, in which a number stays what it is."""
_FEWEST = {"Add": 2, "Sub": 2, "Mul": 2, "Div": 2, "Pow": 2, "Less": 2, "Constant": 0}
"""Inputs that an operator has; of all others it is one or more."""


def put_together(graph: Graph) -> Graph:
    """Return the graph with operators in place of the patterns that compute them; constants are left as they are."""
    view, depending = _View.of(graph), {each.name for each in graph.inputs}
    nodes = []
    for node in graph.nodes:
        depends = not depending.isdisjoint(node.inputs)
        if depends and node.type not in ("Shape", "Size"):
            depending.update(filter(None, node.outputs))
        found = (pattern(view, node) for pattern in _PATTERNS if depends)
        nodes.append(next((each for each in found if each is not None), node))
    return replace(graph, nodes=tuple(nodes))


class Product(NamedTuple):
    """Tensors that are multiplied, and the number that goes with them."""

    number: float
    names: tuple[str, ...]


@dataclass
class _View:
    """A graph, looked at backwards."""

    makers: Mapping[str, GraphNode]
    tensors: Mapping[str, Tensor]
    looks: int = 0
    """How often products were looked for."""

    @classmethod
    def of(cls, graph: Graph) -> _View:
        makers = {name: node for node in graph.nodes for name in node.outputs if name}
        stored = dict(graph.initializers)
        for node in graph.nodes:
            value = node.attributes.get("value")
            if node.type == "Constant" and isinstance(value, Tensor) and node.outputs:
                stored[node.outputs[0]] = value
        return cls(makers, stored)

    def maker(self, name: str, *kinds: str) -> GraphNode | None:
        """Return the node that computes a tensor, if it is one of these operators."""
        node = self.makers.get(name)
        if node is None or node.domain or node.type not in kinds:
            return None
        return node if len(node.inputs) >= _FEWEST.get(node.type, 1) else None

    def number(self, name: str) -> float | None:
        """Return a constant that is a single number."""
        cast = self.maker(name, "Cast", "CastLike")
        if cast is not None:
            number = self._stored(cast.inputs[0])
            same = cast.attributes.get("to") in _REAL or (number is not None and number.is_integer())
            return number if same else None
        return self._stored(name)

    def _stored(self, name: str) -> float | None:
        tensor = self.tensors.get(name)
        if tensor is not None:
            return float(tensor.read().reshape(-1)[0]) if tensor.elements == 1 else None
        node = self.maker(name, "Constant")
        value = None if node is None else node.attributes.get("value_float")
        return float(value) if isinstance(value, float | int) else None

    def apart(self, name: str, *kinds: str) -> tuple[str, float] | None:
        """Return the tensor and the number of which an operator makes this tensor, whichever comes first."""
        node = self.maker(name, *kinds)
        if node is None or len(node.inputs) != 2:
            return None
        for one, other in (node.inputs, node.inputs[::-1]):
            number = self.number(other)
            if number is not None and self.number(one) is None:
                return one, number
        return None

    def plus(self, name: str, number: float) -> str | None:
        """Return the tensor to which this one adds a number."""
        found = self.apart(name, "Add")
        return found[0] if found is not None and _near(found[1], number) else None

    def products(self, name: str, depth: int = 0) -> Iterator[Product]:
        """Yield all ways to see a tensor as a product, from the coarsest to the finest."""
        self.looks += 1
        if self.looks > _MOST_LOOKS:
            return
        number = self.number(name)
        if number is not None:
            yield Product(number, ())
            return
        yield Product(1.0, (name,))
        node = self.maker(name, "Mul", "Div")
        if node is None or depth == _DEEPEST or len(node.inputs) != 2:
            return
        if node.type == "Div":
            divisor = self.number(node.inputs[1])
            if divisor:
                for found in self.products(node.inputs[0], depth + 1):
                    yield Product(found.number / divisor, found.names)
            return
        for first in self.products(node.inputs[0], depth + 1):
            for second in self.products(node.inputs[1], depth + 1):
                yield Product(first.number * second.number, first.names + second.names)


def _gelu(view: _View, node: GraphNode) -> GraphNode | None:
    """Gelu(x) = 0.5 * x * (1 + Erf(x / sqrt(2))), or 0.5 * x * (1 + Tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))."""
    for product in _factors(view, node, 2):
        if not _near(product.number, 0.5):
            continue
        for x, other in (product.names, product.names[::-1]):
            inner = view.plus(other, 1.0)
            bent = None if inner is None else view.maker(inner, "Erf", "Tanh")
            if bent is None:
                continue
            if bent.type == "Erf" and Product(1.0, (x,)) in _without(view, bent.inputs[0], math.sqrt(0.5)):
                return _instead(node, "Gelu", 20, x)
            if bent.type == "Tanh" and _is_tanh_of_gelu(view, bent.inputs[0], x):
                return _instead(node, "Gelu", 20, x, approximate="tanh")
    return None


def _is_tanh_of_gelu(view: _View, name: str, x: str) -> bool:
    for product in _without(view, name, math.sqrt(2 / math.pi)):
        for whole in product.names:
            added = view.maker(whole, "Add")
            if added is None or len(added.inputs) != 2:
                continue
            for one, other in (added.inputs, added.inputs[::-1]):
                if product.names == (whole,) and one == x and _is_power(view, other, x, 3):
                    return True
                squared = view.number(one) == 1 and _is_power(view, other, x, 2)
                if squared and sorted(product.names) == sorted((whole, x)):
                    return True
    return False


def _is_power(view: _View, name: str, x: str, exponent: int) -> bool:
    """Tell whether a tensor is 0.044715 * x^exponent."""
    for product in _without(view, name, 0.044715):
        if product.names == (x,) * exponent:
            return True
        powers = [view.apart(each, "Pow") for each in product.names if each != x]
        left = exponent - len(product.names) + len(powers)
        if len(powers) == 1 and powers[0] is not None and powers[0][0] == x and powers[0][1] == left:
            return True
    return False


def _silu(view: _View, node: GraphNode) -> GraphNode | None:
    """Swish(x) = x * Sigmoid(x)."""
    for product in _factors(view, node, 2):
        for x, other in (product.names, product.names[::-1]):
            gate = view.maker(other, "Sigmoid")
            if gate is not None and gate.inputs == (x,) and product.number == 1:
                return _instead(node, "Swish", 24, x)
    return None


def _hard_swish(view: _View, node: GraphNode) -> GraphNode | None:
    """HardSwish(x) = x * Clip(x + 3, 0, 6) / 6 = x * HardSigmoid(x, 1 / 6, 0.5)."""
    for product in _factors(view, node, 2):
        for x, other in (product.names, product.names[::-1]):
            gate = view.maker(other, "Clip", "HardSigmoid")
            if gate is None:
                continue
            if gate.type == "HardSigmoid":
                slope, middle = gate.attributes.get("alpha", 0.2), gate.attributes.get("beta", 0.5)
                same = gate.inputs == (x,) and _near(slope, 1 / 6) and _near(middle, 0.5)
                if same and _near(product.number, 1):
                    return _instead(node, "HardSwish", 14, x)
            elif (
                _near(product.number, 1 / 6)
                and _limits(view, gate) == (0, 6)
                and view.plus(gate.inputs[0], 3) == x
            ):
                return _instead(node, "HardSwish", 14, x)
    return None


def _stretched(view: _View, node: GraphNode) -> GraphNode | None:
    """f(x, y) = f(x, Expand(y, Shape(x))): the operators of two inputs stretch them by themselves."""
    if node.type not in ("Add", "Sub", "Mul", "Div") or node.domain or len(node.inputs) != 2:
        return None
    for place, (x, name) in enumerate((node.inputs[::-1], node.inputs)):
        expand = view.maker(name, "Expand")
        sizes = None if expand is None or len(expand.inputs) != 2 else view.maker(expand.inputs[1], "Shape")
        if expand is not None and sizes is not None and sizes.inputs == (x,) and not sizes.attributes:
            inputs = (expand.inputs[0], x) if place == 0 else (x, expand.inputs[0])
            return replace(node, inputs=inputs)
    return None


def _limits(view: _View, clip: GraphNode) -> tuple[object, object]:
    if len(clip.inputs) == 3:
        return view.number(clip.inputs[1]), view.number(clip.inputs[2])
    return clip.attributes.get("min"), clip.attributes.get("max")


def _normalised(view: _View, node: GraphNode) -> GraphNode | None:
    """Normalised(x, scale, shift) = scale * d / Sqrt(variance + epsilon) + shift, d = x - ReduceMean(x).

    The variance is ReduceMean(d^2), or ReduceMean(x^2) - ReduceMean(x)^2.
    """
    constants = []
    name = node.outputs[0] if node.outputs else ""
    for kind in ("Add", "Mul"):
        outer = view.maker(name, kind)
        pairs = () if outer is None or len(outer.inputs) != 2 else (outer.inputs, outer.inputs[::-1])
        found = next(((rest, constant) for rest, constant in pairs if constant in view.tensors), None)
        constants.append("" if found is None else found[1])
        name = name if found is None else found[0]
    shift, scale = constants
    divided = view.maker(name, "Div")
    if divided is None or len(divided.inputs) != 2 or (shift and not scale):
        return None
    root = view.maker(divided.inputs[1], "Sqrt")
    variance = None if root is None else view.apart(root.inputs[0], "Add")
    if variance is None:
        return None
    centred = view.maker(divided.inputs[0], "Sub")
    mean = None if centred is None else view.maker(centred.inputs[1], "ReduceMean")
    if centred is None or mean is None or mean.inputs[0] != centred.inputs[0]:
        return None
    over = _axes(view, mean)
    if over is None or not _is_variance(view, variance[0], centred, over):
        return None
    return GraphNode(
        NORMALISED,
        (centred.inputs[0], scale, shift),
        node.outputs,
        {"axes": over, "epsilon": variance[1]},
        node.name,
        OURS,
        1,
    )


def _is_variance(view: _View, name: str, centred: GraphNode, over: tuple[int, ...]) -> bool:
    """Tell whether a tensor is the variance of what a difference takes its mean from."""
    spread, (x, mean) = view.maker(name, "ReduceMean"), centred.inputs
    if spread is not None:
        return over == _axes(view, spread) and _is_square(view, spread.inputs[0], centred)
    apart = view.maker(name, "Sub")
    if apart is None:
        return False
    squares, squared = view.maker(apart.inputs[0], "ReduceMean"), view.maker(apart.inputs[1], "Mul")
    if squares is None or squared is None or over != _axes(view, squares):
        return False
    square = view.maker(squares.inputs[0], "Mul")
    return square is not None and square.inputs == (x, x) and squared.inputs == (mean, mean)


def _is_square(view: _View, name: str, centred: GraphNode) -> bool:
    """Tell whether a tensor is the square of a difference, which may be computed twice."""
    node = view.maker(name, "Pow", "Mul")
    if node is None or len(node.inputs) != 2:
        return False
    same = view.maker(node.inputs[0], "Sub")
    if same is None or same.inputs != centred.inputs:
        return False
    return node.inputs[1] == node.inputs[0] if node.type == "Mul" else view.number(node.inputs[1]) == 2


def _softmax(view: _View, node: GraphNode) -> GraphNode | None:
    """Softmax(x) = Exp(d) / ReduceSum(Exp(d)), LogSoftmax(x) = d - Log(ReduceSum(Exp(d))), d = x - ReduceMax(x)."""
    if node.domain or node.type not in ("Div", "Sub") or len(node.inputs) != 2:
        return None
    above, below = node.inputs
    if node.type == "Sub":
        logarithm = view.maker(below, "Log")
        below = "" if logarithm is None else logarithm.inputs[0]
    total = view.maker(below, "ReduceSum")
    raised = None if total is None else view.maker(total.inputs[0], "Exp")
    if (
        total is None
        or raised is None
        or above not in (raised.outputs if node.type == "Div" else raised.inputs)
    ):
        return None
    lowered = view.maker(raised.inputs[0], "Sub")
    largest = None if lowered is None else view.maker(lowered.inputs[1], "ReduceMax")
    if lowered is None or largest is None or largest.inputs[0] != lowered.inputs[0]:
        return None
    over = _axes(view, total)
    if over is None or len(over) != 1 or over != _axes(view, largest):
        return None
    kind = "Softmax" if node.type == "Div" else "LogSoftmax"
    return GraphNode(kind, (lowered.inputs[0],), node.outputs, {"axis": over[0]}, node.name, "", 13)


def _chosen(view: _View, node: GraphNode) -> GraphNode | None:
    """Max(x, m) = Where(x < m, m, x), Min(x, m) = Where(m < x, m, x), and what bends at 0.

    PRelu(x, s) = Where(x < 0, s * x, x), Elu(x, a) = Where(x < 0, a * (Exp(x) - 1), x).
    """
    less = view.maker(node.inputs[0], "Less") if node.type == "Where" and len(node.inputs) == 3 else None
    if less is None or node.domain:
        return None
    _, other, x = node.inputs
    if set(less.inputs) == {x, other} and x != other:
        return _instead(node, "Max" if less.inputs == (x, other) else "Min", 8, x, other)
    if less.inputs[0] != x or view.number(less.inputs[1]) != 0:
        return None
    scaled = view.maker(other, "Mul")
    for slope, factor in () if scaled is None else (scaled.inputs, scaled.inputs[::-1]):
        if factor == x:
            return _instead(node, "PRelu", 16, x, slope)
    for product in view.products(other):
        lowered = view.maker(product.names[0], "Sub") if len(product.names) == 1 else None
        raised = None if lowered is None else view.maker(lowered.inputs[0], "Exp")
        if lowered is not None and raised is not None and raised.inputs == (x,):
            return (
                _instead(node, "Elu", 6, x, alpha=product.number)
                if view.number(lowered.inputs[1]) == 1
                else None
            )
    return None


def _softplus(view: _View, node: GraphNode) -> GraphNode | None:
    """Softplus(x) = Log(Exp(x) + 1)."""
    inner = view.plus(node.inputs[0], 1.0) if node.type == "Log" and not node.domain and node.inputs else None
    raised = None if inner is None else view.maker(inner, "Exp")
    return None if raised is None else _instead(node, "Softplus", 1, raised.inputs[0])


def _axes(view: _View, node: GraphNode) -> tuple[int, ...] | None:
    axes = node.attributes.get("axes")
    if len(node.inputs) > 1 and node.inputs[1] in view.tensors:
        tensor = view.tensors[node.inputs[1]]
        axes = (
            tuple(int(axis) for axis in tensor.read().reshape(-1)) if tensor.elements <= _MOST_AXES else None
        )
    kept = node.attributes.get("keepdims", 1)
    if not isinstance(axes, tuple) or not kept:
        return None
    return tuple(axis for axis in axes if isinstance(axis, int))


def _factors(view: _View, node: GraphNode, count: int) -> Iterator[Product]:
    """Yield the ways to see the output of a product as one of so many tensors."""
    if node.type not in ("Mul", "Div") or node.domain or not node.outputs:
        return
    for product in view.products(node.outputs[0]):
        if len(product.names) == count:
            yield product


def _without(view: _View, name: str, number: float) -> list[Product]:
    """Return the ways to see a tensor as a product with a certain number, which is taken out."""
    return [Product(1.0, product.names) for product in view.products(name) if _near(product.number, number)]


def _near(one: object, other: float) -> bool:
    return isinstance(one, float | int) and math.isclose(one, other, rel_tol=1e-4)


def _instead(node: GraphNode, kind: str, version: int, *inputs: str, **attributes: str | float) -> GraphNode:
    return GraphNode(kind, inputs, node.outputs, attributes, node.name, "", version)


_PATTERNS = (_gelu, _silu, _hard_swish, _normalised, _softmax, _chosen, _softplus, _stretched)
