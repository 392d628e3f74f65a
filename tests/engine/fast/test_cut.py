"""Networks computed by halves, side by side in one process, against the plain executor."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.fast.kernels.fold import fold
from engine.fast.layout.gemm import Tuning
from engine.fast.parallel.mapped import Counters
from engine.fast.serving.cut import Cut, cut
from engine.fast.serving.half import Half, lay_out
from engine.graph.network import Network
from engine.layers import Context
from engine.presets import Preset
from tests.engine.fast.nets import CONV, DEPTHWISE, HEAD, RESIDUAL, build, drawn, presets


def by_threads(found: Cut, weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return the map at the cut, computed by both halves in this process."""
    layout = lay_out(found)
    arrays = layout.arrays(memoryview(bytearray(layout.bytes)))  # type: ignore[arg-type]
    for name in found.half.weight_specs:
        arrays[f"weight {name}"][...] = weights[name]
    halves = [
        Half(found, Tuning(), arrays, number, Counters(arrays, number, lambda: False)) for number in range(2)
    ]
    for picture in (np.full_like(x, 1e6), x):  # what the first leaves behind must not be seen by the second
        arrays["input"][...] = picture
        other = threading.Thread(target=halves[1].run)
        other.start()
        halves[0].run()
        other.join()
    return arrays["map"]


def assert_halves(network: Network, seed: int = 0) -> Cut:
    """Compare both halves with the network up to the cut."""
    weights, x = drawn(network, seed)
    found = cut(network)
    assert found is not None
    whole = Network(network.input_shape, network.nodes[: len(found.half.nodes)])
    wanted = whole.forward(weights, x, Context()).output
    assert np.abs(wanted).max() > 0
    given = by_threads(found, weights, x)
    np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    scores = found.head.forward(weights, given, Context()).output
    np.testing.assert_allclose(
        scores, network.forward(weights, x, Context()).output, rtol=1e-3, atol=1e-3 * np.abs(scores).max()
    )
    return found


