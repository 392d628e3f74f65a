"""Published blocks: what they expand into, what they cost, and how their faults are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.errors import EngineError, GraphError, ShapeError
from engine.graph.architecture import Architecture
from engine.graph.network import Network
from engine.graph.summary import summarize
from engine.layers import Context


def build(*layers: dict[str, Any], shape: tuple[int, int, int] = (8, 8, 4)) -> Network:
    return Network.build(Architecture.model_validate({"input_shape": shape, "layers": layers}))


def test_a_bottleneck_costs_a_tenth_of_the_multiplications() -> None:
    """The article, section 5: a 5x5 convolution of 28x28x192 to 32 channels, and the same through 16 channels."""
    wide = {"type": "conv2d", "filters": 32, "kernel_size": 5, "padding": "same"}
    thin = {"type": "conv2d", "filters": 16, "kernel_size": 1}
    assert summarize(build(wide, shape=(28, 28, 192))).totals.multiply_adds == 120_422_400
    assert summarize(build(thin, wide, shape=(28, 28, 192))).totals.multiply_adds == 12_443_648


def test_inception_is_cheaper_with_reductions() -> None:
    """The module "inception (3a)" of the paper's table 1, and figure 2(a): the naive version of it."""
    filters = {"type": "inception", "filters_1x1": 64, "filters_3x3": 128, "filters_5x5": 32}
    reduced = build({**filters, "reduce_3x3": 96, "reduce_5x5": 16, "filters_pool": 32}, shape=(28, 28, 192))
    naive = build(filters, shape=(28, 28, 192))
    assert reduced.output_shape == (28, 28, 256)
    assert naive.output_shape == (28, 28, 64 + 128 + 32 + 192)
    assert reduced.parameters == 163_696
    costs = [summarize(network).totals.multiply_adds for network in (naive, reduced)]
    assert costs[0] == 784 * (192 * 64 + 9 * 192 * 128 + 25 * 192 * 32)
    assert costs[1] == 784 * (192 * 64 + 192 * 96 + 9 * 96 * 128 + 192 * 16 + 25 * 16 * 32 + 192 * 32)
    assert [node.name for node in reduced.nodes if node.layer.type == "conv2d"] == [
        "inception_1/branch_1x1/conv2d_1",
        "inception_1/branch_3x3/conv2d_1",
        "inception_1/branch_3x3/conv2d_2",
        "inception_1/branch_5x5/conv2d_1",
        "inception_1/branch_5x5/conv2d_2",
        "inception_1/branch_pool/conv2d_1",
    ]


def test_a_dense_block_hands_every_output_on() -> None:
    network = build({"type": "dense_block", "depth": 3, "growth": 2, "bottleneck": 1})
    assert network.output_shape == (8, 8, 4 + 3 * 2)
    weights = network.initial_weights(0)
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 4)).astype(np.float32)
    y = network.forward(weights, x, Context()).output
    np.testing.assert_array_equal(y[..., :4], x)
    shallow = build({"type": "dense_block", "depth": 2, "growth": 2, "bottleneck": 1})
    np.testing.assert_array_equal(y[..., :8], shallow.forward(weights, x, Context()).output)


def test_squeeze_and_excitation_weighs_channels() -> None:
    network = build({"type": "squeeze_and_excitation", "reduction": 2})
    assert network.weight_specs["squeeze_and_excitation_1/reduce/weight"].shape == (4, 2)
    weights = {name: np.zeros_like(weight) for name, weight in network.initial_weights(0).items()}
    bias = np.array([-100, 0, 100, np.log(3)], np.float32)
    weights["squeeze_and_excitation_1/excite/bias"] = bias
    x = np.random.default_rng(0).standard_normal((2, 8, 8, 4)).astype(np.float32)
    y = network.forward(weights, x, Context()).output
    np.testing.assert_allclose(y, x * [0, 0.5, 1, 0.75], rtol=1e-5, atol=1e-30)


