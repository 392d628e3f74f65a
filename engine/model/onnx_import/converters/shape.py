"""Operators that only see a tensor in another way, which take no layer, and those that say its shape."""

from __future__ import annotations

import math

import numpy as np

from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import BATCH, SAMPLES, Layout, atom, size, written
from engine.model.onnx_import.values.value import (
    Computed,
    Constant,
    Unsupported,
    Value,
    derived,
    known,
)


def alias(call: Call) -> list[Value]:
    """Identity, and Dropout, which does nothing in inference."""
    return [call.computed()]


def dropout(call: Call) -> list[Value]:
    """Dropout, unless it drops."""
    training = call.given(2) and bool(call.constant(2).numbers())
    if training and not (call.given(1) and call.constant(1).reals() == (0,)):
        raise Unsupported("dropout in inference, where it drops nothing")
    return [call.computed()]


def cast(call: Call) -> list[Value]:
    """Cast between real numbers: all of them are computed in one precision here."""
    if call.attribute("to", 0) not in (1, 10, 11, 16):
        raise Unsupported("real numbers: what depends on the picture is nothing else")
    return [call.computed()]


def cast_like(call: Call) -> list[Value]:
    """CastLike of real numbers, or of constants that become such as the picture's are."""
    source = call.inputs[0]
    if isinstance(source, Constant):
        return [derived(lambda: source.make().astype(np.float32), source.shape, np.dtype(np.float32), source)]
    if call.given(1) and isinstance(call.inputs[1], Constant) and not call.constant(1).is_real:
        raise Unsupported("real numbers: what depends on the picture is nothing else")
    return [call.computed()]


def flatten(call: Call) -> list[Value]:
    """Flatten: two axes."""
    value = call.computed()
    rank = len(value.shape)
    axis = call.attribute("axis", 1)
    (axis,) = call.axes(rank, [axis]) if axis != rank else (rank,)
    before, behind = value.layout.dims[:axis], value.layout.dims[axis:]
    return [Computed(value.node, Layout((sum(before, ()), sum(behind, ())), value.layout.place))]


def reshape(call: Call) -> list[Value]:
    """Reshape."""
    value = call.computed()
    wanted = list(call.constant(1).integers())
    if not call.attribute("allowzero", 0):
        for axis, each in enumerate(wanted):
            if each == 0:
                if axis >= len(value.shape):
                    raise Unsupported(f"a shape of at most {len(value.shape)} axes where sizes are kept")
                wanted[axis] = value.shape[axis]
    return [reshaped(call, value, wanted)]