CASES: dict[str, list[dict[str, Any]]] = {
    "winograd": [CONV, CONV],
    "few channels": [{**CONV, "filters": 3}, {**CONV, "filters": 3}],
    "wide window": [{**CONV, "kernel_size": 7}, {**CONV, "kernel_size": [5, 1]}],
    "even window": [{**CONV, "kernel_size": 4}, {**CONV, "kernel_size": 2}],
    "strides": [{**CONV, "stride": 2}, {**CONV, "kernel_size": 1, "stride": 2}],
    "large stride": [{**CONV, "kernel_size": 3, "stride": 4, "padding": 0}],
    "above only": [{**CONV, "padding": [[2, 0], [1, 1]]}],
    "below only": [{**CONV, "padding": [[0, 2], [1, 1]]}],
    "dilation": [{**CONV, "dilation": 2}, {**CONV, "dilation": 3}],
    "depthwise": [DEPTHWISE, {**DEPTHWISE, "stride": 2, "activation": "relu6"}],
    "separable": [
        {"type": "inverted_residual", "filters": 6, "expansion": 4, "stride": 1, "padding": 1},
        {"type": "inverted_residual", "filters": 6, "expansion": 4, "stride": 2, "padding": 1},
        {**DEPTHWISE, "kernel_size": 5, "bias": True},
        {**CONV, "kernel_size": 1},
        CONV,
    ],
    # there the rows beyond the middle are expanded as well, and padding is not
    "expanded by a bias": [
        {**CONV, "kernel_size": 1, "activation": "relu6"},
        {**DEPTHWISE, "kernel_size": 4, "activation": "relu"},
        {**CONV, "kernel_size": 1, "filters": 5},
    ],
    "pools": [CONV, {"type": "max_pool2d"}, {**CONV, "kernel_size": 5, "filters": 6}, {"type": "max_pool2d"}],
    "pool of its own": [{**CONV, "name": "c"}, {"type": "max_pool2d"}, CONV],
    "pool of three rows": [
        {**CONV, "filters": 5, "activation": None},  # padding is no zero to a pool
        {"type": "max_pool2d", "pool_size": 3, "stride": 2, "padding": 1},
        {**CONV, "activation": None},
        {"type": "max_pool2d", "pool_size": [4, 2], "stride": 1, "padding": [[1, 2], [1, 0]]},
        {"type": "max_pool2d", "pool_size": 3, "stride": 2, "padding": [[0, 2], [1, 1]], "ceil_mode": True},
    ],
    "pointwise": [CONV, {**CONV, "kernel_size": 1}, CONV],
    "residual": [CONV, RESIDUAL, RESIDUAL],
    "concatenation": [
        {**CONV, "name": "a"},
        {**CONV, "name": "b", "filters": 4},
        {"type": "concatenate", "inputs": ["a", "b"]},
        CONV,
    ],
    "batch norm after a sum": [CONV, RESIDUAL, {"type": "batch_norm"}, CONV],
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("width", [16, 12])
def test_halves_make_the_whole(name: str, width: int) -> None:
    network = build((32, width, 3), [*CASES[name], *HEAD])
    found = assert_halves(network)
    assert found.half.nodes[-1].name == network.nodes[-3].name  # all but the head is cut


def test_halves_of_wide_maps_at_a_stride() -> None:
    """Columns of maps of few channels are kept apart there."""
    assert_halves(build((12, 70, 3), [{**CONV, "kernel_size": 7, "stride": 2, "padding": 3}, CONV, *HEAD]))


@pytest.mark.parametrize(
    ("layers", "last"),
    [
        # each output sees all of the map: what comes before it is computed by halves
        ([CONV, {"type": "global_average_pool2d"}, {"type": "dense", "units": 2}], "conv2d_1/activation"),
        # no rows of the other half are known to a layer that runs by itself
        ([CONV, {"type": "average_pool2d"}, CONV, *HEAD], "conv2d_1/activation"),
        # an odd half
        (
            [CONV, {**CONV, "stride": 2}, {**CONV, "stride": 2}, {**CONV, "stride": 2}, *HEAD],
            "conv2d_3/activation",
        ),
        # windows that are not where they would be in half a map
        ([CONV, {**CONV, "padding": "valid"}, CONV, *HEAD], "conv2d_1/activation"),
        # the first map is wanted behind the cut as well
        (
            [
                {**CONV, "name": "c"},
                {"type": "max_pool2d"},
                {**CONV, "name": "d"},
                {"type": "global_average_pool2d", "name": "one", "inputs": ["c"]},
                {"type": "global_average_pool2d", "name": "two", "inputs": ["d"]},
                {"type": "concatenate", "inputs": ["one", "two"]},
            ],
            "c/activation",
        ),
    ],
)
def test_the_cut_is_where_halves_end(layers: list[dict[str, Any]], last: str) -> None:
    found = assert_halves(build((24, 8, 3), layers))
    assert found.half.nodes[-1].name == last


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        ((7, 8, 3), [CONV, *HEAD]),
        ((8, 8, 3), HEAD),
        ((8, 8, 3), [{"type": "batch_norm"}]),  # nothing is left behind it
        ((4, 8, 3), [{**CONV, "kernel_size": 7}, *HEAD]),  # a window that sees beyond the other half
    ],
)
def test_what_cannot_be_cut_is_not(shape: tuple[int, int, int], layers: list[dict[str, Any]]) -> None:
    assert cut(build(shape, layers)) is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_window_can_be_halved(data: st.DataObject) -> None:
    number = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    layers: list[dict[str, Any]] = []
    for _ in range(number(1, 3)):
        kernel, stride, dilation = number(1, 5), number(1, 3), number(1, 2)
        padding: Any = "same"
        if data.draw(st.booleans()):
            padding = [[number(0, 4), number(0, 4)], [number(0, 2), number(0, 2)]]
        layers.append(
            {
                "type": data.draw(st.sampled_from(["conv2d", "depthwise_conv2d"])),
                "kernel_size": [kernel, number(1, 3)],
                "stride": [stride, 1],
                "dilation": [dilation, 1],
                "padding": padding,
            }
        )
        if layers[-1]["type"] == "conv2d":
            layers[-1]["filters"] = number(1, 20)
    try:
        network = build((number(1, 12) * 2, number(3, 9), number(1, 18)), [*layers, *HEAD])
    except EngineError:
        return
    if cut(network) is not None:
        assert_halves(network)


BEGIN_WITHOUT_PADDING = {"alexnet", "squeezenet-1.0", "squeezenet-1.1", "tiny-vgg"}
"""Presets whose first map is not as high as its input, or that over its stride."""


@pytest.mark.parametrize("preset", presets())
def test_presets_by_halves(preset: Preset) -> None:
    size = max(64, preset.smallest)
    network = Network.build(preset.architecture((size, size, 3), classes=3)).without_final("softmax")
    folded, weights = fold(network, network.initial_weights(0))
    found = cut(folded)
    assert (found is None) == (preset.name in BEGIN_WITHOUT_PADDING)
    if found is None:
        return
    x = np.random.default_rng(0).standard_normal((1, *folded.input_shape)).astype(np.float32)
    trunk = Network(folded.input_shape, folded.nodes[: len(found.half.nodes)])
    wanted = trunk.forward(weights, x, Context()).output
    given = by_threads(found, weights, x)
    np.testing.assert_allclose(given, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
