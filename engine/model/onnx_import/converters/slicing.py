"""Parts of tensors, and more around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from engine.layers.reshape import Pad2D
from engine.layers.slicing import Slice
from engine.layers.upsampling import Upsample2D
from engine.model.onnx_import.converters import counting
from engine.model.onnx_import.converters.merge import joined
from engine.model.onnx_import.converters.shape import reshaped
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import SAMPLES, Atoms, Layout, atom
from engine.model.onnx_import.values.value import Computed, Unsupported, Value
from engine.ops import interpolation
from engine.ops.interpolation import Coordinates, Method, Rounding

_MOST_RUNS = 64
"""Parts of an axis that are put together again."""


def slice_by_attributes(call: Call) -> list[Value]:
    """Slice up to version 9: `slice`."""
    starts, ends = call.attribute("starts", ()), call.attribute("ends", ())
    return [_slice(call, starts, ends, call.integers("axes"), None)]


def slice_by_inputs(call: Call) -> list[Value]:
    """Slice from version 10 on: `slice`."""
    axes = call.constant(3).integers() if call.given(3) else None
    steps = call.constant(4).integers() if call.given(4) else None
    return [_slice(call, call.constant(1).integers(), call.constant(2).integers(), axes, steps)]


def _slice(
    call: Call,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> Computed:
    value = call.computed()
    steps = (1,) * len(starts) if steps is None else steps
    along = call.axes(len(value.shape), range(len(starts)) if axes is None else axes)
    if not len(along) == len(starts) == len(ends) == len(steps) or not all(steps):
        raise Unsupported("a start, an end and a step for each axis")
    for axis, start, end, step in zip(along, starts, ends, steps, strict=True):
        size = value.shape[axis]
        # an end before all numbers, with steps backwards, takes in the first; as an index it would be another
        until = None if step < 0 and end < -size else end
        value = cut(call, value, axis, range(*slice(start, until, step).indices(size)))
    return value


def split_by_attribute(call: Call) -> list[Value]:
    """Split up to version 12: several `slice`."""
    return _split(call, call.integers("split"))


def split_by_input(call: Call) -> list[Value]:
    """Split from version 13 on: several `slice`."""
    return _split(call, call.constant(1).integers() if call.given(1) else None)


def _split(call: Call, sizes: Sequence[int] | None) -> list[Value]:
    value = call.computed()
    (axis,) = call.axes(len(value.shape), [call.attribute("axis", 0)])
    count = call.attribute("num_outputs", len(call.node.outputs))
    if count != len(call.node.outputs):
        raise Unsupported(f"{len(call.node.outputs)} parts, as many as it has outputs, and not {count}")
    if sizes is None:
        each = -(-value.shape[axis] // count)
        sizes = [min(each, max(value.shape[axis] - number * each, 0)) for number in range(count)]
    if sum(sizes) != value.shape[axis] or len(sizes) != len(call.node.outputs):
        raise Unsupported(f"sizes of {len(call.node.outputs)} parts that sum to {value.shape[axis]}")
    found: list[Value] = []
    first = 0
    for size in sizes:
        found.append(cut(call, value, axis, range(first, first + size)))
        first += size
    return found


def gather(call: Call) -> list[Value]:
    """Gather: `slice`, and `concatenate` where indices are not equally far apart."""
    value, places = call.computed(), call.constant(1)
    if counting.is_row_of_batch(value):
        pictures = counting.counted(places, call.batch)
        if pictures is None:
            raise Unsupported("all numbers of each picture in the order in which they are")
        return counting.gather(replace(call, inputs=(value, pictures)))
    (axis,) = call.axes(len(value.shape), [call.attribute("axis", 0)])
    size = value.shape[axis]
    if places.dtype.kind not in "iu":
        raise Unsupported("indices that are integers")
    indices = [int(each) + size if each < 0 else int(each) for each in places.numbers().reshape(-1)]
    if not indices or not all(0 <= each < size for each in indices):
        raise Unsupported(f"indices of an axis of {size}")
    runs = _runs(indices)
    in_space = value.layout.dims[axis] in value.layout.place[:-1] and len(places.shape) == 1
    how = _nearest(indices, size) if len(runs) > 1 and in_space else None
    if how is not None:
        spaced = call.spaced(value, [axis])
        sizes = list(call.builder.shape(spaced.node)[:2])
        sizes[spaced.rows[axis]] = len(indices)
        node = call.add(Upsample2D.model_validate({"size": sizes, **how}), spaced.node)
        return [spaced.changed(node, call.builder.shape(node))]
    if len(runs) > _MOST_RUNS:
        raise Unsupported(f"indices that are at most {_MOST_RUNS} runs of equal steps, and not {len(runs)}")
    found = joined(call, [cut(call, value, axis, run) for run in runs], axis)
    wanted = [*found.shape[:axis], *places.shape, *found.shape[axis + 1 :]]
    return [reshaped(call, found, wanted)]


def _nearest(indices: Sequence[int], size: int) -> dict[str, str] | None:
    """Return how `upsample2d` takes these of so many pixels as the nearest ones; None if it does not."""
    for coordinates in get_args(Coordinates):
        for rounding in get_args(Rounding):
            method = Method("nearest", coordinates, rounding)
            found = interpolation.taps(size, len(indices), len(indices) / size, method)
            kept = interpolation.taps(size, size, 1, method)  # the other axis stays as it is
            if found.indices[:, 0].tolist() == indices and (kept.indices[:, 0] == range(size)).all():
                return {"mode": "nearest", "coordinates": coordinates, "rounding": rounding}
    return None


def _runs(indices: Sequence[int]) -> list[range]:
    """Return indices as few ranges of equal steps."""
    runs: list[range] = []
    at = 0
    while at < len(indices):
        step = indices[at + 1] - indices[at] if at + 1 < len(indices) else 1
        end = at + 1
        while step and end < len(indices) and indices[end] - indices[end - 1] == step:
            end += 1
        step = step or 1
        runs.append(range(indices[at], indices[at] + step * (end - at), step))
        at = end
    return runs


def cut(call: Call, value: Computed, axis: int, kept: range) -> Computed:
    """Keep a part of one axis of a tensor."""
    size = value.shape[axis]
    if kept == range(size):
        return value
    if not kept:
        raise Unsupported("parts of at least one number")
    wanted = value.layout.dims[axis]
    if SAMPLES in wanted:
        raise Unsupported("all pictures of a batch")
    # a row or a column of a map is cut where it is, all else as channels
    place = value.layout.place
    names = ("rows", "columns", "channels")[-len(place) :]
    if wanted in place:
        name, node = names[place.index(wanted)], value.node
    else:
        rest = tuple(each for each in value.layout.flat if each not in wanted)
        place = (
            (*place[:-1], wanted)
            if set(wanted) == set(place[-1])
            else (rest, (), wanted)
            if rest
            else (wanted,)
        )
        name, node = "channels", call.builder.arranged(value, place)
    # right behind the last one that is kept; before the first one there is no index that would not count from the end
    end = kept[-1] + (1 if kept.step > 0 else -1)
    asked = (kept.start, end if end >= 0 else None, kept.step)
    node = call.add(Slice.model_validate({name: asked}), node)
    left = atom(len(kept))
    return Computed(node, Layout(_with(value.layout.dims, wanted, left), _with(place, wanted, left)))


def _with(rows: tuple[Atoms, ...], old: Atoms, new: Atoms) -> tuple[Atoms, ...]:
    return tuple(new if row == old else row for row in rows)


def pad_by_attributes(call: Call) -> list[Value]:
    """Pad up to version 10: `pad2d`."""
    return _pad(call, call.attribute("pads", ()), call.attribute("value", 0.0), None)


def pad_by_inputs(call: Call) -> list[Value]:
    """Pad from version 11 on: `pad2d`."""
    filler = call.constant(2).reals()[0] if call.given(2) else 0.0
    axes = call.constant(3).integers() if call.given(3) else None
    return _pad(call, call.constant(1).integers(), filler, axes)


def _pad(call: Call, pads: Sequence[int], filler: float, axes: Sequence[int] | None) -> list[Value]:
    value = call.computed()
    rank = len(value.shape)
    along = call.axes(rank, range(rank) if axes is None else axes)
    if len(pads) != 2 * len(along):
        raise Unsupported("two pads for each axis")
    sides = dict.fromkeys(range(rank), (0, 0))
    sides |= dict(zip(along, zip(pads[: len(along)], pads[len(along) :], strict=True), strict=True))
    for axis, (before, after) in sides.items():  # less than nothing is cut off
        value = cut(call, value, axis, range(max(-before, 0), value.shape[axis] - max(-after, 0)))
    sides = {axis: (max(before, 0), max(after, 0)) for axis, (before, after) in sides.items()}
    if not any(map(any, sides.values())):
        return [value]
    mode = call.attribute("mode", "constant")
    how: dict[str, str | float] = {"mode": "replicate" if mode == "edge" else mode}
    if mode == "constant":
        how["value"] = filler
    padded = [axis for axis, both in sides.items() if any(both)]
    return [_padded(call, value, padded, sides, how)]


def _padded(
    call: Call,
    value: Computed,
    padded: Sequence[int],
    sides: dict[int, tuple[int, int]],
    how: dict[str, str | float],
) -> Computed:
    spaced = call.spaced(value, padded)
    rows = [(0, 0), (0, 0)]
    for axis, row in spaced.rows.items():
        rows[row] = sides[axis]
    node = call.add(Pad2D.model_validate({"padding": rows, **how}), spaced.node)
    return spaced.changed(node, call.builder.shape(node))


RULES = (
    Rule("Slice", 1, slice_by_attributes),
    Rule("Slice", 10, slice_by_inputs),
    Rule("Split", 2, split_by_attribute),
    Rule("Split", 13, split_by_input),
    Rule("Gather", 1, gather),
    Rule("Pad", 2, pad_by_attributes),
    Rule("Pad", 11, pad_by_inputs),
)
