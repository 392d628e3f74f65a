"""The arithmetic that layers show of single numbers, against what `forward` computes."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ShapeError
from engine.layers import LAYERS, Block, Context, Example, Layer
from engine.layers.normalization import BatchNorm
from tests.engine.test_layer_contract import PLAIN, build

ARITHMETIC = [kind for kind in LAYERS if not issubclass(kind, Block)]


@pytest.mark.parametrize("kind", ARITHMETIC)
def test_every_layer_has_a_trace(kind: type[Layer]) -> None:
    assert issubclass(kind, Layer)
    assert kind.arithmetic is not Layer.arithmetic


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_a_trace_gives_the_number_that_forward_gives(kind: type[Layer], example: Example) -> None:
    layer, weights, xs = build(example)
    y = layer.forward(weights, *xs, context=Context(node="layer"))[0]
    for picture, *position in np.ndindex(y.shape):
        inputs = [x[picture] for x in xs]
        trace = layer.trace(weights, inputs, tuple(position))
        assert trace.position == tuple(position)
        np.testing.assert_allclose(trace.output, y[picture, *position], rtol=1e-9, atol=1e-12)
        assert trace.expression.endswith(f" = {trace.output + 0.0:.4g}")
        for source in trace.sources:
            assert source.value == inputs[source.input][source.position]
        if trace.winner is not None:
            assert inputs[0][trace.winner] == trace.output
        if trace.window is not None:
            _check_window(trace, inputs[0])
        if trace.mean is not None:
            normalised = (trace.sources[0].value - trace.mean) / (trace.variance + trace.epsilon) ** 0.5
            affine = normalised * (1 if trace.scale is None else trace.scale) + (trace.shift or 0)
            np.testing.assert_allclose(affine, trace.output, rtol=1e-9, atol=1e-12)
            assert trace.count == (None if kind is BatchNorm else layer.normalises(1, *example.inputs))
        elif trace.count is not None:
            np.testing.assert_allclose(trace.window.sum() / trace.count, trace.output, rtol=1e-9, atol=1e-12)


def _check_window(trace, x: np.ndarray) -> None:
    assert trace.window.ndim == len(trace.begins) == len(trace.step) == x.ndim
    assert trace.inside.shape == trace.window.shape
    for cell in np.ndindex(trace.window.shape):
        place = tuple(b + s * at for b, s, at in zip(trace.begins, trace.step, cell, strict=True))
        real = all(0 <= at < n for at, n in zip(place, x.shape, strict=True))
        assert trace.inside[cell] == real
        assert trace.window[cell] == (x[place] if real else 0)
    if trace.factors is not None:
        assert trace.factors.shape == trace.window.shape == trace.products.shape
        np.testing.assert_array_equal(trace.products, trace.window * trace.factors)
        np.testing.assert_allclose(trace.products.sum(), trace.sum, rtol=1e-12, atol=1e-12)
        if not trace.sources:
            np.testing.assert_allclose(trace.sum + (trace.bias or 0), trace.output, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kind", "example"), PLAIN)
def test_a_position_outside_the_output_is_refused(kind: type[Layer], example: Example) -> None:
    layer, weights, xs = build(example)
    shape = layer.output_shape(*example.inputs)
    inputs = [x[0] for x in xs]
    outside = [(*(n - 1 for n in shape), 0), shape[1:], (-1, *shape[1:]), shape]
    outside += [tuple(n if axis == at else 0 for at, n in enumerate(shape)) for axis in range(len(shape))]
    for position in outside:
        with pytest.raises(ShapeError, match=f"an output of {'x'.join(map(str, shape))}$"):
            layer.trace(weights, inputs, position)
