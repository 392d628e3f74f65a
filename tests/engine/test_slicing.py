"""Rows, columns and channels kept, and channels dealt out, against NumPy's own slices and the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.errors import ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.layers import Context
from engine.layers.slicing import ChannelShuffle, Slice

SHAPE = (4, 3, 5)
STEP = st.sampled_from([-3, -2, -1, 1, 2, 3])


def ranges(size: int) -> Any:
    end = st.none() | st.integers(-size, size)
    return st.none() | st.tuples(end, end, STEP)


@given(*map(ranges, SHAPE))
def test_a_slice_is_that_of_python(rows: Any, columns: Any, channels: Any) -> None:
    x = np.arange(2 * 60).reshape(2, *SHAPE).astype(np.float64)
    layer = Slice(rows=rows, columns=columns, channels=channels)
    asked = (slice(None) if one is None else slice(*one) for one in (rows, columns, channels))
    wanted = x[(slice(None), *asked)]
    if wanted.size == 0:
        with pytest.raises(ShapeError, match="nothing is left"):
            layer.output_shape(SHAPE)
        return
    y, saved = layer.forward({}, x, context=Context(records=True))
    np.testing.assert_array_equal(y, wanted)
    assert layer.output_shape(SHAPE) == wanted.shape[1:]
    (dx,), _ = layer.backward({}, saved, np.ones_like(y), context=Context())
    np.testing.assert_array_equal(dx, np.isin(x, wanted))


@pytest.mark.parametrize(
    ("layer", "shape", "path", "words"),
    [
        ({"channels": [0, 6]}, SHAPE, ("channels",), "6 is beyond the 5 channels"),
        ({"rows": [-5, None]}, SHAPE, ("rows",), "-5 is beyond the 4 rows"),
        ({"columns": [2, 2]}, SHAPE, ("columns",), "nothing is left of the 3 columns"),
        ({"rows": [0, 1]}, (5,), (), "takes a map"),
    ],
)
def test_what_an_input_has_not_cannot_be_kept(layer: Any, shape: Any, path: Any, words: str) -> None:
    with pytest.raises(ShapeError, match=words) as caught:
        Slice.model_validate(layer).output_shape(shape)
    assert caught.value.path == path


def test_a_step_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="the step of rows is 0"):
        Slice.model_validate({"rows": [0, 1, 0]})


def test_every_second_pixel_lies_further_apart() -> None:
    layers = [{"type": "slice", "rows": [None, None, 2]}, {"type": "conv2d", "filters": 1, "kernel_size": 3}]
    network = Network.build(Architecture.model_validate({"input_shape": [9, 9, 2], "layers": layers}))
    first, last = summarize(network).layers
    assert first.jump == [2, 1]
    assert first.formula == {
        "height": "ceil(9/2) = 5",
        "width": "ceil(9/1) = 9",
        "channels": "ceil(2/1) = 2",
    }
    assert last.receptive_field == [5, 3]


def test_channels_are_dealt_out_as_in_the_paper() -> None:
    x = np.arange(6.0).reshape(1, 6)
    y, _ = ChannelShuffle(groups=2).forward({}, x, context=Context())
    assert y.tolist() == [[0, 3, 1, 4, 2, 5]]
    back, _ = ChannelShuffle(groups=3).forward({}, y, context=Context())
    np.testing.assert_array_equal(back, x)
    with pytest.raises(ShapeError, match="5 channels cannot be divided into 2"):
        ChannelShuffle(groups=2).output_shape((3, 3, 5))