def test_a_depthwise_separable_convolution_costs_what_the_paper_says() -> None:
    """MobileNets, section 3.1: 1/N + 1/D_K^2 of the standard convolution."""
    plain = build({"type": "conv2d", "filters": 64, "padding": "same"}, shape=(14, 14, 32))
    light = build({"type": "depthwise_separable", "filters": 64}, shape=(14, 14, 32))
    standard, separable = (summarize(network).totals.multiply_adds for network in (plain, light))
    assert separable == pytest.approx(standard * (1 / 64 + 1 / 9))
    assert light.output_shape == plain.output_shape


@pytest.mark.parametrize(
    ("options", "adds"),
    [({"filters": 4}, True), ({"filters": 4, "stride": 2}, False), ({"filters": 5}, False)],
)
def test_an_inverted_residual_adds_its_input_where_shapes_allow(options: dict[str, Any], adds: bool) -> None:
    network = build({"type": "inverted_residual", **options})
    assert ("inverted_residual_1/add" in {node.name for node in network.nodes}) is adds
    assert network.weight_specs["inverted_residual_1/body/depthwise_conv2d_1/weight"].shape == (3, 3, 1, 24)


def test_stochastic_depth_skips_the_body_of_a_residual() -> None:
    body = [{"type": "conv2d", "filters": 4, "padding": "same"}, {"type": "stochastic_depth", "rate": 0.5}]
    network = build({"type": "residual", "layers": body, "activation": None})
    weights = network.initial_weights(0)
    weights["residual_1/body/conv2d_1/bias"][...] = 100
    x = np.random.default_rng(0).standard_normal((40, 8, 8, 4)).astype(np.float32)
    y = network.forward(weights, x, Context(statistics="batch", records=True)).output
    skipped = (y == x).all(axis=(1, 2, 3))
    assert 5 < skipped.sum() < 35
    assert (abs(y - x)[~skipped] > 50).all()


@pytest.mark.parametrize(
    ("layer", "kind", "path", "words"),
    [
        (
            {"type": "conv2d", "filters": 6, "groups": 4},
            ShapeError,
            ("layers", 1, "groups"),
            "6 filters cannot be divided into 4",
        ),
        (
            {"type": "conv2d", "filters": 3, "groups": 3},
            ShapeError,
            ("layers", 1, "groups"),
            "4 channels of the input cannot be divided into 3",
        ),
        (
            {"type": "transposed_conv2d", "filters": 1, "stride": 2, "output_padding": 2},
            ShapeError,
            ("layers", 1, "output_padding"),
            "output padding of 2 with stride 2",
        ),
        (
            {"type": "transposed_conv2d", "filters": 1, "kernel_size": 1, "padding": 4},
            ShapeError,
            ("layers", 1, "padding"),
            r"cuts all of the 8 pixels off",
        ),
        ({"type": "multiply"}, GraphError, ("layers", 1, "inputs"), "takes 2 inputs but has 1"),
        (
            {"type": "multiply", "inputs": ["input", "pool"]},
            ShapeError,
            ("layers", 1),
            "a map and a vector of its channels, but receives 8x8x4 and 4x4x4",
        ),
        (
            {"type": "divide", "inputs": ["input", "pool"]},
            ShapeError,
            ("layers", 1),
            "divide takes two inputs of one shape",
        ),
        (
            {"type": "depthwise_separable", "filters": 1, "kernel_size": 9, "padding": "valid"},
            ShapeError,
            ("layers", 1),
            "body: a 9x9 window does not fit",
        ),
    ],
)
def test_faults_are_told_with_their_place(
    layer: dict[str, Any], kind: type[EngineError], path: tuple[str | int, ...], words: str
) -> None:
    pool = {"type": "max_pool2d", "name": "pool"}
    with pytest.raises(kind, match=words) as caught:
        build(pool, {"inputs": ["input"], **layer})
    assert caught.value.path == path
    assert caught.value.hint


def test_a_vector_is_refused_by_blocks_of_maps() -> None:
    for block in (
        {"type": "inception", "filters_1x1": 1, "filters_3x3": 1, "filters_5x5": 1},
        {"type": "squeeze_and_excitation"},
        {"type": "inverted_residual", "filters": 1},
    ):
        with pytest.raises(ShapeError, match="takes a map") as caught:
            build({"type": "flatten"}, block)
        assert caught.value.path == ("layers", 1)