def reshaped(call: Call, value: Computed, wanted: list[int]) -> Computed:
    """Return a tensor with another shape, in which one size may be -1 and the first that of the file's batches."""
    if wanted and wanted[0] == call.batch and value.layout.dims[:1] == ((SAMPLES,),):
        wanted[0] = BATCH
    total = math.prod(value.shape)
    rest = math.prod(each for each in wanted if each != -1)
    if wanted.count(-1) > 1 or min(wanted, default=1) < -1 or rest == 0 or total % rest:
        raise Unsupported(f"a shape that {written(value.shape)} fits, and not {written(wanted)}")
    sizes = [total // rest if each == -1 else each for each in wanted]
    if math.prod(sizes) != total:
        raise Unsupported(f"a shape that {written(value.shape)} fits, and not {written(wanted)}")
    layout = value.layout.reshape(sizes)
    if layout is not None:
        return Computed(value.node, layout)
    # an axis would be cut unevenly: the numbers are brought into one row first
    order = value.layout.order
    if order[0] is not SAMPLES:
        raise Unsupported("the batch on axis 0")
    node = call.builder.arranged(value, (order[1:],))
    row = atom(size(order[1:]))
    layout = Layout(((SAMPLES,), row), (row,)).reshape(sizes)
    if layout is None:
        raise Unsupported(f"a shape that keeps pictures apart and not {written(sizes)}")
    return Computed(node, layout)


def transpose(call: Call) -> list[Value]:
    """Transpose."""
    value = call.computed()
    rank = len(value.shape)
    order = call.axes(rank, call.attribute("perm", tuple(reversed(range(rank)))))
    if sorted(order) != list(range(rank)):
        raise Unsupported(f"an order of all {rank} axes and not {list(order)}")
    return [Computed(value.node, value.layout.transpose(order))]


def depth_to_space(call: Call) -> list[Value]:
    """DepthToSpace, which only regroups axes."""
    value, block = call.computed(), call.attribute("blocksize", 0)
    samples, channels, height, width = value.shape
    if block < 1 or channels % block**2:
        raise Unsupported("channels that can be dealt out into blocks")
    thin = channels // block**2
    if call.attribute("mode", "DCR") == "DCR":
        sizes, order = [samples, block, block, thin, height, width], (0, 3, 4, 1, 5, 2)
    else:
        sizes, order = [samples, thin, block, block, height, width], (0, 1, 4, 2, 5, 3)
    apart = reshaped(call, value, sizes)
    turned = Computed(apart.node, apart.layout.transpose(order))
    return [reshaped(call, turned, [samples, thin, height * block, width * block])]


def space_to_depth(call: Call) -> list[Value]:
    """SpaceToDepth, which only regroups axes."""
    value, block = call.computed(), call.attribute("blocksize", 0)
    samples, channels, height, width = value.shape
    if block < 1 or height % block or width % block:
        raise Unsupported("a map that can be cut into blocks")
    sizes = [samples, channels, height // block, block, width // block, block]
    apart = reshaped(call, value, sizes)
    turned = Computed(apart.node, apart.layout.transpose((0, 3, 5, 1, 2, 4)))
    return [reshaped(call, turned, [samples, channels * block**2, height // block, width // block])]


def squeeze(call: Call) -> list[Value]:
    """Squeeze."""
    value = call.computed()
    axes = call.integers("axes", 1 if call.version >= 13 else None)
    if axes is None:
        axes = tuple(axis for axis, each in enumerate(value.shape) if each == 1)
    gone = call.axes(len(value.shape), axes)
    if any(value.shape[axis] != 1 for axis in gone):
        raise Unsupported(f"axes of size 1 in {written(value.shape)} and not {list(axes)}")
    return [Computed(value.node, value.layout.squeeze(gone))]


def unsqueeze(call: Call) -> list[Value]:
    """Unsqueeze."""
    value = call.computed()
    axes = call.integers("axes", 1 if call.version >= 13 else None) or ()
    rank = len(value.shape) + len(axes)
    new = call.axes(rank, axes)
    dims = list(value.layout.dims)
    for axis in sorted(new):
        dims.insert(axis, ())
    return [Computed(value.node, Layout(tuple(dims), value.layout.place))]


def shape_of(call: Call) -> list[Value]:
    """Shape: a constant, in which `BATCH` is the size of the batch."""
    sizes = call.computed().shape
    end = call.attribute("end", len(sizes))
    return [known(np.array(sizes[call.attribute("start", 0) : end], np.int64))]


def size_of(call: Call) -> list[Value]:
    """Size."""
    return [known(np.array(math.prod(call.computed().shape), np.int64))]


RULES = (
    Rule("Identity", 1, alias),
    Rule("Dropout", 7, alias),
    Rule("Dropout", 12, dropout),
    Rule("Cast", 1, cast),
    Rule("CastLike", 15, cast_like),
    Rule("Flatten", 1, flatten),
    Rule("Reshape", 5, reshape),
    Rule("Transpose", 1, transpose),
    Rule("DepthToSpace", 1, depth_to_space),
    Rule("SpaceToDepth", 1, space_to_depth),
    Rule("Squeeze", 1, squeeze),
    Rule("Squeeze", 13, squeeze),
    Rule("Unsqueeze", 1, unsqueeze),
    Rule("Unsqueeze", 13, unsqueeze),
    Rule("Shape", 1, shape_of),
    Rule("Size", 1, size_of),
)
