"""What single numbers of an input do to a layer's output, against `backward` and differences."""

from __future__ import annotations

import numpy as np
import pytest

from engine.layers import Context, Example, Layer
from engine.layers.convolution import Conv2D
from engine.layers.jacobian import Column
from tests.engine.test_layer_contract import PLAIN, build


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_the_contributions_sum_to_the_gradient_that_backward_gives(
    kind: type[Layer], example: Example
) -> None:
    layer, weights, xs = build(example)
    context = Context(records=True, wanted=frozenset())
    y, saved = layer.forward(weights, *xs, context=context)
    dy = np.random.default_rng(5).standard_normal(y.shape)
    dxs, _ = layer.backward(weights, saved, dy, context=context)
    for number, dx in enumerate(dxs):
        assert dx is not None
        for position in np.ndindex(dx.shape[1:]):
            column = layer.column(weights, [x[0] for x in xs], number, position)
            given = (column.of(dy[0]) * column.values).sum()
            np.testing.assert_allclose(given, dx[0, *position], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_a_column_holds_what_each_number_of_the_output_changes_by(
    kind: type[Layer], example: Example
) -> None:
    layer, weights, xs = build(example)
    inputs = [x[0] for x in xs]
    h = 1e-6
    for number, x in enumerate(inputs):
        position = tuple(n // 2 for n in x.shape)
        outputs = []
        for change in (h, -h):
            moved = [each[None].copy() for each in inputs]
            moved[number][0, *position] += change
            outputs.append(layer.forward(weights, *moved, context=Context())[0][0])
        column = layer.column(weights, inputs, number, position)
        found = np.zeros(layer.output_shape(*example.inputs))
        places = [b + s * np.arange(n) for b, s, n in zip(*column[:2], column.values.shape, strict=True)]
        found[np.ix_(*places)] = column.values
        np.testing.assert_allclose(found, (outputs[0] - outputs[1]) / (2 * h), rtol=1e-5, atol=1e-8)


def test_the_filters_that_see_a_pixel_lie_in_a_transposed_window() -> None:
    """With stride 1 the window of the output begins a filter's width before, and the filter is turned around."""
    layer = Conv2D(filters=2, kernel_size=(3, 3))
    weight = np.arange(18.0).reshape(3, 3, 1, 2)
    x = np.zeros((6, 6, 1))
    column = layer.column({"weight": weight, "bias": np.zeros(2)}, [x], 0, (3, 2, 0))
    assert (column.begins, column.step) == ((1, 0, 0), (1, 1, 1))
    np.testing.assert_array_equal(column.values, weight[::-1, ::-1, 0])


def test_a_pixel_that_no_window_sees_has_no_readers() -> None:
    layer = Conv2D(filters=1, kernel_size=(1, 1), stride=(2, 2))
    x = np.zeros((4, 4, 1))
    weights = {"weight": np.ones((1, 1, 1, 1)), "bias": np.zeros(1)}
    assert layer.column(weights, [x], 0, (1, 0, 0)).values.size == 0
    assert layer.column(weights, [x], 0, (2, 0, 0)).values.size == 1


def test_margins_of_nothing_are_cut_and_what_is_within_stays() -> None:
    values = np.zeros((4, 5))
    values[1, 1], values[1, 4] = 2, 3
    column = Column.trimmed(values)
    assert column.begins == (1, 1)
    np.testing.assert_array_equal(column.values, [[2, 0, 0, 3]])
    assert Column.trimmed(np.zeros((2, 2))).values.size == 0
