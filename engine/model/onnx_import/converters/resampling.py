"""Maps that are brought to another size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from engine.layers.upsampling import Upsample2D
from engine.model.onnx_import.values.call import Call, Rule
from engine.model.onnx_import.values.layout import written
from engine.model.onnx_import.values.value import Computed, Unsupported, Value
from engine.ops.interpolation import Method, taps

_MODES = {"nearest": "nearest", "linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic"}


def upsample_by_attribute(call: Call) -> list[Value]:
    """Upsample up to version 8: `upsample2d`."""
    return _by_factors(call, call.attribute("scales", (0.0,)), _old(call, call.attribute("scales", (0.0,))))


def upsample_by_input(place: int, call: Call) -> list[Value]:
    """Upsample 9, and Resize 10, which have no coordinates yet: `upsample2d`."""
    factors = call.constant(place).reals()
    return _by_factors(call, factors, _old(call, factors))


def resize(call: Call) -> list[Value]:
    """Resize from version 11 on: `upsample2d`."""
    value = call.computed()
    rank = len(value.shape)
    along = call.axes(rank, call.attribute("axes", tuple(range(rank))))
    how = {
        "mode": _mode(call),
        "coordinates": call.attribute("coordinate_transformation_mode", "half_pixel"),
        "rounding": call.attribute("nearest_mode", "round_prefer_floor"),
        "cubic_coefficient": call.attribute("cubic_coeff_a", -0.75),
        "exclude_outside": bool(call.attribute("exclude_outside", 0)),
        "antialias": bool(call.attribute("antialias", 0)),
    }
    if how["coordinates"] == "tf_crop_and_resize":
        raise Unsupported("a part of a map by `slice`, and then its size by `upsample2d`")
    if call.given(3) and call.constant(3).elements:
        return [_to_sizes(call, value, along, call.constant(3).integers(), how)]
    factors = [1.0] * rank
    for axis, factor in zip(along, call.constant(2).reals(), strict=True):
        factors[axis] = factor
    return _by_factors(call, factors, how)


def _old(call: Call, factors: Sequence[float]) -> dict[str, object]:
    """Return how older versions compute: from the first corner on, with the pixel before a new one."""
    smaller = [factor < 1 for factor in factors if factor != 1]
    if any(smaller) != all(smaller):
        raise Unsupported("factors that are all above 1, or all below")
    return {"mode": _mode(call), "coordinates": "asymmetric", "rounding": "ceil" if any(smaller) else "floor"}


def _mode(call: Call) -> str:
    mode = call.attribute("mode", "nearest")
    if mode not in _MODES:
        raise Unsupported(f"one of the modes {', '.join(_MODES)} and not {mode!r}")
    return _MODES[mode]


def _by_factors(call: Call, factors: Sequence[float], how: dict[str, object]) -> list[Value]:
    value = call.computed()
    if len(factors) != len(value.shape) or not all(0 < factor < math.inf for factor in factors):
        raise Unsupported(f"a factor above 0 for each axis of {written(value.shape)}")
    changed = [axis for axis, factor in enumerate(factors) if factor != 1]
    if not changed:
        return [value]
    spaced = call.spaced(value, changed)
    rows: list[float] = [1, 1]
    for axis, row in spaced.rows.items():
        rows[row] = int(factors[axis]) if factors[axis] == int(factors[axis]) else factors[axis]
    node = call.add(Upsample2D.model_validate({"factor": rows, **how}), spaced.node)
    return [spaced.changed(node, call.builder.shape(node))]


def _to_sizes(
    call: Call, value: Computed, along: Sequence[int], sizes: Sequence[int], how: dict[str, object]
) -> Computed:
    wanted = dict(zip(along, sizes, strict=True))
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        ratios = [wanted[axis] / value.shape[axis] for axis in along]
        factor = min(ratios) if policy == "not_larger" else max(ratios)
        wanted = {axis: math.floor(factor * value.shape[axis] + 0.5) for axis in along}
        method = Upsample2D.model_validate(how).method
        if not all(_is_size(value.shape[axis], new, factor, method) for axis, new in wanted.items()):
            raise Unsupported("sizes that are whole numbers by the same factor")
    if wanted.get(0) == call.batch:
        wanted[0] = value.shape[0]
    changed = [axis for axis, new in wanted.items() if new != value.shape[axis]]
    if not changed:
        return value
    spaced = call.spaced(value, changed)
    rows = list(call.builder.shape(spaced.node)[:2])
    for axis, row in spaced.rows.items():
        rows[row] = wanted.get(axis, rows[row])
    node = call.add(Upsample2D.model_validate({"size": rows, **how}), spaced.node)
    return spaced.changed(node, call.builder.shape(node))


def _is_size(old: int, new: int, factor: float, method: Method) -> bool:
    """Tell whether a factor, of which a size is rounded, comes to the same as the size alone."""
    one, other = (taps(old, new, scale, method) for scale in (factor, new / old))
    return all(map(np.allclose, one, other))


RULES = (
    Rule("Upsample", 7, upsample_by_attribute),
    Rule("Upsample", 9, partial(upsample_by_input, 1)),
    Rule("Resize", 10, partial(upsample_by_input, 1)),
    Rule("Resize", 11, resize),
)
