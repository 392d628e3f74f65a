"""Operators that bring two tensors or more together, or a tensor and a constant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.arrays import Shape
from engine.layers import Layer
from engine.layers.affine import Affine
from engine.layers.merge import Add, Concatenate, Divide, Multiply, Subtract
from engine.layers.upsampling import Upsample2D
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import SAMPLES, Atoms, Layout, aligned, atom, written
from engine.model.onnx_import.values.value import Computed, Constant, Unsupported, Value, known


def add(call: Call) -> list[Value]:
    """Add and Sum: `add`, and `affine` for constants."""
    first, *others = sorted(_given(call), key=lambda each: isinstance(each, Constant))
    if not isinstance(first, Computed):
        raise Unsupported("an input that depends on the picture")
    values = [first, *(each for each in others if isinstance(each, Computed))]
    if len(values) > 1:
        first = _sum(call, values)
    for each in others:
        if isinstance(each, Constant):
            first = affine(call, first, shift=each)
    return [first]


def subtract(call: Call) -> list[Value]:
    """Sub: `subtract`, and `affine` for constants."""
    one, other = _given(call)
    if isinstance(one, Computed) and isinstance(other, Computed):
        return [_paired(call, Subtract(), one, other)]
    if isinstance(one, Computed) and isinstance(other, Constant):
        return [affine(call, one, shift=other.changed(other.shape, np.negative))]
    if isinstance(one, Constant) and isinstance(other, Computed):
        return [affine(call, negative(call, other), shift=one)]
    raise Unsupported("an input that depends on the picture")


def multiply(call: Call) -> list[Value]:
    """Mul: `multiply`, and `affine` for constants."""
    one, other = sorted(_given(call), key=lambda each: isinstance(each, Constant))
    if isinstance(one, Computed) and isinstance(other, Computed):
        return [_paired(call, Multiply(), one, other)]
    if isinstance(one, Computed) and isinstance(other, Constant):
        return [affine(call, one, scale=other)]
    raise Unsupported("an input that depends on the picture")


def divide(call: Call) -> list[Value]:
    """Div: `divide`, and `affine` for constants."""
    one, other = _given(call)
    if isinstance(one, Computed) and isinstance(other, Computed):
        return [_paired(call, Divide(), one, other)]
    if isinstance(one, Computed) and isinstance(other, Constant):
        return [affine(call, one, scale=other.changed(other.shape, np.reciprocal))]
    if isinstance(one, Constant) and isinstance(other, Computed):
        nothing = affine(call, other, scale=known(np.array(0, np.float32)))
        return [_paired(call, Divide(), affine(call, nothing, shift=one), other)]
    raise Unsupported("an input that depends on the picture")


def mean(call: Call) -> list[Value]:
    """Mean of tensors: `add`, and then `affine`."""
    (total,) = add(call)
    share = known(np.array(1 / len(call.inputs), np.float32))
    return [affine(call, total, scale=share)] if isinstance(total, Computed) else [total]


def negate(call: Call) -> list[Value]:
    """Neg: `affine`."""
    return [negative(call, call.computed())]


def power(call: Call) -> list[Value]:
    """Pow of small whole numbers: `multiply`."""
    value, (exponent,) = call.computed(), call.constant(1).reals()
    if exponent not in (1, 2, 3, 4):
        raise Unsupported(f"a layer that raises numbers to the power of {exponent}")
    node = value.node
    for _ in range(int(exponent) - 1):
        node = call.add(Multiply(), node, value.node)
    return [Computed(node, value.layout)]


def affine(call: Call, value: Computed, **constant: Constant) -> Computed:
    """Multiply a tensor by a constant `scale`, or add a constant `shift` to it; either may be stretched."""
    ((name, numbers),) = constant.items()
    value = _grown(call, value, numbers.shape)
    stretched = call.stretch(value, numbers)
    layer = Affine(scale=name == "scale", shift=name == "shift", **stretched.form)
    weights = {name: stretched.weight}
    return Computed(call.add(layer, stretched.value.node, weights=weights), stretched.value.layout)


def _grown(call: Call, value: Computed, shape: Shape) -> Computed:
    """Stretch axes of size 1, but that of the batch, over those of a constant: `upsample2d`."""
    first = len(value.shape) - len(shape)
    grown = [
        axis for axis, size in enumerate(shape, first) if axis > 0 and size > 1 and value.shape[axis] == 1
    ]
    for axes in (grown[at : at + 2] for at in range(0, len(grown), 2)):
        spaced = call.spaced(value, axes)
        sizes = list(call.builder.shape(spaced.node)[:2])
        for axis in axes:
            sizes[spaced.rows[axis]] = shape[axis - first]
        node = call.add(Upsample2D.model_validate({"size": sizes}), spaced.node)
        value = spaced.changed(node, call.builder.shape(node))
    return value


def negative(call: Call, value: Computed) -> Computed:
    """Return a tensor with the other sign."""
    return affine(call, value, scale=known(np.array(-1, np.float32)))


def _given(call: Call) -> list[Computed | Constant]:
    return [each for each in call.inputs if isinstance(each, Computed | Constant)]


def _sum(call: Call, values: list[Computed]) -> Computed:
    if len({value.shape for value in values}) == 1:
        nodes, layout = _together(call, values)
        return Computed(call.add(Add(), *nodes), layout)
    first = values[0]
    for other in values[1:]:
        # `add` does not stretch its inputs, but `subtract` does
        first = _paired(call, Subtract(), first, negative(call, other))
    return first


def concatenate(call: Call) -> list[Value]:
    """Concat: `concatenate`, along what is then the axis of channels."""
    values = [call.computed(place) for place in range(len(call.inputs))]
    (axis,) = call.axes(len(values[0].shape), [call.attribute("axis", 1)])
    return [joined(call, values, axis)]


def joined(call: Call, values: Sequence[Computed], axis: int) -> Computed:
    """Join tensors along an axis."""
    if len(values) == 1:
        return values[0]
    first = _without(values[0].layout, axis)
    nodes = []
    for value in values:
        both = aligned(first, _without(value.layout, axis))
        if both is None or both[0].sizes != both[1].sizes:
            raise Unsupported("tensors whose other axes are the same")
        first, channels = both[0], value.layout.dims[axis]
        place = _joined(first, values[0].layout.dims[axis])
        layout = Layout(_with(both[1].dims, axis, channels), both[1].place)
        nodes.append(call.builder.arranged(Computed(value.node, layout), (*place, channels)))
    node = call.add(Concatenate(), *nodes)
    channels = atom(call.builder.shape(node)[-1])
    place = _joined(first, values[0].layout.dims[axis])
    return Computed(node, Layout(_with(first.dims, axis, channels), (*place, channels)))


def _with(dims: tuple[Atoms, ...], axis: int, atoms: Atoms) -> tuple[Atoms, ...]:
    return (*dims[:axis], atoms, *dims[axis + 1 :])


def _without(layout: Layout, axis: int) -> Layout:
    return Layout(_with(layout.dims, axis, ()), layout.place)


def _joined(layout: Layout, joined: Atoms) -> tuple[Atoms, ...]:
    """Return where all axes lie but those that are joined: where they are, if those are all channels."""
    if set(joined) == set(layout.place[-1]):
        return layout.place[:-1]
    rest = tuple(each for each in layout.flat if each not in joined)
    return (rest, ()) if rest else ()


def _together(call: Call, values: list[Computed]) -> tuple[list[str], Layout]:
    """Return nodes of one layout, for tensors of one shape."""
    layout = values[0].layout
    nodes = [values[0].node]
    for value in values[1:]:
        both = aligned(layout, value.layout)
        if both is None:
            raise Unsupported(f"tensors of one shape and not {_shapes(values)}")
        layout = both[0]
        nodes.append(call.builder.arranged(Computed(value.node, both[1]), layout.place))
    return nodes, layout


def _paired(call: Call, layer: Layer, one: Computed, other: Computed) -> Computed:
    """Apply a layer of two inputs, one of which may be stretched over the other."""
    both = aligned(one.layout, other.layout)
    if both is None:
        raise Unsupported(f"tensors whose shapes meet and not {_shapes([one, other])}")
    rank = max(len(layout.dims) for layout in both)
    pairs = zip(*(((),) * (rank - len(layout.dims)) + layout.dims for layout in both), strict=True)
    dims = tuple(first or second for first, second in pairs)
    for place in (both[0].place, both[1].place, _channels_last(dims)):
        rows = [_within(layout, place) for layout in both]
        if set(sum(place, ())) == set(sum(dims, ())) - {SAMPLES} and None not in rows:
            break
    else:
        raise Unsupported(
            f"tensors of which one is stretched over whole axes, and not {_shapes([one, other])}"
        )
    nodes = [
        call.builder.arranged(Computed(value.node, layout), row)
        for value, layout, row in zip((one, other), both, rows, strict=True)
        if row is not None
    ]
    return Computed(call.add(layer, *nodes), Layout(dims, place))


def _channels_last(dims: tuple[Atoms, ...]) -> tuple[Atoms, ...]:
    """Return the axes of (N, C, H, W), (N, C, W) or (N, C) as ours are; others are not split between our axes."""
    inner = dims[1:]
    if not 1 <= len(inner) <= 3:
        return ()
    return (inner[0],) if len(inner) == 1 else (*((),) * (3 - len(inner)), *inner[1:], inner[0])


def _within(layout: Layout, place: tuple[Atoms, ...]) -> tuple[Atoms, ...] | None:
    """Return how a tensor has to lie to be stretched over axes; None if it has a part of one of them alone."""
    mine = set(layout.flat)
    rows = tuple(row if set(row) <= mine else () for row in place)
    if set(sum(rows, ())) != mine:
        return None
    if rows == layout.place or len(rows) == 1 or any(rows[:-1]):
        return rows
    return rows[-1:]


def _shapes(values: list[Computed]) -> str:
    return " and ".join(written(value.shape) for value in values)


RULES = (
    Rule("Add", 7, add),
    Rule("Sum", 6, add),
    Rule("Mean", 8, mean),
    Rule("Sub", 7, subtract),
    Rule("Mul", 7, multiply),
    Rule("Div", 7, divide),
    Rule("Neg", 6, negate),
    Rule("Pow", 7, power),
    Rule("Concat", 1, concatenate),
)
